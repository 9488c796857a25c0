import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import { Histogram, subtractHistogram } from './histogram.ts'

describe('Histogram', () => {
  it('agrees with sorting, up to the width of a bucket', () => {
    const random = createSeededRandom(7)
    const histogram = new Histogram()
    const values = Array.from({ length: 5_000 }, () => 0.1 * 10 ** (5 * random.next()))
    for (const value of values) histogram.observe(value)
    const sorted = values.toSorted((a, b) => a - b)
    for (const part of [0.5, 0.9, 0.99, 1]) {
      const exact = sorted[Math.ceil(part * sorted.length) - 1]!
      const told = histogram.percentile(part)
      assert.ok(told >= exact * 0.999 && told <= exact * 1.051, `${part}: ${told} for ${exact}`)
    }
  })

  it('tells what was counted since a moment', () => {
    const histogram = new Histogram()
    for (let i = 0; i < 50; i++) histogram.observe(500)
    const before = histogram.toJSON()
    for (let i = 0; i < 100; i++) histogram.observe(10)
    const since = new Histogram()
    since.add(subtractHistogram(histogram.toJSON(), before))
    assert.equal(since.count, 100)
    assert.ok(since.percentile(1) < 10.6, String(since.percentile(1)))
    assert.ok(Math.abs(since.meanMs - 10) < 1e-9)
  })

  it('adds up what others counted', () => {
    const [all, a, b] = [new Histogram(), new Histogram(), new Histogram()]
    for (let i = 1; i <= 100; i++) {
      all.observe(i)
      ;(i % 3 === 0 ? a : b).observe(i)
    }
    a.add(JSON.parse(JSON.stringify(b)) as ReturnType<Histogram['toJSON']>)
    assert.deepEqual(a.toJSON(), all.toJSON())
    assert.equal(new Histogram().percentile(0.5), Number.NaN)
  })
})
