import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client, InformerFactory } from '@centaurus/client'
import { createNodeAgent, type NodeAgent, type NodeAgentOptions } from '@centaurus/node'

import { createSimulatedHost, type SimulatedCapacity } from './simulated-host.ts'
import { createSimulatedRuntime } from './simulated-runtime.ts'

export interface SimulatedNodeOptions {
  readonly client: Client
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly nodeName: string
  /** Which of the simulated nodes it is, from 0: gives it pod addresses of its own, 10.128.0.0/10 in ranges of 256. */
  readonly index?: number | undefined
  /** Shared by the nodes of one process; they then list services once. */
  readonly informers?: InformerFactory | undefined
  readonly capacity?: Partial<SimulatedCapacity> | undefined
  readonly config?: Partial<NodeAgentOptions> | undefined
}

/** A role is not a node's own to take: who starts it gives it one. */
const SIMULATED_LABELS = { 'centaurus.io/simulated': 'true' }
const POD_RANGES = 2 ** 14

/** A node agent with a simulated runtime and host: the same code as on a real node, no root, no containers. Its node says that it is simulated. */
export function createSimulatedNode(options: SimulatedNodeOptions): NodeAgent {
  const { client, clock, random, logger, nodeName, informers, capacity, index = 0 } = options
  const range = index % POD_RANGES
  const runtime = createSimulatedRuntime({
    clock,
    random,
    podCIDR: `10.${128 + (range >> 8)}.${range & 255}.0/24`,
    pods: () => agent.pods(),
  })
  const host = createSimulatedHost({ nodeName, runtime, capacity })
  const config = {
    nodeName,
    hostIps: ['127.0.0.1'],
    watchObjects: false, // nothing is written to files, so a read when a pod starts is enough
    ...options.config,
    labels: { ...SIMULATED_LABELS, ...options.config?.labels },
  }
  const agent = createNodeAgent({ client, runtime, host, clock, random, logger, informers, config })
  return agent
}
