import { systemClock, systemRandom, type Logger } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import { createDelegatedAccess, startKubeletServer, type KubeletServerOptions, type NodeAgent } from '@centaurus/node'
import { createSimulatedNode } from '@centaurus/simulation'

export interface SimulatedNodesOptions {
  readonly client: Client
  readonly count: number
  readonly logger: Logger
  /** For the port at which the API server asks for logs. */
  readonly tls: KubeletServerOptions['tls']
}

/** Nodes that register at the same time. */
const STARTS_AT_ONCE = 16

/** Starts node agents over simulated runtimes, all in this process. Resolves when they are registered. */
export async function startSimulatedNodes(options: SimulatedNodesOptions): Promise<{ close(): Promise<void> }> {
  const { client, count, logger, tls } = options
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
  agents = Array.from({ length: count }, (_, index) =>
    createSimulatedNode({ ...deps, informers, index, nodeName: `simulated-${index}`, config }),
  )
  for (let first = 0; first < agents.length; first += STARTS_AT_ONCE) {
    await Promise.all(agents.slice(first, first + STARTS_AT_ONCE).map((agent) => agent.start()))
  }
  return {
    async close() {
      await Promise.all(agents.map((agent) => agent.close()))
      await server.close()
      await informers.close()
    },
  }
}
