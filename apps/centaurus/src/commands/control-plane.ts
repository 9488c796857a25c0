import { hostname } from 'node:os'
import { renameSync, writeFileSync } from 'node:fs'
import { hostAlternativeNames, openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import { systemClock, systemRandom } from '@centaurus/base'
import { ForeignStoreError } from '@centaurus/partition'
import { StoreFileError } from '@centaurus/store'
import { CLUSTER_DNS } from '../cluster-network.ts'
import { startControlPlane } from '../control-plane.ts'
import { HOME_PARTITION, SINGLE_PARTITION, type PartitionSetup } from '../control-plane/partition-setup.ts'
import { registerDaemon } from '../daemons.ts'
import { createHome, type Home } from '../home.ts'
import { primaryAddress } from '../host-address.ts'
import { createLogger } from '../logger.ts'
import { readOidcSettings } from '../oidc-settings.ts'
import { openPartitionStore } from '../open-store.ts'
import { localNodeName, NODE_CLIENT_FILE, NODE_PROXY_FILE, NODE_SERVING_FILE } from '../node-identity.ts'
import { DEFAULT_SETTINGS, readSettings, type Settings } from '../settings.ts'
import { untilStopped } from '../signals.ts'
import { UserError } from '../user-error.ts'

const KUBECONFIG_MODE = 0o600

/** Runs the control plane until it is told to stop. */
export async function runControlPlane(home: Home): Promise<void> {
  createHome(home)
  registerDaemon(home, 'control-plane')
  const settings = readSettings(home) ?? DEFAULT_SETTINGS
  const logger = createLogger()
  const clock = systemClock
  const stopped = untilStopped()
  const address = settings.advertise ?? primaryAddress()
  const [store, certificates] = await Promise.all([
    openPartitionStore(home, settings, logger),
    openClusterCertificates({ directory: home.pkiDir, alternativeNames: serverNames(settings, address), clock }),
  ])
  try {
    const plane = await startControlPlane({
      store,
      certificates,
      port: settings.port,
      host: settings.listen,
      advertiseAddress: address,
      clusterDns: settings.nodes.type === 'simulated' ? undefined : CLUSTER_DNS,
      clientHost: clientHost(settings),
      partition: partitionSetup(settings),
      oidc: readOidcSettings(home),
      tenantWebhookNetworks: settings.tenantWebhookNetworks,
      clock,
      random: systemRandom,
      logger,
    }).catch((error: unknown) => explainStart(error, settings))
    await issueNodeCertificates(certificates, address)
    writeKubeconfig(home, plane.kubeconfig)
    logger.info('Started control plane', { url: plane.url })
    await stopped
    logger.info('Stopping control plane')
    await plane.close()
  } finally {
    await store.close()
  }
}

/** Its place in the cluster, as the settings say. */
export function partitionSetup({ partition, port, store }: Settings): PartitionSetup {
  return {
    ...SINGLE_PARTITION,
    ...(partition ?? { name: HOME_PARTITION }),
    serverName: store.engine === 'embedded' ? undefined : `${hostname().toLowerCase()}:${port}`,
  }
}

/** Address of the `kubernetes` Service: the first of the default service range. */
const SERVICE_ADDRESS = '10.96.0.1'

function serverNames({ partition, listen }: Settings, address: string): string[] {
  const range = partition?.serviceRange
  const service = range === undefined ? SERVICE_ADDRESS : firstAddress(range)
  return [
    ...hostAlternativeNames(),
    service,
    address,
    ...(listen === undefined || isAnyAddress(listen) ? [] : [listen]),
  ]
}

/** The first address that a Service may have: `10.97.0.1` of `10.97.0.0/16`. */
function firstAddress(range: string): string {
  const parts = range.split('/')[0]!.split('.').map(Number)
  return [...parts.slice(0, 3), parts[3]! + 1].join('.')
}

function isAnyAddress(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

/** A server that listens on one address alone is not on the loopback. */
function clientHost({ listen }: Settings): string | undefined {
  return listen === undefined || isAnyAddress(listen) ? undefined : listen
}

/** The node agent of this machine finds them beside the authority's certificate; it never sees the authority's key. */
async function issueNodeCertificates(certificates: ClusterCertificates, address: string): Promise<void> {
  const nodeName = localNodeName()
  const identity = { commonName: `system:node:${nodeName}`, organizations: ['system:nodes'] }
  await certificates.client(NODE_CLIENT_FILE, identity)
  await certificates.client(NODE_PROXY_FILE, { commonName: 'system:kube-proxy' })
  await certificates.server(NODE_SERVING_FILE, { ...identity, alternativeNames: [nodeName, address, '127.0.0.1'] })
}

function explainStart(error: unknown, { port }: Settings): never {
  if (error instanceof ForeignStoreError || error instanceof StoreFileError)
    throw new UserError(error.message, { cause: error })
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') {
    throw new UserError(
      `Cannot listen on port ${port}: it is in use by another program. Stop that program (ss -ltnp shows it) or choose another port: ./centaurus up --port 7443`,
      { cause: error },
    )
  }
  if (code === 'EACCES') {
    throw new UserError(
      `Cannot listen on port ${port}: ports below 1024 need root. Choose another: ./centaurus up --port 7443`,
      { cause: error },
    )
  }
  throw error
}

function writeKubeconfig(home: Home, text: string): void {
  writeFileSync(`${home.kubeconfig}.new`, text, { mode: KUBECONFIG_MODE })
  renameSync(`${home.kubeconfig}.new`, home.kubeconfig)
}
