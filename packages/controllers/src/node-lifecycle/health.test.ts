import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime, type Stored } from '@centaurus/api'
import type { Lease } from '@centaurus/api/coordination/v1'
import type { Node, NodeCondition } from '@centaurus/api/core/v1'
import { observeHealth, planUnknownConditions, silentTooLongMs } from './health.ts'

const NOW_MS = Date.UTC(2026, 0, 1)
const GRACE = { monitorGraceMs: 50_000, startupGraceMs: 60_000 }

function nodeOf(conditions: NodeCondition[]): Stored<Node> {
  const creationTimestamp = formatTime(NOW_MS)
  return { metadata: { name: 'n', uid: 'n', resourceVersion: '1', creationTimestamp }, status: { conditions } }
}

const ready = (heartbeat: string): Stored<Node> =>
  nodeOf([{ type: 'Ready', status: 'True', lastHeartbeatTime: heartbeat }])
const leaseOf = (renewTime: string): Lease => ({ metadata: { name: 'n' }, spec: { renewTime } })

describe('observeHealth', () => {
  it('takes a new heartbeat or a later renewal as a sign of life, at the time it is seen', () => {
    const first = observeHealth(undefined, { node: ready('h1'), lease: leaseOf('2026-01-01T00:00:00.000000Z') }, 1000)
    assert.equal(first.probedMs, 1000)
    const again = observeHealth(first, { node: ready('h1'), lease: leaseOf('2026-01-01T00:00:00.000000Z') }, 2000)
    assert.equal(again, first)
    const renewed = observeHealth(first, { node: ready('h1'), lease: leaseOf('2026-01-01T00:00:10.000000Z') }, 3000)
    assert.equal(renewed.probedMs, 3000)
    const older = observeHealth(renewed, { node: ready('h1'), lease: leaseOf('2025-01-01T00:00:10.000000Z') }, 4000)
    assert.equal(older, renewed)
    assert.equal(observeHealth(renewed, { node: ready('h2'), lease: undefined }, 5000).probedMs, 5000)
  })

  it('gives a node that never told its status more time', () => {
    const silent = observeHealth(undefined, { node: nodeOf([]), lease: undefined }, 0)
    assert.ok(silentTooLongMs(silent, GRACE, 55_000) < 0)
    assert.ok(silentTooLongMs(silent, GRACE, 60_001) > 0)
    const posted = observeHealth(undefined, { node: ready('h'), lease: undefined }, 0)
    assert.ok(silentTooLongMs(posted, GRACE, 50_001) > 0)
  })
})

describe('planUnknownConditions', () => {
  it('makes what the agent tells unknown, adds what it never told, and leaves the network alone', () => {
    const network = { type: 'NetworkUnavailable', status: 'False' }
    const planned = planUnknownConditions(nodeOf([{ type: 'Ready', status: 'True' }, network]), NOW_MS)!
    assert.deepEqual(
      planned.map(({ type, status, reason }) => [type, status, reason]),
      [
        ['Ready', 'Unknown', 'NodeStatusUnknown'],
        ['NetworkUnavailable', 'False', undefined],
        ['MemoryPressure', 'Unknown', 'NodeStatusNeverUpdated'],
        ['DiskPressure', 'Unknown', 'NodeStatusNeverUpdated'],
        ['PIDPressure', 'Unknown', 'NodeStatusNeverUpdated'],
      ],
    )
    assert.equal(planUnknownConditions(nodeOf(planned), NOW_MS), undefined)
  })
})
