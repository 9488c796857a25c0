import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { partitions, type PartitionSpec } from '@centaurus/api/centaurus/v1'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { createMemoryStore, type Store } from '@centaurus/store'
import { createMembership } from '../membership/membership.ts'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import { createCidrLedger } from './cidr-ledger.ts'
import { createPodBlocks, type PodBlocks } from './pod-blocks.ts'

describe('blocks of pods’ addresses', () => {
  let store: Store
  let server: ApiServer
  let client: Client
  beforeEach(async () => {
    store = createMemoryStore()
    const extensions = [createRegistryExtension()]
    server = createApiServer({ store, clock: systemClock, random: systemRandom, logger: silentLogger, extensions })
    await server.start()
    client = server.client()
  })
  afterEach(() => server.close())

  const add = (name: string, spec: Partial<PartitionSpec> = {}) =>
    client.create(partitions, { metadata: { name }, spec: { roles: ['Resource'], endpoints: [], ...spec } })
  const blocksFor = (self: string, registryClient: Client = client): PodBlocks =>
    createPodBlocks({ store, membership: createMembership(server.reader, self), registryClient, clock: systemClock })
  const growPatiently = async (blocks: PodBlocks): Promise<boolean> => {
    for (;;) {
      const grown = await blocks.grow().catch((error: unknown) => {
        if (isStatus(error, 'Conflict')) return undefined
        throw error
      })
      if (grown !== undefined) return grown
    }
  }

  it('are taken one at a time, by home and by others, and tell that they grew', async () => {
    await add('home', { home: true })
    await add('rp1')
    const [home, rp1] = [blocksFor('home'), blocksFor('rp1')]
    const heard: string[] = []
    rp1.onChange(() => heard.push(rp1.blocks().join()))
    assert.deepEqual(home.blocks(), [])
    assert.equal(await home.grow(), true)
    assert.equal(await rp1.grow(), true)
    assert.equal(await rp1.grow(), true)
    assert.deepEqual(home.blocks(), ['10.244.0.0/16'])
    assert.deepEqual(rp1.blocks(), ['10.245.0.0/16', '10.246.0.0/16'])
    assert.deepEqual(heard, ['10.245.0.0/16', '10.245.0.0/16,10.246.0.0/16'])
    assert.equal(home.nodePrefix(), 24)
  })

  it('are different for partitions that take them at the same time', async () => {
    await add('home', { home: true })
    const names = Array.from({ length: 8 }, (_, index) => `rp${index}`)
    for (const name of names) await add(name)
    await Promise.all(['home', ...names].map((name) => growPatiently(blocksFor(name))))
    const { items } = await client.list(partitions)
    const all = items.flatMap(({ spec }) => spec.podCIDRs ?? [])
    assert.equal(all.length, 9)
    assert.equal(new Set(all).size, 9)
  })

  it('are found again by a partition that was killed before it said that it has one', async () => {
    await add('home', { home: true })
    await add('rp1')
    await assert.rejects(blocksFor('rp1', withoutPatch(client)).grow(), /killed/)
    assert.equal(await blocksFor('rp1').grow(), true)
    assert.deepEqual(blocksFor('rp1').blocks(), ['10.244.0.0/16'])
    assert.equal((await client.get(partitions, { name: 'home' })).spec.podBlocks?.length, 1)
  })

  it('come to an end, by the plan that the operator wrote', async () => {
    await add('home', { home: true, podNetwork: { cidr: '192.168.0.0/23', blockPrefix: 24, nodePrefix: 26 } })
    const home = blocksFor('home')
    assert.deepEqual([await home.grow(), await home.grow(), await home.grow()], [true, true, false])
    assert.equal(home.nodePrefix(), 26)
    await assert.rejects(
      add('other', { podNetwork: { blockPrefix: 24, nodePrefix: 20 } }),
      /nodePrefix must not be less than blockPrefix/,
    )
  })
})

describe('the ledger of nodes’ ranges', () => {
  it('has after a restart what was written, and refuses who was not the last to read', async () => {
    const store = createMemoryStore()
    const first = createCidrLedger(store)
    assert.equal((await first.load()).size, 0)
    for (let index = 0; index < 1_500; index++)
      assert.equal(
        await first.put(`10.${index >> 8}.${index & 255}.0/24`, { node: `n${index}`, uid: `u${index}` }),
        true,
      )
    const second = createCidrLedger(store)
    const read = await second.load()
    assert.equal(read.size, 1_500)
    assert.deepEqual(read.get('10.1.3.0/24'), { node: 'n259', uid: 'u259' })
    assert.equal(await second.put('10.1.3.0/24', { node: 'n259', uid: 'u259', releasedAtMs: 7 }), true)
    assert.equal(await first.put('10.1.3.0/24', { node: 'other', uid: 'other' }), false)
    await second.remove('10.1.3.0/24')
    await second.remove('10.200.0.0/24')
    assert.equal((await createCidrLedger(store).load()).size, 1_499)
    await store.close()
  })
})

/** Of a process that is killed before it patches anything. */
function withoutPatch(client: Client): Client {
  return new Proxy(client, {
    get(target, key) {
      if (key === 'patch') return () => Promise.reject(new Error('killed'))
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
