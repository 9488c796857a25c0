import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createSeededRandom, encodeText, systemClock } from '@centaurus/base'
import { openEmbeddedStore } from '../embedded/embedded-store.ts'
import { openEtcdStore } from '../etcd/etcd-store.ts'
import { createMemoryStore } from '../memory/memory-store.ts'
import { timedRevisions } from '../mvcc/revision-numbers.ts'
import { CompactedError, TransactionTooLargeError, type Store } from '../store.ts'
import { startEtcdServer, whyNoEtcd } from '../testing/etcd-server.ts'
import { put, recordWatch, remove, show } from '../testing/fixtures.ts'
import { continueRevisions } from './continue-revisions.ts'
import { migrateStore, type MigrationProgress } from './migrate-store.ts'
import { MIGRATION_KEY, MigrationError } from './migration-record.ts'

const KEYS = 700

/** Keys of all sizes, overwritten and deleted in no order. */
async function fill(store: Store, commits = KEYS * 2): Promise<void> {
  const random = createSeededRandom(1)
  for (let i = 0; i < commits; i++) {
    const key = `/registry/${random.integer(7)}/${random.integer(KEYS)}`
    const size = random.integer(100) === 0 ? 300_000 : random.integer(2_000)
    const value = new Uint8Array(size).fill(random.integer(256))
    await store.commit({ changes: [{ type: 'put', key, value }] })
    if (random.integer(5) === 0) await remove(store, key)
  }
  await put(store, '/empty', '')
  await store.compact(Math.floor((await store.currentRevision()) / 2))
}

async function contents(store: Store): Promise<string[]> {
  const { entries } = await store.range('')
  return entries
    .filter(({ key }) => key !== MIGRATION_KEY)
    .map(({ key, value }) => `${key} ${Buffer.from(value).toString('base64')}`)
}

/** Fails at its `commits`-th commit, as if the process had been killed there. */
function dyingAfter(target: Store, commits: number): Store {
  let left = commits
  return new Proxy(target, {
    get(store, name) {
      const member = Reflect.get(store, name) as unknown
      if (typeof member !== 'function') return member
      if (name !== 'commit') return member.bind(store) as unknown
      return (...args: Parameters<Store['commit']>) => {
        if (left-- <= 0) throw new Error('killed')
        return store.commit(...args)
      }
    },
  })
}

describe('migrateStore', () => {
  it('copies every key and value, keeps the order of revisions, and goes on numbering after the source', async () => {
    const [source, target] = [createMemoryStore(), createMemoryStore()]
    await fill(source)
    const progress: MigrationProgress[] = []
    const report = await migrateStore({
      source,
      sourceName: 'memory',
      target,
      onProgress: (step) => progress.push(step),
    })
    assert.deepEqual(await contents(target), await contents(source))
    assert.equal(report.entries, (await source.range('')).count)
    assert.deepEqual(progress.at(-1), { phase: 'verifying', done: report.entries, total: report.entries })
    const view = await continueRevisions(target)
    assert(report.targetRevision > report.sourceRevision)
    assert.equal(await view.currentRevision(), report.targetRevision)
    const byRevision = async (store: Store): Promise<string[]> => {
      const { entries } = await store.range('/registry/')
      return entries.toSorted((a, b) => a.modRevision - b.modRevision).map(({ key }) => key)
    }
    const order = new Map((await byRevision(source)).map((key, i) => [key, i]))
    const { entries } = await view.range('/registry/')
    for (const a of entries) {
      assert(a.modRevision > report.sourceRevision)
      for (const b of entries.slice(0, 50)) {
        if (a.modRevision < b.modRevision) assert(order.get(a.key)! < order.get(b.key)!)
      }
    }
  })

  it('lets nobody go on from an old revision without a new list', async () => {
    const [source, target] = [createMemoryStore(), createMemoryStore()]
    for (let i = 0; i < 500; i++) await put(source, 'a', `${i}`)
    const old = await source.currentRevision()
    await migrateStore({ source, sourceName: 'memory', target })
    const view = await continueRevisions(target)
    for (const from of [2, old - 1, old]) {
      const watch = recordWatch(view, '', { from })
      await watch.until(({ ended }) => ended !== undefined)
      assert(watch.ended?.error instanceof CompactedError)
      await assert.rejects(view.get('a', { atRevision: from }), CompactedError)
    }
    const { entry, revision } = await view.get('a')
    assert(entry!.modRevision > old)
    const watch = recordWatch(view, '', { from: revision + 1 })
    const next = await put(view, 'a', 'next')
    assert.equal(next, revision + 1)
    await watch.until(({ calls }) => calls.length === 1)
    const stale = await view.commit({
      compare: [{ key: 'a', modRevision: old }],
      changes: [{ type: 'delete', key: 'a' }],
    })
    assert.equal(stale.committed, false)
  })

  it('may be cut short at any commit, and goes on', async () => {
    const source = createMemoryStore()
    await fill(source)
    const wanted = await contents(source)
    for (let commits = 0; ; commits++) {
      const target = createMemoryStore()
      const options = { source, sourceName: 'memory', target }
      const cut = await migrateStore({ ...options, target: dyingAfter(target, commits) }).then(
        () => false,
        (error: unknown) => {
          assert.match(String(error), /killed/)
          return true
        },
      )
      if (cut && commits > 0) await assert.rejects(continueRevisions(target), MigrationError)
      const report = await migrateStore(options)
      assert.deepEqual(await contents(target), wanted)
      assert.equal((await continueRevisions(target)) === target, false)
      if (cut) continue
      assert.deepEqual(await migrateStore(options), report) // finished already, before anybody could be told
      break
    }
  })

  it('begins again when the source has changed since it was cut short', async () => {
    const [source, target] = [createMemoryStore(), createMemoryStore()]
    await fill(source)
    await assert.rejects(migrateStore({ source, sourceName: 'memory', target: dyingAfter(target, 4) }), /killed/)
    for (const { key } of (await source.range('/registry/', { limit: 30 })).entries) await remove(source, key)
    await put(source, 'new', '1')
    await migrateStore({ source, sourceName: 'memory', target })
    assert.deepEqual(await contents(target), await contents(source))
  })

  it('refuses a target that holds anything else, and changes nothing', async () => {
    const [source, target, another] = [createMemoryStore(), createMemoryStore(), createMemoryStore()]
    await put(source, 'a', '1')
    await put(target, 'b', '1')
    await assert.rejects(migrateStore({ source, sourceName: 'memory', target }), /not empty: it holds 1 keys.*"b"/)
    assert.deepEqual((await target.range('')).entries.map(show), ['b=1@2+2#1'])
    await migrateStore({ source, sourceName: 'memory', target: another })
    await put(source, 'a', '2')
    const again = migrateStore({ source, sourceName: 'memory', target: another })
    await assert.rejects(again, /not empty: it was filled from memory at revision 2/)
  })

  it('notices a source that is written to, and a copy that differs', async () => {
    const [source, target] = [createMemoryStore(), createMemoryStore()]
    await put(source, 'a', '1')
    const options = { source, sourceName: 'memory', target }
    const writes = { ...options, onProgress: () => void put(source, 'b', '1') }
    await assert.rejects(migrateStore(writes), /was written to meanwhile/)
    await migrateStore(options)
    assert.deepEqual(await contents(target), await contents(source))
    const touched = createMemoryStore()
    const touches = { ...options, target: touched, onProgress: () => void put(touched, 'a', 'x') }
    await assert.rejects(migrateStore(touches), /The copy differs/)
  })

  it('takes an embedded store to etcd and back', { skip: whyNoEtcd() }, async () => {
    const server = await startEtcdServer()
    const directory = mkdtempSync(join(tmpdir(), 'centaurus-migrate-'))
    const paths = [join(directory, 'first'), join(directory, 'second')]
    try {
      const first = await openEmbeddedStore({ path: paths[0]!, revisions: timedRevisions(systemClock) })
      await fill(first, 200)
      const etcd = await openEtcdStore({ endpoints: server.endpoints })
      const out = await migrateStore({ source: first, sourceName: paths[0]!, target: etcd })
      const shared = await continueRevisions(etcd)
      const changed = await put(shared, '/registry/0/new', '1')
      assert(changed > out.sourceRevision)
      const second = await openEmbeddedStore({ path: paths[1]!, revisions: timedRevisions(systemClock) })
      const back = await migrateStore({ source: shared, sourceName: 'etcd', target: second })
      assert(back.targetRevision > back.sourceRevision && back.sourceRevision >= changed)
      assert.deepEqual(await contents(second), await contents(shared))
      await put(first, '/registry/0/large', 'x')
      const huge = new Uint8Array(3_000_000)
      await first.commit({ changes: [{ type: 'put', key: '/registry/huge', value: huge }] })
      const other = await openEtcdStore({ endpoints: server.endpoints, prefix: '/other' })
      const tooLarge = migrateStore({ source: first, sourceName: paths[0]!, target: other })
      await assert.rejects(tooLarge, (error: unknown) => {
        assert(error instanceof TransactionTooLargeError)
        assert.match(error.message, /Cannot copy \/registry\/huge, which has 3000000 bytes/)
        return true
      })
      await Promise.all([first, etcd, second, other].map((store) => store.close()))
    } finally {
      await server.close()
      rmSync(directory, { recursive: true, force: true })
    }
  })

  it('says that a record cannot be read', async () => {
    const store = createMemoryStore()
    await store.commit({ changes: [{ type: 'put', key: MIGRATION_KEY, value: encodeText('{"state":"x"}') }] })
    await assert.rejects(continueRevisions(store), MigrationError)
  })
})
