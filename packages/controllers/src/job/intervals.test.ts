import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { assert as assertProperty, integer, property, uniqueArray } from 'fast-check'
import {
  countCommon,
  countIndexes,
  firstFreeIndexes,
  formatIntervals,
  hasIndex,
  mergeIntervals,
  parseIntervals,
  withIndexes,
} from './intervals.ts'

const COMPLETIONS = 60
const indexes = uniqueArray(integer({ min: 0, max: COMPLETIONS - 1 }))

describe('completion indexes', () => {
  it('behave like sets of numbers', () => {
    assertProperty(
      property(indexes, indexes, integer({ min: 0, max: COMPLETIONS }), (a, b, count) => {
        const [left, right] = [withIndexes([], a), withIndexes([], b)]
        const union = new Set([...a, ...b])
        const merged = mergeIntervals(left, right)
        assert.equal(countIndexes(merged), union.size)
        assert.equal(countCommon(left, right), a.filter((index) => b.includes(index)).length)
        const all = Array.from({ length: COMPLETIONS }, (_, index) => index)
        for (const index of all) assert.equal(hasIndex(merged, index), union.has(index))
        assert.deepEqual(
          firstFreeIndexes(merged, { count, completions: COMPLETIONS }),
          all.filter((index) => !union.has(index)).slice(0, count),
        )
        assert.deepEqual(parseIntervals(formatIntervals(merged), COMPLETIONS), merged)
      }),
    )
  })

  it('are written as upstream writes them, and cut at the completions', () => {
    assert.equal(formatIntervals(withIndexes([], [0, 2, 3, 5, 6, 7])), '0,2,3,5-7')
    assert.deepEqual(parseIntervals('0,2-9,x,12', 5), [
      { first: 0, last: 0 },
      { first: 2, last: 4 },
    ])
  })
})
