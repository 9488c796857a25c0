import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createMemoryStore, type Store } from '@centaurus/store'
import { createRegistryExtension } from './registry-extension.ts'

describe('the kinds of the registry', () => {
  let store: Store
  let server: ApiServer

  before(async () => {
    store = createMemoryStore()
    const deps = { store, clock: systemClock, random: systemRandom, logger: silentLogger }
    server = createApiServer({ ...deps, extensions: [createRegistryExtension()] })
    await server.start()
  })
  after(async () => {
    await server.close()
    await store.close()
  })

  it('hold partitions and tenants', async () => {
    const client = server.client()
    const made = await client.create(partitions, {
      metadata: { name: 'p0' },
      spec: { roles: ['Tenant', 'Resource'], endpoints: ['https://127.0.0.1:6443'], home: true },
    })
    assert.deepEqual(made.spec.roles, ['Tenant', 'Resource'])
    await client.create(tenants, { metadata: { name: 'acme' }, spec: { quota: { pods: '10' } } })
    assert.equal((await client.list(tenants)).items.length, 1)
  })

  it('refuse what makes no sense', async () => {
    const client = server.client()
    const spec = { roles: ['Tenant' as const], endpoints: ['ftp://x'] }
    await assert.rejects(client.create(partitions, { metadata: { name: 'bad' }, spec }), (error) =>
      isStatus(error, 'Invalid'),
    )
    const home = await client.get(partitions, { name: 'p0' })
    await assert.rejects(
      client.update(partitions, { ...home, spec: { ...home.spec, home: false } }),
      (error) => isStatus(error, 'Invalid') && /home may not change/.test((error as Error).message),
    )
  })
})
