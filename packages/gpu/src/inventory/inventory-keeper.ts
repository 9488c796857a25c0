import { nodes, type Node } from '@centaurus/api/core/v1'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { Client, Informer } from '@centaurus/client'
import type { DeviceSource } from '../sources/open-device-source.ts'
import { planInventory } from './plan-inventory.ts'

/** Between two looks that may write: whatever others do with the Node, it is not written more often. */
const REST_MS = 1_000

export interface InventoryKeeperOptions {
  readonly source: DeviceSource
  /** The one Node. */
  readonly nodes: Informer<Node>
  /** As the node's agent. */
  readonly client: Client
  readonly nodeName: string
  readonly clock: Clock
  readonly logger: Logger
}

export interface InventoryKeeper {
  /** Why the Node may not say yet which GPUs there are; undefined: it does. */
  readonly problem: string | undefined
  close(): Promise<void>
}

/** Keeps the Node saying which GPUs it has, also after it was made anew, or others changed it. */
export function startInventoryKeeper(options: InventoryKeeperOptions): InventoryKeeper {
  const { source, nodes: informer, nodeName, clock, logger } = options
  let problem: string | undefined = `Node ${nodeName} has not been looked at yet`
  let timer: Timer | undefined
  let turn: Promise<void> | undefined
  let isStale = false
  let closed = false

  const look = async (): Promise<void> => {
    isStale = false
    try {
      await writeInventory(options)
      problem = undefined
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      if (why !== problem) logger.warn('Could not write the inventory of GPUs', { node: nodeName, error })
      problem = why
      isStale = true
    }
    timer = clock.setTimer(REST_MS, () => {
      turn = undefined
      if (isStale) follow()
    })
  }
  const follow = (): void => {
    if (closed) return
    isStale = true
    turn ??= look()
  }
  const enders = [source.onChange(follow), informer.addHandler({ onAdd: follow, onUpdate: follow, onDelete: follow })]
  follow()
  return {
    get problem() {
      return problem
    },
    async close() {
      closed = true
      for (const end of enders) end()
      timer?.cancel()
      await turn
    },
  }
}

/** Rejects when the Node is not there, or the API refuses. */
async function writeInventory({
  source,
  nodes: informer,
  client,
  nodeName,
  logger,
}: InventoryKeeperOptions): Promise<void> {
  const node = informer.get(nodeName)
  if (node === undefined) throw new Error(`Node ${nodeName} is not there: its agent has not registered it yet`)
  const { metadata, status } = planInventory({ node, kind: source.kind, gpus: source.gpus })
  if (metadata !== undefined) await client.patch(nodes, { name: nodeName }, { type: 'merge', body: { metadata } })
  if (status !== undefined)
    await client.patch(nodes, { name: nodeName }, { type: 'merge', body: { status } }, { subresource: 'status' })
  if (metadata === undefined && status === undefined) return
  const unhealthy = source.gpus.devices.filter(({ problem }) => problem !== undefined)
  logger.info('Wrote the inventory of GPUs', {
    node: nodeName,
    devices: source.gpus.devices.length,
    unhealthy: unhealthy.length,
  })
}
