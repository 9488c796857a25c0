import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { checkKey, toSortKey } from './sort-key.ts'

describe('toSortKey', () => {
  it('orders as UTF-8 bytes do, and keeps prefixes', () => {
    const text = fc.string({ unit: 'binary', maxLength: 6 })
    const property = fc.property(text, text, (a, b) => {
      const byBytes = Buffer.compare(Buffer.from(a), Buffer.from(b))
      const [x, y] = [toSortKey(a), toSortKey(b)]
      assert.equal(x < y ? -1 : x > y ? 1 : 0, byBytes)
      assert(toSortKey(a + b).startsWith(x))
    })
    fc.assert(property, { numRuns: 2_000 })
  })
})

describe('checkKey', () => {
  it('refuses what UTF-8 cannot hold', () => {
    assert.throws(() => checkKey(''), TypeError)
    assert.throws(() => checkKey('a\udc00'), TypeError)
    checkKey('a\u{10000}')
  })
})
