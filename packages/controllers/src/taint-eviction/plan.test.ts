import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Toleration } from '@centaurus/api/core/v1'
import { planEviction } from './plan.ts'

const NOW_MS = 1_000_000
const A = { key: 'a', effect: 'NoExecute' }
const B = { key: 'b', effect: 'NoExecute' }

function tolerate(key: string, tolerationSeconds?: number): Toleration {
  return { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds }
}

describe('planEviction', () => {
  const plan = (tolerations: readonly Toleration[], scheduledMs?: number): number | undefined =>
    planEviction({ taints: [A, B], tolerations, scheduledMs, nowMs: NOW_MS })

  it('evicts at once when one taint is not tolerated', () => {
    assert.equal(plan([tolerate('a')]), NOW_MS)
    assert.equal(plan([tolerate('a'), tolerate('b', 0)]), NOW_MS)
  })

  it('lets a pod stay that tolerates all for ever, or has no taint', () => {
    assert.equal(plan([tolerate('a'), tolerate('b')]), undefined)
    assert.equal(planEviction({ taints: [], tolerations: [], scheduledMs: NOW_MS, nowMs: NOW_MS }), undefined)
  })

  it('waits as long as the shortest toleration says, counted from the first time', () => {
    const tolerations = [tolerate('a', 300), tolerate('b', 60)]
    assert.equal(plan(tolerations), NOW_MS + 60_000)
    assert.equal(plan(tolerations, NOW_MS + 10_000), NOW_MS + 10_000)
    assert.equal(plan(tolerations, NOW_MS + 200_000), NOW_MS + 60_000)
  })
})
