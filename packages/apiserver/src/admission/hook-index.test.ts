import assert from 'node:assert/strict'
import { after, before, describe, it, mock } from 'node:test'
import { validatingwebhookconfigurations } from '@centaurus/api/admissionregistration/v1'
import { configmaps } from '@centaurus/api/core/v1'
import type { ObjectReader } from '../resource/object-reader.ts'
import { startTestServer, type TestServer } from '../testing/test-server.ts'
import { HookIndex } from './hook-index.ts'

describe('HookIndex', () => {
  let test: TestServer
  before(async () => (test = await startTestServer()))
  after(() => test.close())

  it('is asked once a write where there are no webhooks', async () => {
    const of = mock.method(HookIndex.prototype, 'of')
    try {
      const client = test.server.client({ name: 'dev', uid: '', groups: [], extra: {}, tenant: 'system' })
      const name = { namespace: 'default', name: 'counted' }
      const asked = async (write: () => Promise<unknown>): Promise<number> => {
        of.mock.resetCalls()
        await write()
        return of.mock.callCount()
      }
      const counts = [
        await asked(() => client.create(configmaps, { metadata: name })),
        await asked(() => client.patch(configmaps, name, { type: 'merge', body: { data: { a: 'b' } } })),
        await asked(() => client.get(configmaps, name)),
        await asked(() => client.delete(configmaps, name)),
      ]
      assert.deepEqual(counts, [1, 1, 0, 1])
    } finally {
      of.mock.restore()
    }
  })

  it('reads and compiles once a change, not once a write', async () => {
    const { server, client } = test
    let lists = 0
    const counting: ObjectReader = {
      ...server.reader,
      list: (...args: Parameters<ObjectReader['list']>) => {
        lists++
        return server.reader.list(...args)
      },
    } as ObjectReader
    const index = new HookIndex(counting, server.stored)
    for (let i = 0; i < 100; i++) assert.equal(index.of('system'), undefined)
    assert.equal(lists, 6)
    await client.create(configmaps, { metadata: { name: 'a', namespace: 'default' } })
    index.of('system')
    assert.equal(lists, 6)
    await client.create(validatingwebhookconfigurations, {
      metadata: { name: 'hooks' },
      webhooks: [
        {
          name: 'a.example.com',
          clientConfig: { url: 'https://a.example.com' },
          sideEffects: 'None',
          admissionReviewVersions: ['v1'],
        },
      ],
    })
    const hooks = index.of('system')
    assert.deepEqual([hooks?.validating.map(({ name }) => name), lists], [['a.example.com'], 12])
    assert.equal(index.of('system'), hooks)
    assert.equal(index.of('other'), undefined)
    await client.delete(validatingwebhookconfigurations, { name: 'hooks' })
    assert.equal(index.of('system'), undefined)
    index.close()
  })
})
