import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { configmaps, namespaces, type ConfigMap } from '@centaurus/api/core/v1'
import type { Client, ObjectList } from '@centaurus/client'
import { SERVER_USER } from '../server.ts'
import { startTestServer, type TestServer } from '../testing/test-server.ts'

const namespace = 'default'
const configMap = (name: string): ConfigMap => ({ metadata: { namespace, name }, data: {} })

describe('the revision that a tenant is shown', () => {
  let test: TestServer
  let acme: Client
  let beta: Client

  before(async () => {
    test = await startTestServer()
    const open = async (tenant: string): Promise<Client> => {
      const client = test.server.client({ ...SERVER_USER, tenant })
      await client.create(namespaces, { metadata: { name: namespace } })
      for (const name of ['a', 'b', 'c']) await client.create(configmaps, configMap(name))
      return client
    }
    acme = await open('acme')
    beta = await open('beta')
  })
  after(() => test.close())

  const list = (options: Parameters<Client['list']>[1] = {}): Promise<ObjectList<ConfigMap>> =>
    acme.list(configmaps, { namespace, ...options })
  const writeElsewhere = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await beta.update(configmaps, configMap('a'))
    await test.client.create(configmaps, { metadata: { namespace, generateName: 'x-' } })
  }

  it('is that of its own newest change, of whatever resource', async () => {
    const made = await acme.create(namespaces, { metadata: { name: 'another' } })
    await writeElsewhere()
    const { resourceVersion } = await list()
    assert.equal(resourceVersion, made.metadata.resourceVersion)
    assert.equal((await list({ resourceVersion: '0' })).resourceVersion, resourceVersion)
    assert.equal((await list({ resourceVersion })).resourceVersion, resourceVersion)
    const everybody = await test.client.list(configmaps, { namespace })
    assert.ok(Number(everybody.resourceVersion) > Number(resourceVersion))
  })

  it('is one that a watch goes on from, also when nothing happened for long and much was forgotten', async () => {
    const { resourceVersion } = await list()
    await writeElsewhere()
    await test.store.compact(await test.store.currentRevision())
    const seen: string[] = []
    const isOver = Promise.withResolvers<void>()
    const watch = acme.watch(configmaps, {
      namespace,
      resourceVersion,
      onEvent(type, object) {
        seen.push(`${type} ${object.metadata.name}`)
        if (type === 'DELETED') isOver.resolve()
      },
      onEnd: (error) => isOver.reject(error ?? new Error('the watch ended')),
    })
    await acme.create(configmaps, configMap('d'))
    await acme.delete(configmaps, { namespace, name: 'd' })
    await isOver.promise
    assert.deepEqual(seen, ['ADDED d', 'DELETED d'])
    watch.close()
  })

  it('is one at which a list goes on, also when it is older than what the store can read', async () => {
    const first = await list({ limit: 1 })
    await writeElsewhere()
    await test.store.compact(await test.store.currentRevision())
    await acme.create(configmaps, configMap('bb'))
    await writeElsewhere()
    const rest = await list({ continue: first.continue })
    assert.deepEqual(
      [...first.items, ...rest.items].map(({ metadata }) => metadata.name),
      ['a', 'b', 'c'],
    )
    assert.equal(rest.resourceVersion, first.resourceVersion)
  })

  it('does not come sooner because others write', async () => {
    const { resourceVersion } = await list()
    const next = String(Number(resourceVersion) + 3)
    let isThere = false
    const waiting = list({ resourceVersion: next }).then((answer) => {
      isThere = true
      return answer
    })
    await writeElsewhere()
    await test.client.list(configmaps, { namespace }) // they are in the cache by now
    assert.equal(isThere, false)
    const made = await acme.create(configmaps, configMap('e'))
    assert.equal((await waiting).resourceVersion, made.metadata.resourceVersion)
  })
})
