import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime, type Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus } from '@centaurus/api/policy/v1'
import { planBudget } from './plan.ts'

const NOW_MS = Date.UTC(2026, 0, 1)
const META = { namespace: 'ns', resourceVersion: '1', creationTimestamp: '' }

function podOf(name: string, ready = true): Stored<Pod> {
  return {
    metadata: { ...META, name, uid: name },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  }
}

function plan(
  spec: PodDisruptionBudgetSpec,
  pods: readonly Stored<Pod>[],
  { expectedScale = 0, status }: { expectedScale?: number; status?: PodDisruptionBudgetStatus } = {},
) {
  const budget: Stored<PodDisruptionBudget> = {
    metadata: { ...META, name: 'b', uid: 'b', generation: 1 },
    spec,
    ...(status === undefined ? {} : { status }),
  }
  return planBudget({ budget, pods, expectedScale, nowMs: NOW_MS })
}

describe('planBudget', () => {
  const three = [podOf('a'), podOf('b'), podOf('c', false)]

  it('allows what is above the minimum of healthy pods', () => {
    const { status } = plan({ minAvailable: 1 }, three)
    assert.deepEqual(
      [status.currentHealthy, status.desiredHealthy, status.expectedPods, status.disruptionsAllowed],
      [2, 1, 3, 1],
    )
    assert.equal(status.conditions?.[0]?.reason, 'SufficientPods')
  })

  it('counts percentages of what the controllers want, rounded up', () => {
    assert.equal(plan({ minAvailable: '50%' }, three, { expectedScale: 5 }).status.desiredHealthy, 3)
    assert.equal(plan({ maxUnavailable: '30%' }, three, { expectedScale: 4 }).status.desiredHealthy, 2)
    assert.equal(plan({ maxUnavailable: 1 }, three, { expectedScale: 3 }).status.disruptionsAllowed, 0)
  })

  it('counts a granted eviction as happened until it is overdue', () => {
    const base = { currentHealthy: 2, desiredHealthy: 1, disruptionsAllowed: 0, expectedPods: 3 }
    const recent = plan({ minAvailable: 1 }, three, {
      status: { ...base, disruptedPods: { a: formatTime(NOW_MS - 30_000) } },
    })
    assert.deepEqual([recent.status.disruptionsAllowed, recent.requeueAfterMs], [0, 90_000])
    const overdue = plan({ minAvailable: 1 }, three, {
      status: { ...base, disruptedPods: { a: formatTime(NOW_MS - 130_000) } },
    })
    assert.deepEqual([overdue.status.disruptionsAllowed, overdue.status.disruptedPods], [1, undefined])
  })

  it('allows nothing when there is nothing', () => {
    assert.equal(plan({ minAvailable: 0 }, []).status.disruptionsAllowed, 0)
  })
})
