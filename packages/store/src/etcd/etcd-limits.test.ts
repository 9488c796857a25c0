import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { encodeText, silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { CompactedError, StoreFullError, TransactionTooLargeError, type Change, type Store } from '../store.ts'
import { startEtcdServer, whyNoEtcd, type EtcdServer } from '../testing/etcd-server.ts'
import { put, recordWatch, show } from '../testing/fixtures.ts'
import { EtcdChannel } from './etcd-channel.ts'
import { openEtcdStore } from './etcd-store.ts'
import { decodeRange, encodeRange, endOfPrefix, METHODS } from './messages.ts'

const QUOTA_BYTES = 16 * 2 ** 20

describe('The etcd store', { skip: whyNoEtcd() }, () => {
  let server: EtcdServer
  const opened: Store[] = []

  before(async () => void (server = await startEtcdServer({ flags: [`--quota-backend-bytes=${QUOTA_BYTES}`] })))
  after(async () => {
    await Promise.all(opened.map((store) => store.close()))
    await server?.close()
  })

  async function open(prefix: string): Promise<Store> {
    const store = await openEtcdStore({ endpoints: server.endpoints, prefix })
    opened.push(store)
    return store
  }

  const puts = (count: number, bytes: number): Change[] =>
    Array.from({ length: count }, (_, i) => ({ type: 'put', key: `k${i}`, value: new Uint8Array(bytes) }))

  it('refuses what etcd cannot take at once, and changes nothing', async () => {
    const store = await open('/large')
    const revision = await store.currentRevision()
    await assert.rejects(store.commit({ changes: puts(200, 1) }), TransactionTooLargeError)
    await assert.rejects(store.commit({ changes: puts(1, 1_700_000) }), TransactionTooLargeError)
    await assert.rejects(store.commit({ changes: puts(3, 1_000_000) }), TransactionTooLargeError)
    assert.equal(await store.currentRevision(), revision)
    const most = await store.commit({ changes: puts(125, 1_000) })
    assert.deepEqual(most, { committed: true, revision: revision + 1 })
    const deletes = puts(125, 0).map(({ key }): Change => ({ type: 'delete', key }))
    assert.deepEqual(await store.commit({ changes: deletes }), { committed: true, revision: revision + 2 })
    assert.deepEqual(await store.commit({ changes: deletes }), { committed: true, revision: revision + 2 })
  })

  it('keeps stores with different prefixes apart, and lets one see what another process does to it', async () => {
    const [a, inside, other] = [await open('/team'), await open('/team/a'), await open('/team')]
    const watch = recordWatch(a, '')
    await put(inside, 'x', '1')
    const revision = await put(other, 'x', '2')
    await watch.until(({ calls }) => calls.length === 1)
    assert.deepEqual(watch.calls, [{ revision, events: [`put x=2@${revision}+${revision}#1 (nothing)`] }])
    assert.equal(show((await inside.get('x')).entry), `x=1@${revision - 1}+${revision - 1}#1`)
    const racing = await Promise.all(
      [a, other].map((store, i) =>
        store.commit({
          compare: [{ key: 'x', modRevision: revision }],
          changes: [{ type: 'put', key: 'x', value: encodeText(`${i}`) }],
        }),
      ),
    )
    assert.equal(racing.filter((result) => result.committed).length, 1)
  })

  it('tidies away the commit slots of processes that are gone, and makes its own again when they were', async () => {
    const [gone, idle, store] = [await open('/slots'), await open('/slots'), await open('/slots')]
    await Promise.all(Array.from({ length: 20 }, (_, i) => put(gone, `k${i}`, 'v')))
    await put(idle, 'a', '1')
    await gone.close()
    await put(store, 'a', '2')
    const raw = await rawKeys('/slots/.commits/')
    assert(raw.length > 2)
    await store.compact(await store.currentRevision())
    const last = await put(store, 'a', '3')
    const watch = recordWatch(store, 'a', { from: last })
    await watch.untilRevision(last)
    // The tidying goes on after the compaction was made: look until it is done.
    while ((await rawKeys('/slots/.commits/')).length > 1) await new Promise((resolve) => setImmediate(resolve))
    await put(idle, 'a', '4')
    assert.equal((await store.get('a')).entry?.version, 4)
    await watch.untilRevision(await store.currentRevision())
    assert.equal(watch.calls.length, 2)
  })

  it('says why an endpoint or a prefix cannot be meant', async () => {
    for (const endpoints of [[], ['127.0.0.1:2379'], ['http://127.0.0.1:2379/v3']]) {
      await assert.rejects(openEtcdStore({ endpoints }), TypeError)
    }
    for (const prefix of ['', 'a', '/', '/a/', '/A', '/a/.data']) {
      await assert.rejects(openEtcdStore({ endpoints: server.endpoints, prefix }), TypeError)
    }
  })

  it('forgets by itself what it is told to', async () => {
    const store = await openEtcdStore({
      endpoints: server.endpoints,
      prefix: '/automatic',
      automaticCompaction: { revisionsMax: 20 },
    })
    opened.push(store)
    const first = await put(store, 'a', '0')
    for (let i = 1; i <= 30; i++) await put(store, 'a', `${i}`)
    const isCompacted = (): Promise<boolean> =>
      store.get('a', { atRevision: first }).then(
        () => false,
        (error: unknown) => error instanceof CompactedError,
      )
    while (!(await isCompacted())) await put(store, 'a', 'more')
  })

  it('says that etcd is full, changes nothing, and goes on reading', async () => {
    const store = await open('/full')
    const value = new Uint8Array(400_000)
    const acknowledged: string[] = []
    const fill = async (writer: number): Promise<never> => {
      for (let i = 0; ; i++) {
        const key = `k${writer}-${i}`
        await store.commit({ changes: [{ type: 'put', key, value }] })
        acknowledged.push(key)
      }
    }
    // Several at once: etcd looks for room before it takes a commit, and again as it makes it.
    const writers = await Promise.allSettled([0, 1, 2, 3, 4, 5].map(fill))
    for (const writer of writers) {
      assert(writer.status === 'rejected' && writer.reason instanceof StoreFullError)
      assert.match(writer.reason.message, /--quota-backend-bytes.*etcdctl alarm disarm/)
    }
    const { entries } = await store.range('k', { keysOnly: true })
    assert.deepEqual(
      entries.map(({ key }) => key),
      acknowledged.toSorted(),
    )
  })

  async function rawKeys(prefix: string): Promise<readonly string[]> {
    const channel = new EtcdChannel({
      endpoints: server.endpoints,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    })
    const frame = encodeRange({ key: prefix, end: endOfPrefix(prefix) })
    const { entries } = decodeRange(await channel.callRepeatedly(METHODS.range, frame, 5_000), 0)
    channel.close()
    return entries.map(({ key }) => key)
  }
})
