import { isStatus, type Stored } from '@centaurus/api'
import { remotenodes, type Partition, type RemoteNode } from '@centaurus/api/centaurus/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createWorkQueue, runController, type Client, type Informer, type RunningController } from '@centaurus/client'
import type { Membership } from '../membership/membership.ts'
import { createNodesSource } from './nodes-source.ts'
import { planRemoteNode } from './plan-remote-node.ts'

const WORKERS = 8
/** A copy whose partition can't be asked now is looked at again so soon. */
const RECHECK_MS = 30_000

export interface RemoteNodesDeps {
  readonly membership: Pick<Membership, 'self' | 'get' | 'list' | 'onChange'>
  /** A client for another partition's own objects, which is closed here. */
  readonly openClient: (partition: Stored<Partition>) => Client
  /** Why a partition is not believed at the moment; undefined: it is. */
  readonly whyFenced: (partition: string) => string | undefined
  /** Of this partition's `system` tenant, and what it shows of the copies. */
  readonly client: Client
  readonly informer: Informer<RemoteNode>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/**
 * Keeps, for this partition's nodes, a RemoteNode for each node of the others: pods of a tenant may be on any of them. Written when addresses or labels change, and not
 * with heartbeats. Run it in one server of a partition with nodes at a time.
 */
export function startRemoteNodes(deps: RemoteNodesDeps): RunningController {
  const { membership, client, informer, clock, logger } = deps
  const { self } = membership
  const others = { ...membership, self, list: () => membership.list().filter(({ metadata }) => metadata.name !== self) }
  const source = createNodesSource({ ...deps, membership: others })
  const queue = createWorkQueue({ clock })
  const add = ({ metadata: { name } }: { readonly metadata: { readonly name: string } }): void => queue.add(name)
  const stops = [
    source.informer.addHandler({ onAdd: add, onUpdate: add, onDelete: add }),
    informer.addHandler({ onAdd: add, onUpdate: add, onDelete: add }),
  ]
  const isAuthoritative = (partition: string): boolean =>
    membership.get(partition)?.spec.roles.includes('Resource') === true
      ? partition !== self && source.isAuthoritative(partition)
      : true // it is no more, or has no nodes
  const running = runController({
    name: 'remote-node-controller',
    queue,
    workers: WORKERS,
    logger,
    async reconcile(name, signal) {
      await source.informer.whenSynced(signal)
      await informer.whenSynced(signal)
      const object = source.informer.get(name)
      const partition = source.partitionOf(name)
      const node = object === undefined || partition === undefined ? undefined : { object, partition }
      const copy = informer.get(name)
      const step = planRemoteNode({ node, copy, isAuthoritative })
      if (step.type === 'create') await ignoring('AlreadyExists', client.create(remotenodes, step.object))
      else if (step.type === 'update') await client.update(remotenodes, step.object)
      else if (step.type === 'delete') await ignoring('NotFound', client.delete(remotenodes, { name }))
      else if (node === undefined && copy !== undefined) return { requeueAfterMs: RECHECK_MS }
      return undefined
    },
  })
  return {
    ...running,
    async close() {
      for (const stop of stops) stop()
      await running.close()
      await source.close()
    },
  }
}

async function ignoring(reason: 'AlreadyExists' | 'NotFound', write: Promise<unknown>): Promise<void> {
  try {
    await write
  } catch (error) {
    if (!isStatus(error, reason)) throw error
  }
}
