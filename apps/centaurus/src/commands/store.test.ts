import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { encodeText } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import { startEtcdServer, whyNoEtcd, type EtcdServer } from '@centaurus/store/testing'
import { registerDaemon, stopDaemon } from '../daemons.ts'
import { createHome, findHome, type Home } from '../home.ts'
import { openClusterStore } from '../open-store.ts'
import { DEFAULT_SETTINGS, readSettings, writeSettings } from '../settings.ts'
import { EMBEDDED, parseStoreFlags, type StoreFlags } from '../store-setting.ts'
import { UserError } from '../user-error.ts'
import { migrateClusterStore } from './store.ts'

describe('centaurus store migrate', { skip: whyNoEtcd() }, () => {
  let server: EtcdServer
  let home: Home
  let flags: StoreFlags

  before(async () => {
    server = await startEtcdServer({ tls: true })
    home = findHome({ CENTAURUS_HOME: mkdtempSync(join(tmpdir(), 'centaurus-home-')) })
    createHome(home)
    writeSettings(home, DEFAULT_SETTINGS)
    flags = { engine: 'etcd', endpoints: server.endpoints.join(','), ...server.tlsFiles! }
  })
  after(async () => {
    await server?.close()
    rmSync(home.dir, { recursive: true, force: true })
  })

  const keysOf = async (store: Store): Promise<string[]> =>
    (await store.range('/registry/')).entries.map(({ key }) => key)
  const put = (store: Store, key: string): ReturnType<Store['commit']> =>
    store.commit({ changes: [{ type: 'put', key, value: encodeText('{}') }] })

  async function withClusterStore<T>(body: (store: Store) => Promise<T>): Promise<T> {
    const store = await openClusterStore(home, readSettings(home)!.store)
    try {
      return await body(store)
    } finally {
      await store.close()
    }
  }

  it('moves the objects to etcd and back, and the cluster uses the new store', async () => {
    const before = await withClusterStore(async (store) => {
      for (let i = 0; i < 20; i++) await put(store, `/registry/${i % 5}`)
      return store.currentRevision()
    })
    await migrateClusterStore(home, flags)
    const { store: setting } = readSettings(home)!
    assert(setting.engine === 'etcd')
    assert.deepEqual(setting.endpoints, server.endpoints)
    assert.equal(setting.prefix, '/centaurus')
    await withClusterStore(async (store) => {
      assert.equal((await keysOf(store)).length, 5)
      assert((await store.currentRevision()) > before)
      await put(store, '/registry/new')
    })
    await assert.rejects(migrateClusterStore(home, flags), /are in etcd at .* under \/centaurus already/)
    await assert.rejects(migrateClusterStore(home, { engine: 'embedded' }), /not empty.*mv .*\/store .*\/store\.old/)
    assert.equal(readSettings(home)!.store.engine, 'etcd')
    renameSync(home.storeDir, `${home.storeDir}.old`)
    await migrateClusterStore(home, { engine: 'embedded' })
    assert.deepEqual(readSettings(home)!.store, EMBEDDED)
    await withClusterStore(async (store) => assert.equal((await keysOf(store)).length, 6))
  })

  it('refuses while the control plane runs, and where there is no cluster', async () => {
    registerDaemon(home, 'control-plane')
    await assert.rejects(migrateClusterStore(home, flags), /run \.\/centaurus down first/)
    rmSync(join(home.runDir, 'control-plane.json'))
    assert.equal(await stopDaemon(home, 'control-plane'), false)
    const nowhere = findHome({ CENTAURUS_HOME: join(home.dir, 'nowhere') })
    await assert.rejects(migrateClusterStore(nowhere, flags), /There is no cluster in/)
  })

  it('says what cannot be meant, and what cannot be reached', async () => {
    const parse = (wrong: StoreFlags): unknown => parseStoreFlags(wrong, (flag) => `--${flag}`)
    assert.throws(() => parse({ engine: 'sqlite' }), /--engine "sqlite": it must be embedded or etcd/)
    assert.throws(() => parse({ engine: 'etcd' }), /--endpoints https:/)
    assert.throws(() => parse({ engine: 'embedded', prefix: '/a' }), /--prefix with an embedded store/)
    assert.throws(() => parse({ ...flags, key: undefined }), /both --cert and --key/)
    for (const wrong of [{ endpoints: 'localhost:1' }, { prefix: 'centaurus' }, { ca: '/nowhere.crt' }]) {
      await assert.rejects(migrateClusterStore(home, { ...flags, ...wrong }), UserError)
    }
    assert.deepEqual(readSettings(home)!.store, EMBEDDED)
  })
})
