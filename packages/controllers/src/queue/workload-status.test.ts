import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findCondition, type Stored } from '@centaurus/api'
import type { QueuedWorkload, QueuedWorkloadStatus } from '@centaurus/api/centaurus/v1'
import {
  stateOf,
  withAdmission,
  withCounts,
  withEviction,
  withFinished,
  withoutHeld,
  withRelease,
} from './workload-status.ts'

const NOW = Date.UTC(2026, 0, 1)

function workload(status?: QueuedWorkloadStatus, active?: boolean): Stored<QueuedWorkload> {
  const metadata = { name: 'w', namespace: 'default', uid: 'u', resourceVersion: '1', creationTimestamp: '' }
  const podSets = [{ name: 'main', count: 8, minCount: 2 }]
  const spec = { queueName: 'team--acme', podSets, ...(active === undefined ? {} : { active }) }
  return { metadata, spec, ...(status === undefined ? {} : { status }) }
}

describe('the status of a workload', () => {
  it('tells from its first wait to its end what it is', () => {
    const admitted = workload(withAdmission(workload(), [8], NOW))
    assert.equal(findCondition(admitted.status?.conditions, 'QuotaReserved')?.message, 'Quota reserved in queue team')
    assert.deepEqual(stateOf(admitted), {
      type: 'admitted',
      counts: [8],
      held: [8],
      admittedAtMs: NOW,
      isLeaving: false,
    })
    const evicted = workload(withEviction(admitted, { reason: 'Preempted', message: 'why', nowMs: NOW }))
    assert.deepEqual(stateOf(evicted), { type: 'admitted', counts: [8], held: [8], admittedAtMs: NOW, isLeaving: true })
    const released = workload(withRelease(evicted, NOW))
    assert.deepEqual(stateOf(released), { type: 'waiting', atMs: NOW + 1_000 })
    const twice = workload(
      withRelease(workload(withEviction(released, { reason: 'a', message: 'b', nowMs: NOW })), NOW),
    )
    assert.deepEqual(stateOf(twice), { type: 'waiting', atMs: NOW + 2_000 })
    const again = workload(withAdmission(twice, [8], NOW))
    assert.equal(findCondition(again.status?.conditions, 'Evicted')?.status, 'False')
    const finished = withFinished(again, { reason: 'Succeeded', message: '' }, NOW)
    assert.deepEqual(stateOf(workload(finished)), { type: 'finished' })
  })

  it('counts pods that it gives up until they are gone', () => {
    const shrinking = workload(withCounts(workload(withAdmission(workload(), [8], NOW)), [4]))
    assert.deepEqual(stateOf(shrinking), {
      type: 'admitted',
      counts: [4],
      held: [8],
      admittedAtMs: NOW,
      isLeaving: false,
    })
    const more = workload(withCounts(shrinking, [2]))
    assert.deepEqual(
      [stateOf(more)],
      [{ type: 'admitted', counts: [2], held: [8], admittedAtMs: NOW, isLeaving: false }],
    )
    assert.deepEqual(withoutHeld(more).admission?.podSets, [{ name: 'main', count: 2 }])
  })

  it('is nobody’s turn while users do not want it', () => {
    assert.deepEqual(stateOf(workload(undefined, false)), { type: 'inactive' })
    const running = workload(withAdmission(workload(), [8], NOW), false)
    assert.deepEqual(stateOf(running), { type: 'admitted', counts: [8], held: [8], admittedAtMs: NOW, isLeaving: true })
  })
})
