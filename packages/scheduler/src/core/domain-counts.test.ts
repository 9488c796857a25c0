import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { DomainCounts } from './domain-counts.ts'

describe('DomainCounts', () => {
  it('counts like a plain map, sparse and dense', () => {
    const change = fc.record({ domain: fc.nat(400), delta: fc.integer({ min: -2, max: 3 }) })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 1_500, size: 'max' }), fc.boolean(), (changes, isFull) => {
        const counts = new DomainCounts()
        const expected = new Map<number, number>()
        const add = (domain: number, wanted: number): void => {
          const before = expected.get(domain) ?? 0
          const delta = Math.max(-before, wanted) // counts are never negative
          counts.add(domain, delta)
          if (before + delta === 0) expected.delete(domain)
          else expected.set(domain, before + delta)
        }
        if (isFull) for (let domain = 0; domain <= 400; domain++) add(domain, 1)
        for (const { domain, delta } of changes) {
          add(domain, delta)
          assert.equal(counts.get(domain), expected.get(domain) ?? 0)
          assert.equal(counts.nonZero, expected.size)
          assert.equal(counts.least(), expected.size === 0 ? 0 : Math.min(...expected.values()))
        }
        assert.equal(
          counts.total,
          [...expected.values()].reduce((a, b) => a + b, 0),
        )
      }),
      { numRuns: 30 },
    )
  })
})
