import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { Pod } from '@centaurus/api/core/v1'
import type { UseSample } from '../measure-use.ts'
import { EMPTY_PROFILE, kindOf, observeClass, observeUse, type JobProfile } from './job-profile.ts'
import { jobTypeOf } from './job-type.ts'
import { interferenceOf, recommend } from './recommend.ts'

const GIB = 2 ** 30
const sampleOf = (sample: Partial<UseSample>): UseSample => ({
  seconds: 1,
  percent: 30,
  memoryBytes: 8 * GIB,
  launches: 100,
  waitedPercent: 0,
  refused: 0,
  tokensMs: 0,
  ...sample,
})

function profileOf(
  count: number,
  sample: (n: number) => Partial<UseSample>,
  beside: readonly string[] = [],
): JobProfile {
  return Array.from({ length: count }, (_, n) => n).reduce(
    (profile, n) => observeUse(profile, { sample: sampleOf(sample(n)), beside }),
    EMPTY_PROFILE,
  )
}

describe('recommend', () => {
  it('says nothing before ten minutes were seen', () => {
    assert.deepEqual(recommend(profileOf(599, () => ({}))), {})
    assert.deepEqual(recommend(profileOf(600, () => ({}))), { memoryMiB: 9472, compute: 40 })
  })

  it('covers the most memory that was used, and nearly all of the time', () => {
    const profile = profileOf(1_000, (n) => (n === 17 ? { memoryBytes: 20 * GIB, percent: 100 } : { percent: 30 }))
    const { memoryMiB, compute } = recommend(profile)
    assert.ok(memoryMiB! >= 20 * 1024 && memoryMiB! < 26 * 1024, `${memoryMiB}`)
    assert.equal(compute, 40)
  })

  it('says nothing of what a limit hid', () => {
    assert.deepEqual(Object.keys(recommend(profileOf(600, () => ({ waitedPercent: 50 })))), ['memoryMiB'])
    assert.deepEqual(Object.keys(recommend(profileOf(600, (n) => ({ refused: n === 5 ? 1 : 0 })))), ['compute'])
  })

  it('always fits what was seen', () => {
    const input = fc.record({ memory: fc.integer({ min: 1, max: 190_000 }), percent: fc.integer({ min: 0, max: 100 }) })
    fc.assert(
      fc.property(input, ({ memory, percent }) => {
        const { memoryMiB, compute } = recommend(profileOf(600, () => ({ memoryBytes: memory * 2 ** 20, percent })))
        assert.ok(memoryMiB! >= memory && memoryMiB! <= memory * 1.27 + 256)
        assert.ok(compute! >= percent && compute! <= Math.min(100, percent + 15))
      }),
      { seed: 1, numRuns: 30 },
    )
  })
})

describe('a job profile', () => {
  it('stays small, and forgets', () => {
    const partners = Array.from({ length: 40 }, (_, n) => `partner ${n}`)
    let profile = profileOf(100, () => ({}))
    for (const [n, partner] of partners.entries())
      for (let i = 0; i <= n; i++) profile = observeUse(profile, { sample: sampleOf({}), beside: [partner] })
    assert.equal(Object.keys(profile.beside).length, 16)
    assert.ok('partner 39' in profile.beside)
    for (let n = 0; n < 90_000; n++)
      profile = { ...profile, ...observeUse(profile, { sample: sampleOf({ percent: 90 }), beside: [] }) }
    assert.equal(recommend(profile).compute, 100)
    assert.ok(JSON.stringify(profile).length < 2_000)
  })

  it('is of the kind that was found most, whatever the pauses', () => {
    assert.equal(kindOf(EMPTY_PROFILE), undefined)
    const idle = observeClass(observeClass(EMPTY_PROFILE, { kind: 'idle' }), { kind: 'idle' })
    assert.equal(kindOf(idle), 'idle')
    const trained = observeClass(idle, { kind: 'training', periodSeconds: 20 })
    assert.deepEqual([kindOf(trained), trained.periodSeconds], ['training', 20])
    let changed = trained
    for (let n = 0; n < 1_000; n++) changed = observeClass(changed, { kind: 'training', periodSeconds: 20 })
    for (let n = 0; n < 200; n++) changed = observeClass(changed, { kind: 'inference' })
    assert.equal(kindOf(changed), 'inference')
    assert.equal(observeClass(trained, { kind: 'training', periodSeconds: 30 }).periodSeconds, 22)
  })

  it('tells which partners made it slower, of which enough was seen', () => {
    let profile = profileOf(100, () => ({ launches: 200 }))
    const meet = (partner: string, count: number, launches: number): void => {
      for (let n = 0; n < count; n++)
        profile = observeUse(profile, { sample: sampleOf({ launches }), beside: [partner] })
    }
    meet('kind', 100, 190)
    meet('greedy', 60, 80)
    meet('new', 59, 1)
    assert.deepEqual(interferenceOf(profile), [
      { partner: 'greedy', speed: 0.4 },
      { partner: 'kind', speed: 0.95 },
    ])
    assert.deepEqual(interferenceOf(EMPTY_PROFILE), [])
  })
})

describe('jobTypeOf', () => {
  const podOf = (metadata: Pod['metadata']): Pod => ({
    metadata: { namespace: 'ns', name: 'p-1', ...metadata },
    spec: { containers: [{ name: 'c', image: 'train:1' }] },
  })
  const ownedBy = (kind: string, name: string) => ({
    ownerReferences: [{ apiVersion: 'v1', kind, name, uid: 'u', controller: true }],
  })

  it('is the same for pods of one owner, over its versions', () => {
    const labels = { 'pod-template-hash': '5d4f' }
    assert.equal(jobTypeOf(podOf({ ...ownedBy('ReplicaSet', 'web-5d4f'), labels }), 'c'), 'ns Deployment/web c train:1')
    assert.equal(jobTypeOf(podOf(ownedBy('Job', 'nightly-29401680')), 'c'), 'ns CronJob/nightly c train:1')
    assert.equal(jobTypeOf(podOf(ownedBy('TrainingJob', 'bert')), 'c'), 'ns TrainingJob/bert c train:1')
    assert.equal(jobTypeOf(podOf({}), 'c'), 'ns Pod/p-1 c train:1')
    assert.equal(jobTypeOf(podOf({ labels: { 'centaurus.io/gpu-job-type': 'llm' } }), 'c'), 'ns type/llm c train:1')
  })
})
