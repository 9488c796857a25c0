import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KeyValue, RangeOptions, Store } from '../store.ts'
import type { OpenStore } from './options.ts'
import { put, remove, show, withStore } from './fixtures.ts'

/** Prefixes, order, limits and pages, counts, history. */
export function describeRanges(open: OpenStore): void {
  describe('ranges', () => {
    it(
      'returns the keys with the prefix and no others',
      withStore(open, async (store) => {
        for (const key of ['/a', '/a/', '/a/1', '/a/2', '/a0', '/b/1', '/']) await put(store, key, key)
        assert.deepEqual(await keys(store, '/a/'), ['/a/', '/a/1', '/a/2'])
        assert.deepEqual(await keys(store, '/a'), ['/a', '/a/', '/a/1', '/a/2', '/a0'])
        assert.deepEqual(await keys(store, '/c'), [])
        assert.equal((await keys(store, '')).length, 7)
      }),
    )

    it(
      'orders keys by their UTF-8 bytes',
      withStore(open, async (store) => {
        const wanted = ['a', 'a\0', 'aa', 'b', 'é', '中', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}']
        for (const key of wanted.toReversed()) await put(store, key, key)
        assert.deepEqual(
          wanted,
          wanted.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
        )
        assert.deepEqual(await keys(store, ''), wanted)
        assert.deepEqual(await keys(store, '', { from: '\uffff' }), ['\uffff', '\u{10000}', '\u{10ffff}'])
        assert.deepEqual(await keys(store, '\u{10000}'), ['\u{10000}'])
      }),
    )

    it(
      'cuts at the limit, and counts what is left',
      withStore(open, async (store) => {
        for (let i = 0; i < 5; i++) await put(store, `k/${i}`, 'v')
        await put(store, 'l', 'v')
        const cut = await store.range('k/', { limit: 2 })
        assert.deepEqual([cut.entries.map(({ key }) => key), cut.more, cut.count], [['k/0', 'k/1'], true, 5])
        const exact = await store.range('k/', { limit: 5 })
        assert.deepEqual([exact.entries.length, exact.more, exact.count], [5, false, 5])
        const unlimited = await store.range('k/', { limit: 0 })
        assert.deepEqual([unlimited.entries.length, unlimited.more, unlimited.count], [5, false, 5])
        const rest = await store.range('k/', { from: 'k/3', limit: 1 })
        assert.deepEqual([rest.entries.map(({ key }) => key), rest.more, rest.count], [['k/3'], true, 2])
      }),
    )

    it(
      'refuses a start outside the prefix',
      withStore(open, async (store) => {
        await assert.rejects(store.range('k/', { from: 'a' }), TypeError)
      }),
    )

    it(
      'leaves values empty for keysOnly',
      withStore(open, async (store) => {
        await put(store, 'a', '1')
        await put(store, 'a', '2')
        assert.deepEqual((await store.range('', { keysOnly: true })).entries.map(show), ['a=@3+2#2'])
      }),
    )

    it(
      'pages at one revision while writes go on',
      withStore(open, async (store) => {
        const count = 300 // more than one chunk of any index
        for (let i = 0; i < count; i++) await put(store, `k/${String(i).padStart(4, '0')}`, `${i}`)
        const atRevision = await store.currentRevision()
        const before = (await store.range('k/', { atRevision })).entries.map(show)
        const paged: string[] = []
        let from = 'k/'
        for (let page = 0; ; page++) {
          const result = await store.range('k/', { atRevision, from, limit: 7 })
          assert.equal(result.revision, atRevision)
          assert.equal(result.count, count - paged.length)
          paged.push(...result.entries.map(show))
          if (!result.more) break
          from = `${result.entries.at(-1)!.key}\0`
          await put(store, `k/${String(page * 3).padStart(4, '0')}`, 'changed')
          await put(store, `k/${String(page * 3).padStart(4, '0')}x`, 'new')
          await remove(store, `k/${String(page * 5).padStart(4, '0')}`)
        }
        assert.deepEqual(paged, before)
      }),
    )

    it(
      'reads the whole of a past revision',
      withStore(open, async (store) => {
        await put(store, 'a', '1')
        await put(store, 'b', '2')
        await remove(store, 'a')
        await put(store, 'b', '3')
        const at = async (atRevision: number): Promise<string[]> =>
          (await store.range('', { atRevision })).entries.map((entry: KeyValue) => show(entry))
        assert.deepEqual(await at(1), [])
        assert.deepEqual(await at(3), ['a=1@2+2#1', 'b=2@3+3#1'])
        assert.deepEqual(await at(4), ['b=2@3+3#1'])
        assert.deepEqual(await at(5), ['b=3@5+3#2'])
      }),
    )
  })
}

async function keys(store: Store, prefix: string, options?: RangeOptions): Promise<string[]> {
  return (await store.range(prefix, options)).entries.map(({ key }) => key)
}
