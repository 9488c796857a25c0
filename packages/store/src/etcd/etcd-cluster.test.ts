import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { checkLoad, startLoad, watchLoad } from '../testing/etcd-load.ts'
import { startEtcdServer, whyNoEtcd, type EtcdServer } from '../testing/etcd-server.ts'
import { put } from '../testing/fixtures.ts'
import { createHastyClock } from '../testing/hasty-clock.ts'
import { openEtcdStore } from './etcd-store.ts'
import type { EtcdTls } from './grpc-session.ts'

describe('The etcd store over three members with client certificates', { skip: whyNoEtcd() }, () => {
  let server: EtcdServer

  before(async () => void (server = await startEtcdServer({ members: 3, tls: true })))
  after(() => server?.close())

  it('loses nothing and makes nothing twice when each member is killed in turn, the leader too', async () => {
    const { endpoints, members } = server
    let asked = 0
    const tls = (): EtcdTls => {
      asked++
      return server.tls!
    }
    const stores = await Promise.all([0, 1].map(() => openEtcdStore({ endpoints, tls, prefix: '/killed' })))
    const [store, other] = [stores[0]!, stores[1]!]
    const from = (await store.currentRevision()) + 1
    const watches = stores.map((each) => watchLoad(each, from))
    const load = startLoad(store, 8)
    await load.more(20)
    for (const member of members) {
      await member.kill()
      await load.more(20)
      await member.start()
    }
    await load.more(20)
    await load.stop()
    await checkLoad(other, load, watches)
    assert(asked > stores.length, 'certificates are asked for at each connection, so that they may be renewed')
    await Promise.all(stores.map((each) => each.close()))
  })

  it('leaves a member that hangs for another', async () => {
    const { endpoints, members } = server
    const tls = (): EtcdTls => server.tls!
    const store = await openEtcdStore({ endpoints, tls, prefix: '/hangs', clock: createHastyClock(5) })
    for (const [i, member] of members.entries()) {
      await member.freeze()
      const revision = await put(store, 'a', `${i}`).finally(() => member.thaw())
      assert.equal((await store.get('a')).entry?.modRevision, revision)
    }
    assert.equal((await store.get('a')).entry?.version, 3)
    await store.close()
  })

  it('is refused without a certificate, and says why', async () => {
    const { ca } = server.tls!
    const opening = openEtcdStore({ endpoints: server.endpoints, tls: () => ({ ca }), clock: createHastyClock(10) })
    await assert.rejects(opening, /Cannot reach etcd at https:.*certificate required|bad certificate|handshake/)
  })
})
