import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeText, encodeText } from '@centaurus/base'
import { FutureRevisionError, StoreClosedError } from '../store.ts'
import { keeps, type OpenStore, type StoreContractOptions } from './options.ts'
import { put, remove, show, withStore } from './fixtures.ts'

/** Revisions, comparisons, transactions, single reads, closing. */
export function describeCommits(open: OpenStore, options: StoreContractOptions): void {
  describe('commits and reads', () => {
    describeRevisions(open)
    if (keeps(options, 'commits are made in the order of the calls')) describeOrder(open)
    describeComparisons(open)
    describeReads(open)
    describeClosing(open)
  })
}

function describeRevisions(open: OpenStore): void {
  it(
    'starts at revision 1, empty',
    withStore(open, async (store) => {
      assert.equal(await store.currentRevision(), 1)
      assert.deepEqual(await store.range(''), { revision: 1, entries: [], more: false, count: 0 })
      assert.deepEqual(await store.get('a'), { revision: 1, entry: undefined })
    }),
  )

  it(
    'numbers commits by ones',
    withStore(open, async (store) => {
      const revisions = await Promise.all(Array.from({ length: 50 }, (_, i) => put(store, `k${i % 7}`, `${i}`)))
      assert.deepEqual(
        revisions.toSorted((a, b) => a - b),
        Array.from({ length: 50 }, (_, i) => i + 2),
      )
      assert.equal(await store.currentRevision(), 51)
      for (const [i, revision] of revisions.entries()) {
        const { entry } = await store.get(`k${i % 7}`, { atRevision: revision })
        assert.equal(decodeText(entry!.value), `${i}`)
        assert.equal(entry!.modRevision, revision)
      }
    }),
  )

  it(
    'keeps create revision and version through updates, and starts again after a delete',
    withStore(open, async (store) => {
      await put(store, 'a', '1')
      await put(store, 'a', '2')
      assert.equal(show((await store.get('a')).entry), 'a=2@3+2#2')
      await remove(store, 'a')
      assert.equal((await store.get('a')).entry, undefined)
      await put(store, 'a', '3')
      assert.equal(show((await store.get('a')).entry), 'a=3@5+5#1')
    }),
  )

  it(
    'makes all changes of a commit in one revision',
    withStore(open, async (store) => {
      await put(store, 'gone', 'x')
      const result = await store.commit({
        changes: [
          { type: 'put', key: 'b', value: encodeText('1') },
          { type: 'delete', key: 'gone' },
          { type: 'put', key: 'a', value: encodeText('2') },
        ],
      })
      assert.deepEqual(result, { committed: true, revision: 3 })
      assert.deepEqual((await store.range('')).entries.map(show), ['a=2@3+3#1', 'b=1@3+3#1'])
    }),
  )

  it(
    'takes no revision for a commit that changes nothing',
    withStore(open, async (store) => {
      await put(store, 'a', '1')
      assert.deepEqual(await store.commit({ changes: [{ type: 'delete', key: 'none' }] }), {
        committed: true,
        revision: 2,
      })
      assert.deepEqual(await store.commit({ changes: [] }), { committed: true, revision: 2 })
      const mixed = await store.commit({
        changes: [
          { type: 'delete', key: 'none' },
          { type: 'delete', key: 'a' },
        ],
      })
      assert.deepEqual(mixed, { committed: true, revision: 3 })
    }),
  )

  it(
    'refuses a key that appears twice, is empty or is not text',
    withStore(open, async (store) => {
      const value = encodeText('1')
      const twice = [{ type: 'put', key: 'a', value } as const, { type: 'delete', key: 'a' } as const]
      await assert.rejects(store.commit({ changes: twice }), TypeError)
      await assert.rejects(store.commit({ changes: [{ type: 'put', key: '', value }] }), TypeError)
      await assert.rejects(store.commit({ changes: [{ type: 'put', key: 'a\ud800', value }] }), TypeError)
      await assert.rejects(store.get(''), TypeError)
      assert.equal(await store.currentRevision(), 1)
    }),
  )

  it(
    'keeps empty and large values byte by byte',
    withStore(open, async (store) => {
      const large = Uint8Array.from({ length: 1_500_000 }, (_, i) => i % 251)
      await store.commit({ changes: [{ type: 'put', key: 'large', value: large }] })
      await store.commit({ changes: [{ type: 'put', key: 'empty', value: new Uint8Array(0) }] })
      assert(Buffer.from((await store.get('large')).entry!.value).equals(large))
      assert.equal((await store.get('empty')).entry!.value.byteLength, 0)
    }),
  )
}

function describeOrder(open: OpenStore): void {
  it(
    'makes commits in the order of the calls',
    withStore(open, async (store) => {
      const revisions = await Promise.all(Array.from({ length: 50 }, (_, i) => put(store, `k${i % 7}`, `${i}`)))
      assert.deepEqual(
        revisions,
        Array.from({ length: 50 }, (_, i) => i + 2),
      )
      assert.equal(show((await store.get('k0')).entry), 'k0=49@51+2#8')
    }),
  )
}

function describeComparisons(open: OpenStore): void {
  it(
    'commits when every comparison holds, 0 meaning that the key must not exist',
    withStore(open, async (store) => {
      const changes = [{ type: 'put', key: 'a', value: encodeText('1') } as const]
      const first = await store.commit({ compare: [{ key: 'a', modRevision: 0 }], changes })
      assert.deepEqual(first, { committed: true, revision: 2 })
      const compare = [
        { key: 'a', modRevision: 2 },
        { key: 'other', modRevision: 0 },
      ]
      assert.deepEqual(await store.commit({ compare, changes }), { committed: true, revision: 3 })
    }),
  )

  it(
    'changes nothing when a comparison fails, and says what it found',
    withStore(open, async (store) => {
      await put(store, 'a', '1')
      await put(store, 'b', '2')
      const result = await store.commit({
        compare: [
          { key: 'b', modRevision: 3 },
          { key: 'none', modRevision: 0 },
          { key: 'a', modRevision: 1 },
        ],
        changes: [
          { type: 'put', key: 'a', value: encodeText('x') },
          { type: 'delete', key: 'b' },
        ],
      })
      assert(!result.committed)
      assert.equal(result.revision, 3)
      assert.deepEqual(result.found.map(show), ['b=2@3+3#1', 'nothing', 'a=1@2+2#1'])
      assert.deepEqual((await store.range('')).entries.map(show), ['a=1@2+2#1', 'b=2@3+3#1'])
    }),
  )

  it(
    'treats a deleted key as one that does not exist',
    withStore(open, async (store) => {
      await put(store, 'a', '1')
      await remove(store, 'a')
      const changes = [{ type: 'put', key: 'a', value: encodeText('2') } as const]
      const stale = await store.commit({ compare: [{ key: 'a', modRevision: 2 }], changes })
      assert(!stale.committed)
      assert.deepEqual(stale.found, [undefined])
      assert.equal((await store.commit({ compare: [{ key: 'a', modRevision: 0 }], changes })).committed, true)
    }),
  )

  it(
    'lets one of many racing writers win',
    withStore(open, async (store) => {
      await put(store, 'a', '0')
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          store.commit({
            compare: [{ key: 'a', modRevision: 2 }],
            changes: [{ type: 'put', key: 'a', value: encodeText(`${i}`) }],
          }),
        ),
      )
      assert.deepEqual(
        results.filter((result) => result.committed),
        [{ committed: true, revision: 3 }],
      )
      const winner = results.findIndex((result) => result.committed)
      for (const result of results) {
        if (!result.committed) assert.deepEqual(result.found.map(show), [`a=${winner}@3+2#2`])
      }
    }),
  )
}

function describeReads(open: OpenStore): void {
  it(
    'has values at hand, if it says so, as long as nothing newer replaced them',
    withStore(open, async (store) => {
      if (store.peek === undefined) return
      const first = await put(store, 'a', 'one')
      const other = await put(store, 'b', 'two')
      assert.equal(decodeText(store.peek('a', first)!), 'one')
      assert.equal(store.peek('a', other), undefined, 'the key did not change then')
      const second = await put(store, 'a', 'three')
      assert.equal(decodeText(store.peek('a', second)!), 'three')
      assert.equal(decodeText(store.peek('b', other)!), 'two')
      const removed = await remove(store, 'a')
      assert.equal(store.peek('a', removed), undefined)
      await store.compact(removed)
      assert.equal(store.peek('a', second), undefined)
      assert.equal(decodeText(store.peek('b', other)!), 'two')
      assert.equal(store.peek('never', 2), undefined)
    }),
  )

  it(
    'reads its own writes',
    withStore(open, async (store) => {
      for (let i = 0; i < 20; i++) {
        const revision = await put(store, 'a', `${i}`)
        const { entry } = await store.get('a')
        assert.equal(entry?.modRevision, revision)
        assert.equal(await store.currentRevision(), revision)
      }
    }),
  )

  it(
    'reads every past revision',
    withStore(open, async (store) => {
      await put(store, 'a', '1')
      await put(store, 'a', '2')
      await remove(store, 'a')
      await put(store, 'b', '3')
      const seen = await Promise.all([1, 2, 3, 4, 5].map((atRevision) => store.get('a', { atRevision })))
      assert.deepEqual(
        seen.map(({ entry }) => show(entry)),
        ['nothing', 'a=1@2+2#1', 'a=2@3+2#2', 'nothing', 'nothing'],
      )
      assert.deepEqual(new Set(seen.map(({ revision }) => revision)), new Set([5]))
    }),
  )

  it(
    'refuses to read the future',
    withStore(open, async (store) => {
      await assert.rejects(store.get('a', { atRevision: 2 }), FutureRevisionError)
      await assert.rejects(store.range('', { atRevision: 2 }), FutureRevisionError)
      await put(store, 'a', '1')
      assert.equal(show((await store.get('a', { atRevision: 2 })).entry), 'a=1@2+2#1')
    }),
  )
}

function describeClosing(open: OpenStore): void {
  it('finishes commits in flight on close, then refuses work', async () => {
    const store = await open()
    const commits = Array.from({ length: 10 }, (_, i) => put(store, `k${i}`, 'v'))
    await store.close()
    assert.deepEqual(
      (await Promise.all(commits)).toSorted((a, b) => a - b),
      Array.from({ length: 10 }, (_, i) => i + 2),
    )
    await assert.rejects(put(store, 'a', '1'), StoreClosedError)
    await assert.rejects(store.get('a'), StoreClosedError)
    await assert.rejects(store.range(''), StoreClosedError)
    await assert.rejects(store.currentRevision(), StoreClosedError)
    await assert.rejects(store.compact(2), StoreClosedError)
    await store.close()
  })
}
