import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { planNotReadyPod } from './plan.ts'

const NOW_MS = Date.UTC(2026, 0, 1)

describe('planNotReadyPod', () => {
  it('takes readiness away once', () => {
    const pod = { metadata: {}, status: { conditions: [{ type: 'Ready', status: 'True' }] } }
    const conditions = planNotReadyPod(pod, NOW_MS)!
    assert.equal(conditions[0]?.status, 'False')
    assert.equal(planNotReadyPod({ ...pod, status: { conditions } }, NOW_MS), undefined)
  })
})
