import { ALL_TENANTS } from '@centaurus/api'
import { nodes } from '@centaurus/api/core/v1'
import { systemClock, systemRandom, type Logger } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import { createSharedHttpClients, type HttpClientConfig, type SharedHttpClients } from '@centaurus/client/http'
import { createDelegatedAccess, startKubeletServer, type KubeletServerOptions, type NodeAgent } from '@centaurus/node'
import { createSimulatedNode } from '@centaurus/simulation'

export interface SimulatedNodesOptions {
  /** Sees the objects of all tenants that have something on the nodes. */
  readonly client: Client
  /** Of one node, as the node itself. */
  readonly clientOf: (nodeName: string) => Client
  readonly count: number
  /** Of the nodes' names, before their numbers; default `simulated-`. Names are unlike those of any other partition's nodes. */
  readonly namePrefix?: string | undefined
  /** Number of the first one among all simulated nodes of the cluster: gives its pods their addresses. Default 0. */
  readonly firstIndex?: number | undefined
  readonly logger: Logger
  /** For the port at which the API server asks for logs. */
  readonly tls: KubeletServerOptions['tls']
}

/** Nodes that register at the same time. */
const STARTS_AT_ONCE = 16

/** Clients of simulated nodes over HTTP, for an administrator: each node acts as itself over shared connections. */
export function connectNodes(config: HttpClientConfig): SharedHttpClients & Pick<SimulatedNodesOptions, 'clientOf'> {
  const shared = createSharedHttpClients({ ...config, userAgent: 'kubelet', tenant: ALL_TENANTS })
  return {
    ...shared,
    // The server puts nodes into their view by itself.
    clientOf: (nodeName) => shared.client({ impersonate: nodeIdentity(nodeName), tenant: undefined }),
  }
}

/** Who a node agent is. */
export function nodeIdentity(nodeName: string): { readonly user: string; readonly groups: readonly string[] } {
  return { user: `system:node:${nodeName}`, groups: ['system:nodes', 'system:authenticated'] }
}

/** Starts node agents over simulated runtimes, all in this process. Resolves when they are registered. */
export async function startSimulatedNodes(options: SimulatedNodesOptions): Promise<{ close(): Promise<void> }> {
  const { client, clientOf, count, logger, tls, namePrefix = 'simulated-', firstIndex = 0 } = options
  if (count === 0) return { close: async () => {} }
  const deps = { client, clock: systemClock, random: systemRandom, logger }
  const informers = createInformerFactory(client, deps)
  let agents: readonly NodeAgent[] = []
  const server = await startKubeletServer({
    ...deps,
    tls,
    access: createDelegatedAccess(deps),
    agents: () => agents,
    host: '127.0.0.1',
    port: 0,
  })
  const config = { kubeletPort: server.port }
  agents = Array.from({ length: count }, (_, i) => {
    const nodeName = namePrefix + String(i)
    return createSimulatedNode({
      ...deps,
      client: clientOf(nodeName),
      informers,
      index: firstIndex + i,
      nodeName,
      config,
    })
  })
  const close = async (): Promise<void> => {
    await Promise.all(agents.map((agent) => agent.close()))
    await server.close()
    await informers.close()
  }
  try {
    for (let first = 0; first < agents.length; first += STARTS_AT_ONCE) {
      const batch = agents.slice(first, first + STARTS_AT_ONCE)
      await Promise.all(batch.map((agent) => agent.start()))
      await Promise.all(batch.map((_, i) => giveRole(client, namePrefix + String(first + i))))
    }
  } catch (error) {
    await close() // else those that have started would keep the process
    throw error
  }
  return { close }
}

/** What `kubectl get nodes` shows; nodes may not take a role by themselves. */
async function giveRole(client: Client, name: string): Promise<void> {
  const body = { metadata: { labels: { 'node-role.kubernetes.io/simulated': '' } } }
  await client.patch(nodes, { name }, { type: 'merge', body })
}
