import { isStatus, type Stored } from '@centaurus/api'
import { queuedworkloads, type QueuedWorkload, type QueuedWorkloadStatus } from '@centaurus/api/centaurus/v1'
import type { ReconcileResult } from '@centaurus/client'
import type { Eviction } from './core/types.ts'
import { ownName } from './own-name.ts'
import { readWorkload, type SyncDeps } from './sync-deps.ts'
import { isLeaving, stateOf, withAdmission, withCounts, withEviction } from './workload-status.ts'

const WRITES_AT_ONCE = 32

interface Decision {
  readonly id: string
  /** Undefined: the workload is not any more what was decided about. */
  readonly change: (workload: Stored<QueuedWorkload>, nowMs: number) => QueuedWorkloadStatus | undefined
  readonly event: { readonly reason: string; readonly message: string }
}

/** Decides for a tenant, and writes what was decided. Whoever changed meanwhile is decided about again. */
export async function applyPlan(tenant: string, deps: SyncDeps): Promise<ReconcileResult> {
  const { clock, tenantOf, queue } = deps
  const own = tenantOf(tenant)
  const nowMs = clock.now()
  const plan = own.plan(nowMs)
  const decisions: Decision[] = [
    ...plan.evict.map(toEviction),
    ...plan.resize.map(({ id, counts }): Decision => ({
      id,
      change: (workload) => (stateOf(workload).type === 'admitted' ? withCounts(workload, counts) : undefined),
      event: { reason: 'Resized', message: `Goes on with ${counts.join(' and ')} pods` },
    })),
    ...plan.admit.map(({ id, counts }): Decision => ({
      id,
      change: (workload, atMs) =>
        stateOf(workload).type === 'waiting' ? withAdmission(workload, counts, atMs) : undefined,
      event: { reason: 'Admitted', message: 'Quota reserved, admitted' },
    })),
  ]
  for (const { id } of decisions) own.beginWrite(id)
  for (let i = 0; i < decisions.length; i += WRITES_AT_ONCE)
    await Promise.all(decisions.slice(i, i + WRITES_AT_ONCE).map((decision) => write(decision, tenant, deps)))
  if (decisions.length > 0) queue.add(`plan ${tenant}`)
  return plan.wakeAtMs === undefined ? undefined : { requeueAfterMs: Math.max(1, plan.wakeAtMs - clock.now()) }
}

function toEviction({ id, reason, by }: Eviction): Decision {
  const why = {
    Preempted: `Preempted to accommodate a workload of higher priority in its queue${by === undefined ? '' : `: ${ownName(by)}`}`,
    Reclaimed: `Preempted to accommodate a workload of a queue that has less than its share${by === undefined ? '' : `: ${ownName(by)}`}`,
    Drained: 'Its queue is stopped',
  }[reason]
  const conditionReason = reason === 'Drained' ? 'QueueStopped' : 'Preempted'
  return {
    id,
    change: (workload, nowMs) =>
      stateOf(workload).type === 'admitted' && !isLeaving(workload)
        ? withEviction(workload, { reason: conditionReason, message: why, nowMs })
        : undefined,
    event: { reason: `EvictedDueTo${conditionReason}`, message: why },
  }
}

/** What was decided about an object that has changed is decided anew. */
async function write({ id, change, event }: Decision, tenant: string, deps: SyncDeps): Promise<void> {
  const { client, clock, events, workloadInformer, tenantOf } = deps
  const own = tenantOf(tenant)
  const cached = workloadInformer.get(id)
  try {
    const status = cached === undefined ? undefined : change(cached, clock.now())
    if (cached === undefined || status === undefined)
      return own.notWritten(id, await readWorkload(id, deps), clock.now())
    const written = await client.updateStatus(queuedworkloads, { ...cached, status })
    own.written(written, clock.now())
    const object = { ...written, apiVersion: 'centaurus.io/v1' as const, kind: 'QueuedWorkload' as const }
    events.record(object, { type: 'Normal', ...event })
  } catch (error) {
    own.notWritten(id, await readWorkload(id, deps), clock.now())
    if (!isStatus(error, 'Conflict') && !isStatus(error, 'NotFound')) throw error
  }
}
