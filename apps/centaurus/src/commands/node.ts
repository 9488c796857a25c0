import { join } from 'node:path'
import { ALL_TENANTS, NAMESPACE_ANNOTATION, splitQualifiedName, StatusError, TENANT_ANNOTATION } from '@centaurus/api'
import { nodes } from '@centaurus/api/core/v1'
import { systemClock, systemRandom, type Logger, type Random } from '@centaurus/base'
import { createHttpClient, loadKubeconfig } from '@centaurus/client/http'
import { createInformerFactory, type Client } from '@centaurus/client'
import {
  createCriRuntime,
  createDelegatedAccess,
  createNodeAgent,
  DeviceManager,
  startKubeletServer,
  startServiceProxy,
  type KubeletServerOptions,
  type NodeAgent,
  type SandboxDetail,
  type ServiceProxyDeps,
} from '@centaurus/node'
import { readHostAddress, startClusterDns, type DnsClient } from '@centaurus/network'
import { apiServersOf, otherServers } from '../api-servers.ts'
import { CLUSTER_DNS, CLUSTER_DOMAIN } from '../cluster-network.ts'
import { openContainerd, POD_CIDR } from '../containers.ts'
import { markReady, registerDaemon } from '../daemons.ts'
import type { Home } from '../home.ts'
import { primaryAddress } from '../host-address.ts'
import { explainPort, KUBELET_PORT } from '../host-network.ts'
import { createLogger } from '../logger.ts'
import { localNodeName, readNodeIdentity, type NodeIdentity } from '../node-identity.ts'
import { DEFAULT_SETTINGS, hasOwnNetwork, readSettings, SIMULATED_NODES_MAX, type Settings } from '../settings.ts'
import { untilStopped } from '../signals.ts'
import { connectNodes, startSimulatedNodes } from '../simulated-nodes.ts'

/** Runs this machine's node agent, or the simulated ones, until told to stop. Containers go on without it. */
export async function runNode(home: Home): Promise<void> {
  registerDaemon(home, 'node')
  const settings = readSettings(home) ?? DEFAULT_SETTINGS
  const logger = createLogger()
  const stopped = untilStopped()
  const running =
    settings.nodes.type === 'simulated'
      ? await runSimulated(home, { ...settings, count: settings.nodes.count, logger })
      : await runLocal(home, settings, logger)
  markReady(home, 'node')
  logger.info('Started nodes')
  await stopped
  logger.info('Stopping nodes')
  await running.close()
}

interface Running {
  close(): Promise<void>
}

async function runSimulated(
  home: Home,
  { partition, count, simulatedGpus, logger }: Settings & { readonly count: number; readonly logger: Logger },
): Promise<Running> {
  const { config } = await loadKubeconfig(home.kubeconfig)
  const clients = connectNodes({ ...config, alternatives: otherServers(home, config.server) })
  const client = clients.client()
  await untilApiAnswers(client, 'simulated-0')
  const namePrefix = partition === undefined ? 'simulated-' : `${partition.name}-simulated-`
  const simulated = await startSimulatedNodes({
    client,
    clientOf: clients.clientOf,
    count,
    namePrefix,
    firstIndex: (partition?.index ?? 0) * SIMULATED_NODES_MAX,
    logger,
    tls: servingTls(readNodeIdentity(home)),
  })
  const gpus =
    simulatedGpus === undefined ? undefined : await simulateGpus({ file: simulatedGpus, client, namePrefix, logger })
  return {
    async close() {
      await gpus?.close()
      await simulated.close()
      await clients.close()
    },
  }
}

interface SimulatedGpus {
  readonly file: string
  readonly client: Client
  /** Of the nodes that are simulated here. */
  readonly namePrefix: string
  readonly logger: Logger
}

async function simulateGpus({ namePrefix, ...of }: SimulatedGpus): Promise<Running> {
  const { startSimulatedInventory } = await import('@centaurus/gpu')
  const deps = { ...of, clock: systemClock }
  const informers = createInformerFactory(of.client, { ...deps, random: systemRandom })
  const inventory = startSimulatedInventory({ ...deps, informers, isOurs: (name) => name.startsWith(namePrefix) })
  return {
    async close() {
      await inventory.close()
      await informers.close()
    },
  }
}

async function runLocal(home: Home, settings: Settings, logger: Logger): Promise<Running> {
  const containerd = await openContainerd(home, logger)
  const runtime = createCriRuntime({ endpoint: containerd.endpoint })
  const nodeName = localNodeName()
  const identity = readNodeIdentity(home)
  const { ca, cert, key, proxyCert, proxyKey } = identity
  const servers = apiServersOf(home, settings)
  const client = createHttpClient({ ...servers, ca, cert, key, userAgent: 'kubelet' })
  // Services of every tenant that has pods here are served on this node.
  const proxyIdentity = { cert: proxyCert, key: proxyKey, tenant: ALL_TENANTS }
  const proxyClient = createHttpClient({ ...servers, ca, ...proxyIdentity, userAgent: 'kube-proxy' })
  const deps = { client, clock: systemClock, random: systemRandom, logger }
  const informers = createInformerFactory(proxyClient, deps)
  const { kubeletDir } = settings
  const furtherDirs = kubeletDir === undefined ? [] : [kubeletDir]
  const devices = new DeviceManager({ dir: home.nodeDir, furtherDirs, clock: deps.clock, logger })
  const agent = createNodeAgent({
    ...deps,
    runtime,
    devices,
    config: {
      nodeName,
      hostIps: [primaryAddress()],
      rootDir: home.nodeDir,
      podLogsDir: join(home.nodeDir, 'logs'),
      seccompDir: join(home.nodeDir, 'seccomp'),
      kubeletPort: KUBELET_PORT,
      ...(hasOwnNetwork(settings) ? { hostAddressOf: (sandbox) => hostAddressOf(home, sandbox) } : {}),
    },
  })
  const kubelet = await startKubeletServer({
    ...deps,
    agents: () => [agent],
    access: createDelegatedAccess(deps),
    tls: servingTls(identity),
    port: KUBELET_PORT,
  }).catch(explainPort)
  // our own network serves Services and names itself
  const served = hasOwnNetwork(settings) ? [] : await serveByBridge({ ...deps, informers, agent, nodeName })
  await untilApiAnswers(client, nodeName)
  await agent.start()
  return {
    async close() {
      await agent.close()
      await kubelet.close()
      for (const each of served) await each.close()
      await informers.close()
      await runtime.close()
      await proxyClient.close()
      await client.close()
    },
  }
}

function hostAddressOf(home: Home, { id, ips }: Pick<SandboxDetail, 'id' | 'ips'>): string {
  return readHostAddress(home.networkDir, id) ?? ips[0] ?? ''
}

interface BridgeDeps extends Omit<ServiceProxyDeps, 'podCIDR'> {
  readonly client: Client
  readonly random: Random
  readonly agent: NodeAgent
}

/** Services and names for pods on the bridge. */
async function serveByBridge({ agent, ...deps }: BridgeDeps): Promise<{ close(): Promise<void> }[]> {
  const proxy = startServiceProxy({ ...deps, podCIDR: POD_CIDR })
  const dns = await startClusterDns({
    ...deps,
    address: CLUSTER_DNS,
    domain: CLUSTER_DOMAIN,
    clientAt: (address) => clientOf(agent.cache.sandboxAt(address)),
  })
  return [proxy, dns]
}

/** Whose pod a sandbox is; undefined where nobody knows any more what its shortened namespace stands for. */
function clientOf(sandbox: SandboxDetail | undefined): DnsClient | undefined {
  if (sandbox === undefined) return undefined
  const { annotations, podNamespace } = sandbox
  const own = splitQualifiedName(podNamespace)
  const tenant = annotations[TENANT_ANNOTATION] ?? own?.tenant
  return tenant === undefined
    ? undefined
    : { tenant, namespace: annotations[NAMESPACE_ANNOTATION] ?? own?.name ?? podNamespace }
}

const API_POLL_MS = 250

/** An agent that comes back before the control plane does waits for it: the containers run on meanwhile. */
async function untilApiAnswers(client: Client, nodeName: string): Promise<void> {
  for (;;) {
    try {
      await client.get(nodes, { name: nodeName })
      return
    } catch (error) {
      if (error instanceof StatusError) return // it answers; the agent will see what it says
      await systemClock.sleep(API_POLL_MS)
    }
  }
}

function servingTls({ ca, servingCert, servingKey }: NodeIdentity): KubeletServerOptions['tls'] {
  return { key: servingKey, cert: servingCert, clientCa: ca }
}
