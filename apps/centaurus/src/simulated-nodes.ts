import { systemClock, systemRandom, type Logger } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import { createSimulatedNode } from '@centaurus/simulation'

export interface SimulatedNodesOptions {
  readonly client: Client
  readonly count: number
  readonly logger: Logger
}

/** Nodes that register at the same time. */
const STARTS_AT_ONCE = 16

/** Starts node agents over simulated runtimes, all in this process. Resolves when they are registered. */
export async function startSimulatedNodes({ client, count, logger }: SimulatedNodesOptions): Promise<{ close(): Promise<void> }> {
  const deps = { client, clock: systemClock, random: systemRandom, logger }
  const informers = createInformerFactory(client, deps)
  const agents = Array.from({ length: count }, (_, index) =>
    createSimulatedNode({ ...deps, informers, index, nodeName: `simulated-${index}` }),
  )
  for (let first = 0; first < agents.length; first += STARTS_AT_ONCE) {
    await Promise.all(agents.slice(first, first + STARTS_AT_ONCE).map((agent) => agent.start()))
  }
  return {
    async close() {
      await Promise.all(agents.map((agent) => agent.close()))
      await informers.close()
    },
  }
}
