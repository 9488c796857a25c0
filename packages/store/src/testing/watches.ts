import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeText } from '@centaurus/base'
import { StoreClosedError } from '../store.ts'
import type { OpenStore } from './options.ts'
import { put, recordWatch, remove, withStore } from './fixtures.ts'

/** Starting points, order, grouping, progress, consumers that misbehave, ends. */
export function describeWatches(open: OpenStore): void {
  describe('watches', () => {
    describeStarts(open)
    describeDelivery(open)
    describeConsumers(open)
    describeEnds(open)
  })
}

function describeStarts(open: OpenStore): void {
  it(
    'delivers from the next commit on when no revision is given',
    withStore(open, async (store) => {
      await put(store, 'a', '1')
      const record = recordWatch(store, '')
      await put(store, 'a', '2')
      await record.untilRevision(3)
      assert.deepEqual(record.calls, [{ revision: 3, events: ['put a=2@3+2#2 (a=1@2+2#1)'] }])
    }),
  )

  it(
    'delivers the past first, then goes on with what is new',
    withStore(open, async (store) => {
      await put(store, 'a', '1')
      await put(store, 'a', '2')
      await remove(store, 'a')
      const record = recordWatch(store, 'a', { from: 3 })
      await put(store, 'a', '3')
      await record.untilRevision(5)
      assert.deepEqual(record.calls, [
        { revision: 3, events: ['put a=2@3+2#2 (a=1@2+2#1)'] },
        { revision: 4, events: ['delete a@4 (a=2@3+2#2)'] },
        { revision: 5, events: ['put a=3@5+5#1 (nothing)'] },
      ])
    }),
  )

  it(
    'waits for a revision in the future',
    withStore(open, async (store) => {
      const record = recordWatch(store, '', { from: 4 })
      for (let i = 2; i <= 5; i++) await put(store, 'a', `${i}`)
      await record.untilRevision(5)
      assert.deepEqual(
        record.calls.map(({ revision }) => revision),
        [4, 5],
      )
    }),
  )

  it(
    'delivers each revision once when watches start between and during commits',
    withStore(open, async (store) => {
      const records = []
      const commits = []
      for (let i = 0; i < 40; i++) {
        commits.push(put(store, `k${i % 3}`, `${i}`))
        records.push({ from: i + 1, record: recordWatch(store, '', { from: i + 1 }) })
      }
      await Promise.all(commits)
      for (const { from, record } of records) {
        await record.untilRevision(41)
        const wanted = Array.from({ length: 41 }, (_, i) => i + 1).filter((revision) => revision >= Math.max(from, 2))
        assert.deepEqual(
          record.calls.map(({ revision }) => revision),
          wanted,
        )
      }
    }),
  )
}

function describeDelivery(open: OpenStore): void {
  it(
    'delivers what is under the prefix and nothing else',
    withStore(open, async (store) => {
      const record = recordWatch(store, '/a/')
      for (const key of ['/a', '/a/1', '/a0', '/b/1', '/a/2']) await put(store, key, 'v')
      await record.untilRevision(6)
      assert.deepEqual(
        record.calls.map(({ revision }) => revision),
        [3, 6],
      )
    }),
  )

  it(
    'delivers the changes of one commit together, in their order',
    withStore(open, async (store) => {
      await put(store, 'k/b', '0')
      const record = recordWatch(store, 'k/', { from: 1 })
      await store.commit({
        changes: [
          { type: 'put', key: 'k/c', value: encodeText('1') },
          { type: 'put', key: 'other', value: encodeText('2') },
          { type: 'delete', key: 'k/b' },
          { type: 'put', key: 'k/a', value: encodeText('3') },
        ],
      })
      await record.untilRevision(3)
      assert.deepEqual(record.calls[1], {
        revision: 3,
        events: ['put k/c=1@3+3#1 (nothing)', 'delete k/b@3 (k/b=0@2+2#1)', 'put k/a=3@3+3#1 (nothing)'],
      })
    }),
  )

  it(
    'delivers nothing for commits that fail or change nothing',
    withStore(open, async (store) => {
      const record = recordWatch(store, '')
      const changes = [{ type: 'put', key: 'a', value: encodeText('1') } as const]
      await store.commit({ compare: [{ key: 'a', modRevision: 9 }], changes })
      await remove(store, 'a')
      await put(store, 'b', '1')
      await record.untilRevision(2)
      assert.deepEqual(
        record.calls.map(({ events }) => events),
        [['put b=1@2+2#1 (nothing)']],
      )
    }),
  )

  it(
    'answers a request for progress with a revision that is not behind',
    withStore(open, async (store) => {
      const quiet = recordWatch(store, 'quiet/')
      const past = recordWatch(store, 'quiet/', { from: 1 })
      for (let i = 0; i < 5; i++) await put(store, 'a', `${i}`)
      await quiet.untilRevision(6)
      await past.untilRevision(6)
      assert.deepEqual([quiet.calls, past.calls], [[], []])
      assert.equal(Math.max(...quiet.progress), 6)
    }),
  )

  it(
    'never says progress before the events up to there',
    withStore(open, async (store) => {
      const order: number[] = []
      const record = recordWatch(store, '', { from: 1, react: (_events, revision) => order.push(revision) })
      for (let i = 0; i < 30; i++) {
        void put(store, 'a', `${i}`)
        record.watch.requestProgress()
        if (i % 5 === 0) await store.currentRevision()
        assert((record.progress.at(-1) ?? 0) <= Math.max(1, order.at(-1) ?? 1))
      }
      await record.until(({ calls }) => calls.length === 30)
    }),
  )
}

function describeConsumers(open: OpenStore): void {
  it(
    'ends the watch of a consumer that throws, and no other',
    withStore(open, async (store) => {
      const react = (): void => {
        throw new Error('consumer broke')
      }
      const broken = recordWatch(store, '', { react })
      const sound = recordWatch(store, '')
      await put(store, 'a', '1')
      await put(store, 'a', '2')
      await broken.until(({ ended }) => ended !== undefined)
      assert.equal(broken.ended?.error?.message, 'consumer broke')
      assert.equal(broken.calls.length, 1)
      await sound.untilRevision(3)
      assert.equal(sound.calls.length, 2)
    }),
  )

  it(
    'keeps the order and never re-enters when a consumer writes, watches and closes',
    withStore(open, async (store) => {
      let depth = 0
      const nested: ReturnType<typeof recordWatch>[] = []
      const record = recordWatch(store, '', {
        react: (_events, revision) => {
          assert.equal(++depth, 1)
          if (revision < 6) void put(store, 'a', `${revision}`)
          if (revision === 3) nested.push(recordWatch(store, '', { from: 3 }), recordWatch(store, '', { from: 4 }))
          depth--
        },
      })
      await put(store, 'a', '1')
      await record.until(({ calls }) => calls.length === 5)
      assert.deepEqual(
        record.calls.map(({ revision }) => revision),
        [2, 3, 4, 5, 6],
      )
      for (const watch of nested) await watch.untilRevision(6)
      assert.deepEqual(
        nested.map(({ calls }) => calls.map(({ revision }) => revision)),
        [
          [3, 4, 5, 6],
          [4, 5, 6],
        ],
      )
    }),
  )

  it(
    'serves who wants to know what was there before, and who does not',
    withStore(open, async (store) => {
      await put(store, 'a', '1')
      const records = [true, false, true, false].map((omitPrevious, i) =>
        recordWatch(store, 'a', { from: i < 2 ? 1 : 3, omitPrevious }),
      )
      await put(store, 'a', '2')
      await remove(store, 'a')
      const wanted = ['put a=1@2+2#1', 'put a=2@3+2#2', 'delete a@4']
      const before = ['nothing', 'a=1@2+2#1', 'a=2@3+2#2']
      for (const [i, record] of records.entries()) {
        await record.untilRevision(4)
        const first = i < 2 ? 0 : 1
        const seen = record.calls.map(({ events }) => events.join().split(' ('))
        assert.deepEqual(
          seen.map(([event]) => event),
          wanted.slice(first),
        )
        if (i % 2 === 0) continue
        assert.deepEqual(
          seen.map(([, previous]) => previous),
          before.slice(first).map((text) => `${text})`),
        )
      }
    }),
  )

  it(
    'gives a slow consumer everything, in order',
    withStore(open, async (store) => {
      let spun = 0
      const slow = recordWatch(store, '', {
        react: () => {
          const end = performance.now() + 2
          while (performance.now() < end) spun++
        },
      })
      await Promise.all(Array.from({ length: 50 }, (_, i) => put(store, `k${i}`, 'v')))
      await slow.untilRevision(51)
      assert(spun > 0)
      assert.deepEqual(
        slow.calls.map(({ revision }) => revision),
        Array.from({ length: 50 }, (_, i) => i + 2),
      )
    }),
  )
}

function describeEnds(open: OpenStore): void {
  it(
    'says nothing after a watch is closed but its end',
    withStore(open, async (store) => {
      const record = recordWatch(store, '', { react: () => record.watch.close() })
      const other = recordWatch(store, '')
      await put(store, 'a', '1')
      await put(store, 'a', '2')
      await other.untilRevision(3)
      await record.until(({ ended }) => ended !== undefined)
      assert.equal(record.calls.length, 1)
      assert.deepEqual(record.ended, { error: undefined })
      record.watch.requestProgress()
      record.watch.close()
    }),
  )

  it('ends watches when the store closes, after the last commit was delivered', async () => {
    const store = await open()
    const record = recordWatch(store, '')
    const commit = put(store, 'a', '1')
    await store.close()
    assert.equal(await commit, 2)
    assert.deepEqual(
      record.calls.map(({ revision }) => revision),
      [2],
    )
    assert.deepEqual(record.ended, { error: undefined })
    const late = recordWatch(store, '')
    await late.until(({ ended }) => ended !== undefined)
    assert(late.ended?.error instanceof StoreClosedError)
  })
}
