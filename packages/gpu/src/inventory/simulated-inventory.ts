import { nodes } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import type { Client, InformerFactory } from '@centaurus/client'
import type { HostGpus } from '../sources/device-source.ts'
import { openPoolsFile } from '../sources/simulated/pools-file.ts'
import { simulateGpus } from '../sources/simulated/simulated-probe.ts'
import { startInventoryKeeper } from './inventory-keeper.ts'

/** How often the file is looked at. */
const LOOK_MS = 1_000

export interface SimulatedInventoryOptions {
  /** Says which GPUs to simulate. */
  readonly file: string
  /** May write nodes. */
  readonly client: Client
  readonly informers: InformerFactory
  /** Whether a node is simulated by the caller, with all that it has. */
  readonly isOurs: (nodeName: string) => boolean
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Has simulated nodes say that they have the GPUs that a file says, for tests of scheduling: there is no kubelet that counts them, and no container that uses
 * them. Follows the file. Throws `GpuError` when that can't be read at first.
 */
export function startSimulatedInventory(options: SimulatedInventoryOptions): { close(): Promise<void> } {
  const { file, client, informers, isOurs, clock, logger } = options
  const source = openPoolsFile(file)
  let pools = source.read()
  /** By node, as `pools` say. */
  let known = new Map<string, HostGpus>()
  let problem: string | undefined
  let closed = false
  const informer = informers.informer(nodes)
  const simulateOrNone = (nodeName: string): HostGpus => {
    try {
      return simulateGpus(pools, nodeName)
    } catch (error) {
      logger.warn('Could not simulate GPUs of a node', { node: nodeName, error })
      return simulateGpus([], nodeName)
    }
  }
  const gpusOf = (nodeName: string): HostGpus => {
    let gpus = known.get(nodeName)
    if (gpus === undefined) known.set(nodeName, (gpus = simulateOrNone(nodeName)))
    return gpus
  }
  const keeper = startInventoryKeeper({
    nodes: informer,
    client,
    gpusOf: (nodeName) =>
      isOurs(nodeName) ? { kind: 'simulated', gpus: gpusOf(nodeName), isUncounted: true } : undefined,
    clock,
    logger,
  })
  const look = (): void => {
    if (closed) return
    try {
      const now = source.read()
      problem = undefined
      if (now !== pools) {
        pools = now
        known = new Map()
        for (const { metadata } of informer.list()) keeper.follow(metadata.name)
      }
    } catch (error) {
      if (problem !== String(error)) logger.warn('Could not look at GPUs', { error })
      problem = String(error)
    }
    clock.setTimer(LOOK_MS, look)
  }
  look()
  return {
    close() {
      closed = true
      return keeper.close()
    },
  }
}
