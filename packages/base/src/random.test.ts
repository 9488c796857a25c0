import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom, systemRandom } from './random.ts'

describe('a seeded random', () => {
  it('repeats itself for the same seed and differs for another', () => {
    const draw = (seed: number): number[] => {
      const random = createSeededRandom(seed)
      return Array.from({ length: 8 }, () => random.integer(1000))
    }
    assert.deepEqual(draw(7), draw(7))
    assert.notDeepEqual(draw(7), draw(8))
  })

  it('spreads over its range', () => {
    const random = createSeededRandom(1)
    const buckets = Array.from({ length: 10 }, () => 0)
    for (let i = 0; i < 10_000; i++) buckets[random.integer(10)]!++
    assert.ok(Math.min(...buckets) > 850 && Math.max(...buckets) < 1150, buckets.join(' '))
  })
})

describe('the random of the system', () => {
  it('spreads over its range, and repeats nothing', () => {
    const buckets = Array.from({ length: 10 }, () => 0)
    for (let i = 0; i < 100_000; i++) buckets[systemRandom.integer(10)]!++
    assert.ok(Math.min(...buckets) > 9_300 && Math.max(...buckets) < 10_700, buckets.join(' '))
    const numbers = Array.from({ length: 10_000 }, () => systemRandom.next())
    assert.equal(new Set(numbers).size, numbers.length)
    assert.ok(numbers.every((number) => number >= 0 && number < 1))
  })
})
