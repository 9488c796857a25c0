import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { exhaustedCondition, findBusyKeys, planNumbers, withExhausted } from './plan.ts'

const NOW = '2026-01-01T00:00:00Z'
const NONE = { next: 0, end: 0 }

describe('numbers for new identities', () => {
  it('are reserved, some more than are needed, before they are given', () => {
    const facts = { missing: 3, room: 100, pool: NONE, nextIdentity: undefined }
    assert.deepEqual(planNumbers(facts), { count: 3, reserve: { next: 256, end: 320 } })
    assert.deepEqual(planNumbers({ ...facts, missing: 90, nextIdentity: 320 }), {
      count: 90,
      reserve: { next: 320, end: 410 },
    })
  })

  it('come from what is left, and then from what is reserved next', () => {
    const facts = { missing: 3, room: 100, pool: { next: 300, end: 302 }, nextIdentity: 320 }
    assert.deepEqual(planNumbers(facts), { count: 2 })
    assert.deepEqual(planNumbers({ ...facts, missing: 0 }), { count: 0 })
    assert.deepEqual(planNumbers({ ...facts, missing: 0, pool: NONE }), { count: 0 })
  })

  it('end with what the tenant may have, and with what packets can carry', () => {
    const facts = { missing: 3, room: 2, pool: NONE, nextIdentity: 256 }
    assert.equal(planNumbers(facts).count, 2)
    assert.equal(planNumbers({ ...facts, room: -5 }).count, 0)
    assert.equal(planNumbers({ ...facts, nextIdentity: 2 ** 32 - 64 }).reserve?.end, 2 ** 32)
    assert.throws(
      () => planNumbers({ ...facts, nextIdentity: 2 ** 32 - 63 }),
      /All identities of the network were given/,
    )
  })
})

describe('too many identities', () => {
  it('are told with the keys that make them many', () => {
    const labels = Array.from({ length: 50 }, (_, i) => ({ pod: `p${i}`, app: i % 2 === 0 ? 'a' : 'b', zone: 'z' }))
    const keys = findBusyKeys(labels)
    assert.deepEqual(keys.slice(0, 2), [
      { key: 'pod', values: 50 },
      { key: 'app', values: 2 },
    ])
    const { message, status } = exhaustedCondition({ waiting: 7, max: 50, keys }, NOW)
    assert.equal(status, 'True')
    assert.match(
      message,
      /has 50 network identities.*pods with 7 other combinations.*"pod" \(50 values\), "app" \(2 values\)/,
    )
  })

  it('are told once, and taken back when there is room', () => {
    const told = exhaustedCondition({ waiting: 1, max: 5, keys: [] }, NOW)
    const over = exhaustedCondition(undefined, '2026-01-02T00:00:00Z')
    assert.equal(withExhausted(undefined, over), undefined)
    const status = withExhausted({ vni: 7 }, told)
    assert.deepEqual(status, { vni: 7, conditions: [told] })
    assert.equal(withExhausted(status, told), undefined)
    assert.deepEqual(withExhausted(status, over)?.conditions, [over])
    assert.equal(withExhausted(withExhausted(status, over), over), undefined)
  })
})
