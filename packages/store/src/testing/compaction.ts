import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeText } from '@centaurus/base'
import { CompactedError, FutureRevisionError, type Store } from '../store.ts'
import { keeps, type OpenStore, type StoreContractOptions } from './options.ts'
import { put, recordWatch, remove, show, withStore } from './fixtures.ts'

/** What compaction forgets, what it must keep, and its races with readers, watches and writers. */
export function describeCompaction(open: OpenStore, options: StoreContractOptions): void {
  describe('compaction', () => {
    describeForgetting(open)
    if (keeps(options, 'a watch may start at the compacted revision')) describeStartAtCompacted(open)
    describeRaces(open)
  })
}

async function fill(store: Store): Promise<void> {
  await put(store, 'a', '1') // 2
  await put(store, 'b', '1') // 3
  await put(store, 'a', '2') // 4
  await remove(store, 'b') // 5
  await put(store, 'a', '3') // 6
}

function describeForgetting(open: OpenStore): void {
  it(
    'refuses older reads, and answers those at and after the revision',
    withStore(open, async (store) => {
      await fill(store)
      await store.compact(4)
      for (const atRevision of [1, 2, 3]) {
        await assert.rejects(store.get('a', { atRevision }), isCompactedAt(4))
        await assert.rejects(store.range('', { atRevision }), isCompactedAt(4))
      }
      assert.deepEqual((await store.range('', { atRevision: 4 })).entries.map(show), ['a=2@4+2#2', 'b=1@3+3#1'])
      assert.deepEqual((await store.range('', { atRevision: 5 })).entries.map(show), ['a=2@4+2#2'])
      assert.deepEqual((await store.range('')).entries.map(show), ['a=3@6+2#3'])
    }),
  )

  it(
    'ends a watch that asks for an older revision, and starts one after the revision',
    withStore(open, async (store) => {
      await fill(store)
      await store.compact(5)
      const old = recordWatch(store, '', { from: 4 })
      await old.until(({ ended }) => ended !== undefined)
      assert(isCompactedAt(5)(old.ended?.error))
      assert.deepEqual(old.calls, [])
      const record = recordWatch(store, '', { from: 6 })
      await put(store, 'c', '1')
      await record.untilRevision(7)
      assert.deepEqual(record.calls, [
        { revision: 6, events: ['put a=3@6+2#3 (a=2@4+2#2)'] },
        { revision: 7, events: ['put c=1@7+7#1 (nothing)'] },
      ])
    }),
  )

  it(
    'takes each revision once, and none from the future',
    withStore(open, async (store) => {
      await fill(store)
      await assert.rejects(store.compact(7), FutureRevisionError)
      await store.compact(4)
      await assert.rejects(store.compact(4), isCompactedAt(4))
      await assert.rejects(store.compact(3), isCompactedAt(4))
      await store.compact(6)
      assert.deepEqual((await store.range('', { atRevision: 6 })).entries.map(show), ['a=3@6+2#3'])
    }),
  )

  it(
    'forgets a deleted key, which starts anew when it is created again',
    withStore(open, async (store) => {
      await fill(store)
      await store.compact(6)
      await put(store, 'b', '2')
      assert.equal(show((await store.get('b')).entry), 'b=2@7+7#1')
      await store.compact(7)
      assert.deepEqual((await store.range('')).entries.map(show), ['a=3@6+2#3', 'b=2@7+7#1'])
    }),
  )

  it(
    'goes on numbering after everything was deleted and compacted',
    withStore(open, async (store) => {
      await put(store, 'a', '1')
      await remove(store, 'a')
      await store.compact(3)
      assert.deepEqual(await store.range(''), { revision: 3, entries: [], more: false, count: 0 })
      assert.equal(await put(store, 'a', '2'), 4)
      await store.compact(4)
      assert.equal(show((await store.get('a')).entry), 'a=2@4+4#1')
    }),
  )

  it(
    'keeps what is live of a commit with several changes',
    withStore(open, async (store) => {
      const value = encodeText('1')
      await store.commit({ changes: ['a', 'b', 'c'].map((key) => ({ type: 'put', key, value })) })
      await put(store, 'a', '2')
      await remove(store, 'c')
      await store.compact(4)
      assert.deepEqual((await store.range('')).entries.map(show), ['a=2@3+2#2', 'b=1@2+2#1'])
    }),
  )
}

function describeStartAtCompacted(open: OpenStore): void {
  it(
    'starts a watch at the revision',
    withStore(open, async (store) => {
      await fill(store)
      await store.compact(5)
      const record = recordWatch(store, '', { from: 5 })
      await record.untilRevision(6)
      assert.deepEqual(
        record.calls.map(({ revision }) => revision),
        [5, 6],
      )
      assert(record.calls[0]!.events[0]!.startsWith('delete b@5 '))
    }),
  )
}

function describeRaces(open: OpenStore): void {
  it(
    'answers one of several equal compactions, and refuses the others',
    withStore(open, async (store) => {
      await fill(store)
      const results = await Promise.allSettled([store.compact(4), store.compact(4), store.compact(5), store.compact(4)])
      const refused = results.filter((result) => result.status === 'rejected')
      assert.equal(results[0].status, 'fulfilled')
      assert.equal(results[2].status, 'fulfilled')
      assert.deepEqual(
        refused.map(({ reason }) => reason instanceof CompactedError),
        [true, true],
      )
    }),
  )

  it(
    'loses no event of a live watch',
    withStore(open, async (store) => {
      const record = recordWatch(store, '')
      for (let round = 0; round < 20; round++) {
        const commits = Array.from({ length: 5 }, () => put(store, 'a', 'v'))
        await commits.at(-1)
        await store.compact(await store.currentRevision())
      }
      await record.untilRevision(101)
      assert.deepEqual(
        record.calls.map(({ revision }) => revision),
        Array.from({ length: 100 }, (_, i) => i + 2),
      )
    }),
  )

  it(
    'delivers all to a watch that catches up, or ends it',
    withStore(open, async (store) => {
      await Promise.all(Array.from({ length: 3_000 }, (_, i) => put(store, `k${i % 10}`, 'v')))
      const record = recordWatch(store, '', { from: 2 })
      await store.compact(2_900)
      await record.until(({ calls, ended }) => ended !== undefined || calls.length === 3_000)
      const seen = record.calls.map(({ revision }) => revision)
      assert.deepEqual(
        seen,
        Array.from({ length: seen.length }, (_, i) => i + 2),
      )
      if (record.ended !== undefined) assert(isCompactedAt(2_900)(record.ended.error))
    }),
  )

  it(
    'never shows a reader half of a revision',
    withStore(open, async (store) => {
      await Promise.all(Array.from({ length: 500 }, (_, i) => put(store, `k${i % 50}`, `${i}`)))
      const atRevision = 400
      const before = (await store.range('', { atRevision })).entries.map(show)
      const compacted = store.compact(450)
      const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => store.range('', { atRevision })))
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') assert.deepEqual(outcome.value.entries.map(show), before)
        else assert(isCompactedAt(450)(outcome.reason))
      }
      await compacted
      assert.equal((await store.range('', { atRevision: 450 })).entries.length, 50)
    }),
  )
}

function isCompactedAt(revision: number): (error: unknown) => boolean {
  return (error) => error instanceof CompactedError && error.compactedRevision === revision
}
