import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime } from '@centaurus/api'
import type { Job } from '@centaurus/api/batch/v1'
import { planExpiry } from './plan.ts'

const FINISHED_MS = Date.UTC(2026, 0, 1)

function jobOf(type: string, { ttl, isDeleting = false }: { ttl?: number; isDeleting?: boolean } = {}): Job {
  const deletion = isDeleting ? { deletionTimestamp: formatTime(FINISHED_MS) } : {}
  const condition = { type, status: 'True', lastTransitionTime: formatTime(FINISHED_MS) }
  return {
    metadata: { name: 'j', ...deletion },
    spec: { template: {}, ttlSecondsAfterFinished: ttl },
    status: { conditions: [condition] },
  }
}

describe('planExpiry', () => {
  it('tells how long a job that has finished stays, whether it failed or not', () => {
    for (const type of ['Complete', 'Failed']) {
      assert.equal(planExpiry(jobOf(type, { ttl: 60 }), FINISHED_MS + 20_000), 40_000)
      assert.equal(planExpiry(jobOf(type, { ttl: 0 }), FINISHED_MS + 20_000), 0)
    }
  })

  it('leaves other jobs alone', () => {
    assert.equal(planExpiry(jobOf('Complete'), FINISHED_MS), undefined)
    assert.equal(planExpiry(jobOf('Suspended', { ttl: 0 }), FINISHED_MS), undefined)
    assert.equal(planExpiry(jobOf('Complete', { ttl: 0, isDeleting: true }), FINISHED_MS), undefined)
  })
})
