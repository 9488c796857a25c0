import { ALL_TENANTS } from '@centaurus/api'
import { partitions } from '@centaurus/api/centaurus/v1'
import { systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { createHttpClient, type HttpClientConfig } from '@centaurus/client/http'
import { openHostDataplane, startNetworkDaemon } from '@centaurus/network'
import { containerdPaths, createCriRuntime } from '@centaurus/node'
import { apiServersOf } from '../api-servers.ts'
import { CLUSTER_DNS, CLUSTER_DOMAIN, POD_NETWORKS } from '../cluster-network.ts'
import { inheritedNameSockets, markReady, registerDaemon } from '../daemons.ts'
import type { Home } from '../home.ts'
import { pinFolder, programsFolder } from '../host-network.ts'
import { createLogger } from '../logger.ts'
import { cniSocket, networkSocket } from '../network-daemon-client.ts'
import { localNodeName, readNodeIdentity } from '../node-identity.ts'
import { channelProgram, channelSocket } from '../sandbox-runtime.ts'
import { serviceNetworksOf } from '../service-ranges.ts'
import { DEFAULT_SETTINGS, readSettings } from '../settings.ts'
import { untilStopped } from '../signals.ts'
import { UserError } from '../user-error.ts'

const USER_AGENT = 'centaurus-network'

/** Runs the network of this machine's pods until told to stop. Traffic goes on without it. */
export async function runNetwork(home: Home): Promise<void> {
  const { ca, cert, key, proxyCert, proxyKey } = readNodeIdentity(home)
  const servers = apiServersOf(home, readSettings(home) ?? DEFAULT_SETTINGS)
  await runNetworkOf(home, {
    nodeName: localNodeName(),
    node: { ...servers, ca, cert, key },
    // what a node agent may not read: all tenants' Services and policies
    proxy: { ...servers, ca, cert: proxyCert, key: proxyKey, tenant: ALL_TENANTS },
    runtimeEndpoint: `unix://${containerdPaths(home.containerdDir).socket}`,
    channelSocket: channelSocket(home),
  })
}

/** Whose network it is, and how it reaches whom it asks. */
export interface NetworkHost {
  readonly nodeName: string
  /** As the node's agent. */
  readonly node: HttpClientConfig
  /** With the view over all tenants. */
  readonly proxy: HttpClientConfig
  /** Such as `unix:///run/containerd/containerd.sock`. */
  readonly runtimeEndpoint: string
  /** Where its runtime's sandboxes look for channels. */
  readonly channelSocket: string
}

/** Runs the network of a host until told to stop; what it must not forget is in `home`. */
export async function runNetworkOf(home: Home, host: NetworkHost): Promise<void> {
  const { nodeName, node, proxy, runtimeEndpoint } = host
  registerDaemon(home, 'network')
  const logger = createLogger()
  const stopped = untilStopped()
  const client = createHttpClient({ ...node, userAgent: USER_AGENT })
  const proxyClient = createHttpClient({ ...proxy, userAgent: USER_AGENT })
  const deps = { clock: systemClock, random: systemRandom, logger }
  const podInformers = createInformerFactory(client, deps)
  const informers = createInformerFactory(proxyClient, deps)
  const registry = informers.informer(partitions)
  const runtime = createCriRuntime({ endpoint: runtimeEndpoint })
  const daemon = await startNetworkDaemon({
    nodeName,
    client,
    podInformers,
    informers,
    stateDir: home.networkDir,
    cniSocket: cniSocket(home),
    localSocket: networkSocket(home),
    podNetworks: POD_NETWORKS,
    serviceCIDRs: () => (registry.synced ? serviceNetworksOf(registry.list()) : undefined),
    dns: { address: CLUSTER_DNS, domain: CLUSTER_DOMAIN, sockets: inheritedNameSockets() },
    listSandboxes: async () => new Set((await runtime.listSandboxes()).map(({ id }) => id)),
    channels: () => channelProgram(home, { socket: host.channelSocket }),
    openDataplane: (network) =>
      openHostDataplane(network, {
        bpffs: pinFolder(home),
        objects: programsFolder(home),
        attach: 'auto',
        logger,
      }),
    ...deps,
  })
  const ready = daemon.ready.then(() => markReady(home, 'network')).catch(explain)
  try {
    await Promise.race([stopped, ready.then(() => stopped)])
    logger.info('Stopping the pod network; traffic goes on')
  } finally {
    await daemon.close()
    await informers.close()
    await podInformers.close()
    await runtime.close()
    await proxyClient.close()
    await client.close()
  }
}

/** What this machine lacks is for its user to mend, or to do without. */
function explain(cause: unknown): never {
  if (!(cause instanceof Error)) throw cause
  const advice = 'Or use the bridge network, without policies: ./centaurus down && ./centaurus up --network bridge'
  throw new UserError(`Cannot run the pod network: ${messagesOf(cause)}. ${advice}`, { cause })
}

/** Depth to which causes are told. */
const CAUSES_MAX = 3

function messagesOf(error: Error): string {
  const messages: string[] = []
  for (let each: unknown = error; each instanceof Error && messages.length < CAUSES_MAX; each = each.cause)
    messages.push(each.message)
  return messages.join(': ')
}
