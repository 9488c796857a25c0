import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createSeededRandom, encodeText } from '@centaurus/base'
import { CommitUnknownError, CompactedError, StoreClosedError, StoreUnavailableError, type Store } from '../store.ts'
import { runCrashRounds, type CrashRound } from '../testing/crash.ts'
import { checkLoad, startLoad, watchLoad } from '../testing/etcd-load.ts'
import { startEtcdServer, whyNoEtcd, type EtcdServer } from '../testing/etcd-server.ts'
import { put, recordWatch, remove, show } from '../testing/fixtures.ts'
import { createHastyClock } from '../testing/hasty-clock.ts'
import { TcpProxy } from '../testing/tcp-proxy.ts'
import { openEtcdStore } from './etcd-store.ts'

describe('The etcd store over a network that fails', { skip: whyNoEtcd() }, () => {
  let server: EtcdServer
  let stores = 0

  before(async () => void (server = await startEtcdServer()))
  after(() => server?.close())

  /** A store behind a proxy, and another view of it that has a connection of its own. */
  async function withProxy(
    body: (at: { readonly store: Store; readonly direct: Store; readonly proxy: TcpProxy }) => Promise<void>,
  ): Promise<void> {
    const proxy = await TcpProxy.open(server.endpoints[0]!)
    const prefix = `/faults/${++stores}`
    const store = await openEtcdStore({ endpoints: [proxy.endpoint], prefix })
    const direct = await openEtcdStore({ endpoints: server.endpoints, prefix })
    try {
      await body({ store, direct, proxy })
    } finally {
      await direct.close()
      await store.close()
      await proxy.close()
    }
  }

  const create = (store: Store, key: string): ReturnType<Store['commit']> =>
    store.commit({
      compare: [{ key, modRevision: 0 }],
      changes: [{ type: 'put', key, value: encodeText('1') }],
    })

  it('says that a commit was made whose answer was lost', () =>
    withProxy(async ({ store, direct, proxy }) => {
      const watch = recordWatch(direct, '')
      await watch.untilRevision(1)
      proxy.losesAnswers = true
      const commit = create(store, 'a')
      await watch.until(({ calls }) => calls.length === 1)
      proxy.cut()
      const revision = watch.calls[0]!.revision
      assert.deepEqual(await commit, { committed: true, revision })
      assert.equal(show((await direct.get('a')).entry), `a=1@${revision}+${revision}#1`)
    }))

  it('makes a commit once whose request was lost', () =>
    withProxy(async ({ store, direct, proxy }) => {
      const read = store.get('a') // on the way when the network breaks
      await read
      proxy.losesRequests = true
      const commit = create(store, 'a')
      await new Promise((resolve) => setImmediate(resolve))
      proxy.cut()
      const result = await commit
      assert(result.committed)
      assert.equal(show((await direct.get('a')).entry), `a=1@${result.revision}+${result.revision}#1`)
    }))

  it('tells a delete that was made from one that found nothing', () =>
    withProxy(async ({ store, direct, proxy }) => {
      await put(direct, 'a', '1')
      const watch = recordWatch(direct, '')
      proxy.losesAnswers = true
      const commit = store.commit({ changes: [{ type: 'delete', key: 'a' }] })
      await watch.until(({ calls }) => calls.length === 1)
      await put(direct, 'a', '2') // somebody makes it again before the outcome is looked for
      proxy.cut()
      assert.deepEqual(await commit, { committed: true, revision: watch.calls[0]!.revision })
      assert.match(show((await direct.get('a')).entry), /^a=2@/)
      assert.deepEqual(await store.commit({ changes: [{ type: 'delete', key: 'none' }] }), {
        committed: true,
        revision: await direct.currentRevision(),
      })
    }))

  it('loses nothing and makes nothing twice when connections are cut under load', () =>
    withProxy(async ({ store, direct, proxy }) => {
      const random = createSeededRandom(7)
      const from = (await direct.currentRevision()) + 1
      const watches = [watchLoad(store, from), watchLoad(direct, from)]
      const load = startLoad(store, 8)
      for (let round = 0; round < 25; round++) {
        await load.more(1 + random.integer(12))
        if (round % 3 === 1) proxy.losesAnswers = true
        if (round % 3 === 2) proxy.losesRequests = true
        await new Promise((resolve) => setImmediate(resolve))
        proxy.cut()
      }
      await load.stop()
      await checkLoad(direct, load, watches)
    }))

  it('keeps all that a process was told before it was killed, and nothing half-written', async (test) => {
    const seed = Number(process.env['CRASH_SEED'] ?? Date.now() % 2 ** 31)
    test.diagnostic(`CRASH_SEED=${seed}`)
    const rounds: CrashRound[] = []
    const onRound = (round: CrashRound): void => void rounds.push(round)
    const acknowledged = (): number => rounds.reduce((sum, round) => sum + round.acknowledged, 0)
    const target = { engine: 'etcd', endpoints: server.endpoints } as const
    // On a busy machine each may be killed before it was told anything: then once more.
    for (let i = 0; i < 5 && acknowledged() === 0; i++) {
      await runCrashRounds({ target, rounds: 3, seed: seed + i, onRound })
    }
    assert(acknowledged() > 0)
  })

  it('goes on with a watch where it was cut, and ends it when that is compacted', () =>
    withProxy(async ({ store, direct, proxy }) => {
      const watch = recordWatch(store, '')
      const first = await put(direct, 'a', '1')
      await watch.until(({ calls }) => calls.length === 1)
      proxy.refuses = true
      proxy.cut()
      await put(direct, 'a', '2')
      await remove(direct, 'a')
      proxy.refuses = false
      await watch.until(({ calls }) => calls.length === 3)
      assert.deepEqual(
        watch.calls.map(({ revision }) => revision),
        [first, first + 1, first + 2],
      )
      proxy.refuses = true
      proxy.cut()
      for (let i = 0; i < 5; i++) await put(direct, 'a', `${i}`)
      const compacted = await direct.currentRevision()
      await direct.compact(compacted)
      proxy.refuses = false
      await watch.until(({ ended }) => ended !== undefined)
      assert(watch.ended?.error instanceof CompactedError)
      assert.equal(watch.ended.error.compactedRevision, compacted)
      assert.equal(watch.calls.length, 3)
    }))

  it('keeps a quiet watch when others have written and compacted meanwhile', () =>
    withProxy(async ({ store, direct, proxy }) => {
      const quiet = recordWatch(store, 'quiet/')
      await put(direct, 'a', '1')
      for (let i = 0; i < 5; i++) await put(direct, 'a', '1')
      const revision = await direct.currentRevision()
      await quiet.untilRevision(revision)
      await direct.compact(revision)
      proxy.cut()
      const last = await put(direct, 'quiet/a', '1')
      await quiet.until(({ calls }) => calls.length > 0)
      assert.deepEqual([quiet.calls[0]!.revision, quiet.ended], [last, undefined])
    }))
})

describe('The etcd store, when etcd does not answer', { skip: whyNoEtcd() }, () => {
  it('says that it does not know, or that nothing was changed', async () => {
    const server = await startEtcdServer()
    const [member] = server.members
    const store = await openEtcdStore({ endpoints: server.endpoints, clock: createHastyClock(40) })
    try {
      await put(store, 'a', '1')
      await member!.freeze()
      await assert.rejects(put(store, 'a', '2'), CommitUnknownError) // it lies there, and is made on thawing
      await assert.rejects(store.get('a'), StoreUnavailableError)
      member!.thaw()
      const revision = await put(store, 'b', '1')
      assert.equal((await store.get('b')).entry?.modRevision, revision)
      await member!.kill()
      await assert.rejects(store.currentRevision(), StoreUnavailableError)
      await assert.rejects(put(store, 'c', '1'), StoreUnavailableError)
      await member!.start()
      assert.equal((await store.get('c')).entry, undefined)
      await put(store, 'c', '2')
    } finally {
      await store.close()
      await server.close()
    }
  })

  it('stops when etcd has lost what it had acknowledged', async () => {
    const server = await startEtcdServer()
    const [member] = server.members
    const store = await openEtcdStore({ endpoints: server.endpoints })
    try {
      for (let i = 0; i < 10; i++) await put(store, 'a', `${i}`)
      const watch = recordWatch(store, '')
      await member!.kill()
      member!.erase()
      await member!.start()
      await assert.rejects(store.currentRevision(), /etcd went back from revision 11 to 1.*--bump-revision/)
      await watch.until(({ ended }) => ended !== undefined)
      assert(watch.ended?.error instanceof StoreClosedError)
      await assert.rejects(put(store, 'a', '1'), StoreClosedError)
    } finally {
      await store.close()
      await server.close()
    }
  })
})
