import { formatTime, isStatus } from '@centaurus/api'
import { leases } from '@centaurus/api/coordination/v1'
import { partitions } from '@centaurus/api/centaurus/v1'
import type { Clock, Logger } from '@centaurus/base'
import { createWorkQueue, runController, type Client, type InformerFactory } from '@centaurus/client'
import { HEARTBEAT_GRACE_MS, HEARTBEAT_NAMESPACE, partitionOfLease } from './heartbeat.ts'
import { planSilentStatus } from './partition-status.ts'

export interface PartitionHealthOptions {
  /** Of the home partition, where this runs. */
  readonly client: Client
  readonly informers: InformerFactory
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Marks partitions `Ready=Unknown` that have sent no heartbeat for {@link HEARTBEAT_GRACE_MS} by this process's clock, whatever
 * their own clocks say. Only marks: nobody deletes anything for it.
 */
export function startPartitionHealth(options: PartitionHealthOptions): { close(): Promise<void> } {
  const { client, informers, clock, logger } = options
  const source = informers.informer(partitions)
  const heartbeats = informers.informer(leases, { namespace: HEARTBEAT_NAMESPACE })
  const queue = createWorkQueue({ clock })
  /** When each was heard of last, or first asked about; by this process's clock. */
  const heardMs = new Map<string, number>()
  const hear = (name: string | undefined): void => {
    if (name !== undefined) heardMs.set(name, clock.monotonicMs())
  }
  const removes = [
    source.addHandler({
      onAdd: ({ metadata }) => queue.add(metadata.name),
      onUpdate: ({ metadata }) => queue.add(metadata.name),
      onDelete: ({ metadata }) => void heardMs.delete(metadata.name),
    }),
    heartbeats.addHandler({
      onAdd: (lease) => hear(partitionOfLease(lease)),
      onUpdate: (lease) => hear(partitionOfLease(lease)),
    }),
  ]
  const running = runController({
    name: 'partition-health',
    queue,
    workers: 1,
    logger,
    async reconcile(name) {
      const partition = source.get(name)
      if (partition === undefined || partition.spec.home === true) return // who runs this, answers
      if (!heardMs.has(name)) hear(name) // it may have been silent for long, but not for this process
      const silentMs = clock.monotonicMs() - heardMs.get(name)!
      if (silentMs < HEARTBEAT_GRACE_MS) return { requeueAfterMs: HEARTBEAT_GRACE_MS - silentMs }
      const now = formatTime(clock.now())
      const status = planSilentStatus(partition, Math.round(silentMs / 1000), now)
      if (status !== undefined) {
        logger.warn('Lost sight of a partition', { partition: name, silentMs })
        await client.updateStatus(partitions, { ...partition, status }).catch((error: unknown) => {
          if (!isStatus(error, 'NotFound')) throw error
        })
      }
      return { requeueAfterMs: HEARTBEAT_GRACE_MS }
    },
  })
  return {
    async close() {
      for (const remove of removes) remove()
      await running.close()
    },
  }
}
