import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { BlockAllocator } from './block-allocator.ts'

describe('BlockAllocator', () => {
  it('gives a block again only after it settled', () => {
    const blocks = new BlockAllocator(4)
    assert.equal(blocks.allocate(3), 0)
    blocks.release(0)
    assert.equal(blocks.allocate(3), undefined)
    blocks.settle()
    assert.equal(blocks.allocate(4), 0)
    assert.equal(blocks.allocate(1), undefined)
  })

  it('takes what another process has', () => {
    const blocks = new BlockAllocator(10)
    assert.equal(blocks.reserve(2, 3), true)
    assert.equal(blocks.reserve(4, 1), false)
    assert.deepEqual([blocks.allocate(3), blocks.allocate(2), blocks.usedElements], [5, 0, 8])
    assert.throws(() => blocks.release(3), /No block begins at 3/)
  })

  it('never gives one element to two, and ends up with all of them', () => {
    const step = fc.record({ count: fc.integer({ min: 1, max: 20 }), release: fc.boolean(), settle: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const blocks = new BlockAllocator(128)
        const held = new Map<number, number>()
        for (const { count, release, settle } of steps) {
          const first = blocks.allocate(count)
          if (first !== undefined) {
            for (const [other, length] of held) assert.ok(first + count <= other || other + length <= first)
            assert.ok(first + count <= 128)
            held.set(first, count)
          }
          const oldest = held.keys().next().value
          if (release && oldest !== undefined) {
            blocks.release(oldest)
            held.delete(oldest)
          }
          if (settle) blocks.settle()
          assert.equal(
            blocks.usedElements,
            [...held.values()].reduce((sum, length) => sum + length, 0),
          )
        }
        for (const first of held.keys()) blocks.release(first)
        blocks.settle()
        assert.equal(blocks.allocate(128), 0)
      }),
    )
  })
})
