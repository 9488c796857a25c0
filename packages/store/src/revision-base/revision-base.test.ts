import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMemoryStore } from '../memory/memory-store.ts'
import { CompactedError, FutureRevisionError } from '../store.ts'
import { describeStoreContract } from '../testing/contract.ts'
import { put, recordWatch, withStore } from '../testing/fixtures.ts'
import { REVISION_SPAN, REVISION_SPANS_MAX, shiftRevisions, withRevisionBase } from './revision-base.ts'

const BASE = 3 * REVISION_SPAN

describeStoreContract('A store that is shifted there and back', async () =>
  shiftRevisions(shiftRevisions(createMemoryStore(), BASE), -BASE),
)

describe('a store with a revision base', () => {
  const open = async () => withRevisionBase(createMemoryStore(), BASE)

  it(
    'counts from its base on',
    withStore(open, async (store) => {
      const revision = await put(store, 'a', '1')
      assert.equal(revision, await store.currentRevision())
      assert.ok(revision > BASE && revision < BASE + 10)
      assert.equal((await store.get('a')).entry?.modRevision, revision)
      assert.equal((await store.range('a', { atRevision: revision })).revision, revision)
    }),
  )

  it(
    'takes the revisions of other stores for forgotten or future ones, never for its own',
    withStore(open, async (store) => {
      const revision = await put(store, 'a', '1')
      await assert.rejects(store.get('a', { atRevision: revision - BASE }), CompactedError)
      await assert.rejects(store.range('a', { atRevision: revision + REVISION_SPAN }), FutureRevisionError)
      const watch = recordWatch(store, 'a', { from: revision - BASE })
      await watch.until(({ ended }) => ended !== undefined)
      assert.ok(watch.ended?.error instanceof CompactedError)
      assert.deepEqual(watch.calls, [])
      const stale = { compare: [{ key: 'a', modRevision: revision - BASE }], changes: [] }
      assert.equal((await store.commit(stale)).committed, false)
    }),
  )

  it('refuses bases between two spans, and those beyond what a number can be', () => {
    for (const base of [5, -REVISION_SPAN, REVISION_SPANS_MAX * REVISION_SPAN])
      assert.throws(
        () => withRevisionBase(createMemoryStore(), base),
        /one of the first 900 multiples of 10000000000000/,
      )
  })
})
