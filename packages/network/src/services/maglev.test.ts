import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fillMaglev, maglevSize } from './maglev.ts'

const names = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `10.244.${(from + i) >> 8}.${(from + i) & 255}:8080`)

/** How many slots each backend has. */
function shares(table: Uint32Array, count: number): number[] {
  const counts = Array.from({ length: count }, () => 0)
  for (const index of table) counts[index] = (counts[index] ?? 0) + 1
  return counts
}

/** Slots whose backend is in both lists and yet another one. */
function movedSlots(before: readonly string[], after: readonly string[], size: number): number {
  const old = fillMaglev(before, size)
  const next = fillMaglev(after, size)
  const kept = new Set(after)
  return [...old].filter((index, slot) => {
    const name = before[index] ?? ''
    return kept.has(name) && after[next[slot] ?? 0] !== name
  }).length
}

describe('maglevSize', () => {
  it('has a prime with 25 slots a backend, one slot for one backend, none for none', () => {
    assert.deepEqual(
      [0, 1, 2, 3, 10, 11, 40, 1000, 10_000].map(maglevSize),
      [0, 1, 61, 251, 251, 1021, 1021, 65_521, 262_139],
    )
    for (const count of [2, 3, 11, 41, 200, 1000, 10_000]) {
      const size = maglevSize(count)
      for (let divisor = 2; divisor * divisor <= size; divisor++) assert.notEqual(size % divisor, 0, `${size}`)
    }
  })
})

describe('fillMaglev', () => {
  it('gives every backend as many slots as any other, give or take one', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 2, maxLength: 60 }), (backends) => {
        const counts = shares(fillMaglev(backends, maglevSize(backends.length)), backends.length)
        assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join())
      }),
      { numRuns: 100 },
    )
  })

  it('does not depend on the order of backends, so that all hosts have the same table', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.ipV4(), { minLength: 2, maxLength: 40 }), fc.nat(), (backends, turn) => {
        const cut = turn % backends.length
        const turned = [...backends.slice(cut), ...backends.slice(0, cut)]
        const size = maglevSize(backends.length)
        const here = [...fillMaglev(backends, size)].map((index) => backends[index])
        const there = [...fillMaglev(turned, size)].map((index) => turned[index])
        assert.deepEqual(here, there)
      }),
      { numRuns: 50 },
    )
  })

  it('moves few slots of the backends that stay when one goes or comes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 100 }), fc.nat({ max: 50_000 }), fc.nat(), (count, from, which) => {
        const before = names(count, from)
        const after = before.filter((_, index) => index !== which % count)
        const size = maglevSize(count)
        const lost = size / count
        assert.ok(movedSlots(before, after, size) <= 2 * lost + size * 0.02, `${count} backends`)
        assert.ok(movedSlots(after, before, size) <= lost + 2 * lost + size * 0.02, `${count} backends`)
      }),
      { numRuns: 100 },
    )
  })

  it('moves under 3 % of slots on average where a plain modulo would move nearly all', () => {
    const count = 100
    const size = maglevSize(count)
    const before = names(count)
    const moved = before.map((_, gone) =>
      movedSlots(
        before,
        before.filter((_, index) => index !== gone),
        size,
      ),
    )
    const average = moved.reduce((sum, slots) => sum + slots, 0) / count / size
    assert.ok(average < 0.03, `${average}`)
  })

  it('serves 5,000 backends', () => {
    const counts = shares(fillMaglev(names(5000), maglevSize(5000)), 5000)
    assert.deepEqual([Math.min(...counts), Math.max(...counts)], [52, 53])
  })
})
