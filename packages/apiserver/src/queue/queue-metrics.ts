import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { findCondition, isConditionTrue, parseQuantity, parseTime, type Stored } from '@centaurus/api'
import type { Queue, QueuedWorkload } from '@centaurus/api/centaurus/v1'
import type { StoredChange, StoredObjects } from '../resource/stored-objects.ts'

const QUEUES = 'centaurus.io/queues'
const WORKLOADS = 'centaurus.io/queuedworkloads'
const LABELS = ['tenant', 'queue'] as const
const WAIT_BUCKETS_SECONDS = [1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120, 10_240]

/**
 * Measures queues of all tenants, by what is committed: as many series as there are queues and resources of them. Names and labels after
 * Kueue's, kubernetes-sigs/kueue pkg/metrics v0.19. Returns what ends it.
 */
export function addQueueMetrics(metrics: Registry, stored: StoredObjects): () => void {
  addQueueGauges(metrics, stored)
  const counters = createCounters(metrics)
  return stored.onChange(WORKLOADS, (change) => {
    if (change.type === 'MODIFIED') count(change, counters)
  })
}

function addQueueGauges(metrics: Registry, stored: StoredObjects): void {
  const each = (visit: (labels: { tenant: string; queue: string }, queue: Stored<Queue>) => void): void => {
    for (const tenant of stored.tenants()) {
      for (const entry of stored.list(tenant, QUEUES)) {
        const queue = entry.object() as Stored<Queue>
        visit({ tenant, queue: queue.metadata.name }, queue)
      }
    }
  }
  const perQueue = (name: string, help: string, read: (status: Queue['status']) => number | undefined): void => {
    const gauge: Gauge<(typeof LABELS)[number]> = new Gauge({
      name,
      help,
      labelNames: LABELS,
      registers: [metrics],
      collect() {
        gauge.reset()
        each((labels, { status }) => gauge.set(labels, read(status) ?? 0))
      },
    })
  }
  perQueue(
    'centaurus_queue_pending_workloads',
    'Workloads that wait in a queue, or in those in it.',
    (status) => status?.pendingWorkloads,
  )
  perQueue(
    'centaurus_queue_admitted_active_workloads',
    'Admitted workloads that have not finished.',
    (status) => status?.admittedWorkloads,
  )
  const perResource = (name: string, help: string, field: 'used' | 'nominal' | 'borrowed'): void => {
    const gauge: Gauge<'tenant' | 'queue' | 'resource'> = new Gauge({
      name,
      help,
      labelNames: [...LABELS, 'resource'],
      registers: [metrics],
      collect() {
        gauge.reset()
        each((labels, { status }) => {
          for (const { name: resource, ...amounts } of status?.resources ?? [])
            gauge.set({ ...labels, resource }, parseQuantity(amounts[field]).milliValue / 1_000)
        })
      },
    })
  }
  perResource('centaurus_queue_resource_usage', 'What admitted workloads use of a queue.', 'used')
  perResource('centaurus_queue_nominal_quota', 'What a queue has, with what the queues in it lend.', 'nominal')
  perResource('centaurus_queue_resource_borrowed', 'What a queue uses above what it has.', 'borrowed')
}

interface Counters {
  readonly admitted: Counter<'tenant' | 'queue'>
  readonly waits: Histogram<'tenant' | 'queue'>
  readonly evicted: Counter<'tenant' | 'queue' | 'reason'>
}

function createCounters(metrics: Registry): Counters {
  const registers = [metrics]
  return {
    admitted: new Counter({
      name: 'centaurus_queue_admitted_workloads_total',
      help: 'Admissions of workloads.',
      labelNames: LABELS,
      registers,
    }),
    waits: new Histogram({
      name: 'centaurus_queue_admission_wait_time_seconds',
      help: 'Time from when a workload was made, or evicted, to its admission.',
      labelNames: LABELS,
      buckets: WAIT_BUCKETS_SECONDS,
      registers,
    }),
    evicted: new Counter({
      name: 'centaurus_queue_evicted_workloads_total',
      help: 'Evictions of workloads, by reason.',
      labelNames: [...LABELS, 'reason'],
      registers,
    }),
  }
}

function count({ tenant, object, previous }: StoredChange, { admitted, waits, evicted }: Counters): void {
  const now = object.object() as Stored<QueuedWorkload>
  const before = previous?.object() as Stored<QueuedWorkload> | undefined
  const labels = { tenant, queue: now.spec.queueName }
  const became = (type: string): boolean =>
    isConditionTrue(now.status?.conditions, type) && !isConditionTrue(before?.status?.conditions, type)
  if (became('Admitted')) {
    admitted.inc(labels)
    const since =
      findCondition(before?.status?.conditions, 'Requeued')?.lastTransitionTime ?? now.metadata.creationTimestamp
    const [sinceMs, atMs] = [parseTime(since ?? ''), parseTime(now.status?.admission?.time ?? '')]
    if (sinceMs !== undefined && atMs !== undefined) waits.observe(labels, Math.max(0, atMs - sinceMs) / 1_000)
  }
  // The reason is a word of the controller's, not of users.
  if (became('Evicted'))
    evicted.inc({ ...labels, reason: findCondition(now.status?.conditions, 'Evicted')?.reason ?? '' })
}
