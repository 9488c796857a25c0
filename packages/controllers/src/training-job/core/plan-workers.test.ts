import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { planWorkers, type ElasticJob } from './plan-workers.ts'

const job = (id: string, rest: Partial<ElasticJob> = {}): ElasticJob => ({
  id,
  min: 1,
  max: 8,
  perWorker: 1,
  current: 0,
  speedAt: (workers) => workers / (1 + 0.1 * (workers - 1)),
  remaining: 1_000,
  done: 0,
  restartSeconds: 30,
  ageSeconds: 1_000,
  settledSeconds: 1_000,
  priority: 0,
  isPreemptible: true,
  ...rest,
})
const plan = (jobs: readonly ElasticJob[], capacity: number): Record<string, number> =>
  Object.fromEntries(planWorkers(jobs, { capacity }))

describe('planWorkers', () => {
  it('starts a job with what there is', () => {
    assert.deepEqual(plan([job('a', { min: 2 })], 5), { a: 5 })
    assert.deepEqual(plan([job('a', { min: 2 })], 1), { a: 0 })
  })

  it('shrinks a job when another one needs room, and lets it grow back', () => {
    assert.deepEqual(plan([job('a', { current: 8 }), job('b', { max: 4 })], 8), { a: 4, b: 4 })
    assert.deepEqual(plan([job('a', { current: 4 })], 8), { a: 8 })
  })

  it('gives a job no workers that it makes nothing of', () => {
    const flat = job('flat', { speedAt: (workers) => (workers === 1 ? 1 : 0.9) })
    assert.deepEqual(plan([flat, job('good')], 8), { flat: 1, good: 7 })
  })

  it('finds sizes beyond one at which another worker does not help', () => {
    const speeds = [0, 1, 0.9, 1.2, 4]
    assert.deepEqual(plan([job('a', { max: 4, speedAt: (workers) => speeds[workers]! })], 4), { a: 4 })
  })

  it('serves the higher priority first, but never stops who may not be stopped', () => {
    const low = job('low', { min: 2, current: 6, isPreemptible: false })
    assert.deepEqual(plan([low, job('high', { priority: 1 })], 8), { low: 2, high: 6 })
  })

  it('does not restart a job for little, or right after it was restarted', () => {
    const slow = { current: 4, speedAt: (workers: number) => 1 + 0.01 * workers }
    assert.deepEqual(plan([job('a', slow)], 8), { a: 4 })
    assert.deepEqual(plan([job('a', { current: 4, settledSeconds: 10 })], 8), { a: 4 })
  })

  it('counts what each worker takes', () => {
    assert.deepEqual(plan([job('a', { perWorker: 8, max: 4 })], 20), { a: 2 })
  })

  const anyJob = fc.record({
    min: fc.integer({ min: 1, max: 8 }),
    more: fc.integer({ min: 0, max: 60 }),
    perWorker: fc.constantFrom(0.5, 1, 8),
    current: fc.constantFrom(0, 1),
    loss: fc.double({ min: 0, max: 0.5, noNaN: true }),
    remaining: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }),
    settledSeconds: fc.integer({ min: 0, max: 1_000 }),
    priority: fc.integer({ min: 0, max: 2 }),
    isPreemptible: fc.boolean(),
  })

  it('never gives more than there is, nor a job a size that it can’t have', () => {
    fc.assert(
      fc.property(fc.array(anyJob, { maxLength: 20 }), fc.integer({ min: 0, max: 200 }), (list, spare) => {
        const jobs = list.map(({ more, loss, current, ...rest }, i) =>
          job(`job-${i}`, {
            ...rest,
            max: rest.min + more,
            current: current * rest.min,
            speedAt: (workers) => workers / (1 + loss * (workers - 1)),
          }),
        )
        const capacity = spare + jobs.reduce((sum, { current, perWorker }) => sum + current * perWorker, 0)
        const sizes = planWorkers(jobs, { capacity })
        let used = 0
        for (const { id, min, max, current, perWorker, isPreemptible } of jobs) {
          const workers = sizes.get(id)!
          used += workers * perWorker
          assert.ok(workers === 0 || (workers >= min && workers <= max), `${id}: ${workers}`)
          if (current > 0 && !isPreemptible) assert.ok(workers >= min)
        }
        assert.ok(used <= capacity + 1e-6)
      }),
    )
  })
})
