import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { networkpolicies } from '@centaurus/api/networking/v1'
import { createInformerFactory, type InformerFactory } from '@centaurus/client'
import { createMemoryClient, type MemoryClient } from '@centaurus/node/testing'
import { NewestRevisions } from './newest-revisions.ts'

describe('the newest revision in each namespace', () => {
  let client: MemoryClient
  let informers: InformerFactory
  let newest: NewestRevisions
  let looks: number
  const put = async (namespace: string, name: string): Promise<void> => {
    await client.create(networkpolicies, { metadata: { namespace, name } })
    await settled()
  }
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  beforeEach(async () => {
    client = createMemoryClient()
    informers = createInformerFactory(client)
    const informer = informers.informer(networkpolicies)
    looks = 0
    const counted = Object.assign(Object.create(informer) as typeof informer, {
      addHandler: informer.addHandler.bind(informer),
      byIndex(index: string, value: string) {
        looks++
        return informer.byIndex(index, value)
      },
    })
    informer.addIndex('namespace', ({ metadata }) => [metadata.namespace ?? ''])
    newest = new NewestRevisions(counted, 'namespace', ({ metadata }) => metadata.namespace ?? '')
    await informer.whenSynced()
  })
  afterEach(async () => {
    newest.close()
    await informers.close()
  })

  it('follows what comes and changes without a look at all of them', async () => {
    await put('a', 'one')
    assert.equal(newest.of('a'), '1')
    assert.equal(newest.of('b'), undefined)
    await put('a', 'two')
    await put('b', 'three')
    assert.deepEqual([newest.of('a'), newest.of('b')], ['2', '3'])
    const one = await client.get(networkpolicies, { namespace: 'a', name: 'one' })
    await client.update(networkpolicies, { ...one, spec: { podSelector: {} } })
    await settled()
    assert.equal(newest.of('a'), '4')
    assert.equal(looks, 2)
  })

  it('is found again when the newest object goes, and stays when another one does', async () => {
    for (const name of ['one', 'two', 'three']) await put('a', name)
    assert.equal(newest.of('a'), '3')
    await client.delete(networkpolicies, { namespace: 'a', name: 'one' })
    await settled()
    assert.deepEqual([newest.of('a'), looks], ['3', 1])
    await client.delete(networkpolicies, { namespace: 'a', name: 'three' })
    await settled()
    assert.deepEqual([newest.of('a'), looks], ['2', 2])
  })
})
