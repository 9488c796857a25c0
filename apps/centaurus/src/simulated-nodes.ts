import type { Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'

export interface SimulatedNodesOptions {
  readonly client: Client
  readonly count: number
  readonly logger: Logger
}

/** Starts node agents over simulated runtimes, all in this process. Resolves when they are registered. */
export async function startSimulatedNodes({ count }: SimulatedNodesOptions): Promise<{ close(): Promise<void> }> {
  if (count > 0) throw new Error('Simulated nodes are not wired yet')
  return { close: async () => {} }
}
