import { nodes, type Node } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import { createWorkQueue, runController, type Client, type Informer } from '@centaurus/client'
import { planInventory, type InventoryPlan, type NodeGpus } from './plan-inventory.ts'

const BACKOFF_MS_MAX = 10_000
/** Nodes written at the same time. */
const WORKERS = 4

export interface InventoryKeeperOptions {
  /** Nodes that may have GPUs. */
  readonly nodes: Informer<Node>
  /** May write those nodes, as a node's agent may write its own. */
  readonly client: Client
  /** Undefined: the node is none of ours. */
  readonly gpusOf: (nodeName: string) => NodeGpus | undefined
  readonly clock: Clock
  readonly logger: Logger
}

export interface InventoryKeeper {
  /** The GPUs of a node are others. */
  follow(nodeName: string): void
  /** Why a node of ours may not say yet which GPUs there are; undefined: it does. */
  problemOf(nodeName: string): string | undefined
  close(): Promise<void>
}

/** Keeps Nodes saying which GPUs they have, also after they were made anew, or others changed them. */
export function startInventoryKeeper(options: InventoryKeeperOptions): InventoryKeeper {
  const { nodes: informer, gpusOf, clock, logger } = options
  const queue = createWorkQueue({ clock, backoffMaxMs: BACKOFF_MS_MAX })
  const failures = new Map<string, string>()
  const follow = (nodeName: string): void => {
    if (gpusOf(nodeName) !== undefined) queue.add(nodeName)
  }
  const onNode = ({ metadata }: Node): void => follow(metadata.name ?? '')
  const stopFollowing = informer.addHandler({ onAdd: onNode, onUpdate: onNode })
  const controller = runController({
    name: 'gpu-inventory',
    queue,
    workers: WORKERS,
    logger,
    async reconcile(nodeName) {
      try {
        await writeInventory(nodeName, options)
        failures.delete(nodeName)
      } catch (error) {
        failures.set(nodeName, error instanceof Error ? error.message : String(error))
        throw error
      }
    },
  })
  return {
    follow,
    problemOf: (nodeName) => describeProblem(planFor(nodeName, options), { nodeName, failure: failures.get(nodeName) }),
    async close() {
      stopFollowing()
      await controller.close()
    },
  }
}

/** Undefined: there is no such Node, or it is none of ours. */
function planFor(
  nodeName: string,
  { nodes: informer, gpusOf }: Pick<InventoryKeeperOptions, 'nodes' | 'gpusOf'>,
): InventoryPlan | undefined {
  const node = informer.get(nodeName)
  const gpus = gpusOf(nodeName)
  return node === undefined || gpus === undefined ? undefined : planInventory({ node, ...gpus })
}

function describeProblem(
  plan: InventoryPlan | undefined,
  { nodeName, failure }: { readonly nodeName: string; readonly failure: string | undefined },
): string | undefined {
  if (plan === undefined) return `Node ${nodeName} is not there: its agent has not registered it yet`
  if (plan.metadata === undefined && plan.status === undefined) return undefined
  return `Node ${nodeName} does not say yet which GPUs it has${failure === undefined ? '' : `: ${failure}`}`
}

async function writeInventory(nodeName: string, options: InventoryKeeperOptions): Promise<void> {
  const { client, logger } = options
  const { metadata, status } = planFor(nodeName, options) ?? {}
  if (metadata !== undefined) await client.patch(nodes, { name: nodeName }, { type: 'merge', body: { metadata } })
  if (status !== undefined)
    await client.patch(nodes, { name: nodeName }, { type: 'merge', body: { status } }, { subresource: 'status' })
  if (metadata !== undefined || status !== undefined) logger.info('Wrote the inventory of GPUs', { node: nodeName })
}
