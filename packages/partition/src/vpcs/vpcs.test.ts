import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { ALL_TENANTS, isStatus, type TenantNetwork } from '@centaurus/api'
import { networkidentities, partitions, remotenodes, tenants, vpcs, type Vpc } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { createNetworkExtension, SERVER_USER } from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory, type RunningController } from '@centaurus/client'
import { createMemoryStore, type Store } from '@centaurus/store'
import { FENCED } from '../membership/partition-status.ts'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import { startVpcs } from './start-vpcs.ts'
import { FIRST_VNI, leaveVniBlock, VNI_BLOCK, VniAllocator } from './vni-allocator.ts'

const HOME = { metadata: { name: 'home' }, spec: { roles: ['Tenant' as const], endpoints: [], home: true } }

async function startHome(): Promise<TestServer> {
  const test = await startTestServer({
    partition: 'home',
    extensions: [createRegistryExtension(), createNetworkExtension()],
  })
  await test.client.create(partitions, HOME)
  return test
}

async function until(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** A store that does not do the commits that the test chooses, or does not say that it did. */
function failing(store: Store, loses: () => 'question' | 'answer' | undefined): Store {
  return {
    ...store,
    get: (key) => store.get(key),
    async commit(commit) {
      const lost = loses()
      if (lost === 'question') throw new Error('the store is away')
      const result = await store.commit(commit)
      if (lost === 'answer') throw new Error('the store did not answer')
      return result
    },
  }
}

describe('numbers of networks', () => {
  let test: TestServer
  before(async () => (test = await startHome()))
  after(() => test.close())

  it('are different in all partitions, whatever gets lost on the way', async () => {
    const given = new Set<number>()
    let calls = 0
    const loses = () => (['question', undefined, 'answer', undefined, undefined] as const)[calls++ % 5]
    for (let round = 0; round < 3; round++) {
      const stores = Array.from({ length: 3 }, () => failing(createMemoryStore(), loses))
      const allocators = stores.map((store) => new VniAllocator({ store, registryClient: test.client }))
      for (let i = 0; i < 40; i++) {
        if (i === 20)
          allocators.push(...stores.map((store) => new VniAllocator({ store, registryClient: test.client })))
        const taken = await Promise.allSettled(allocators.flatMap((each) => [each.take(), each.take()]))
        for (const result of taken) {
          if (result.status === 'rejected') continue
          assert.ok(!given.has(result.value), `${result.value} was given twice`)
          given.add(result.value)
        }
      }
    }
    assert.ok(given.size > 100)
    assert.ok(Math.min(...given) >= FIRST_VNI)
  })

  it('come from the next block when one is used up, and never from an older one', async () => {
    const allocator = new VniAllocator({ store: createMemoryStore(), registryClient: test.client })
    const first = await allocator.take()
    for (let i = 1; i < VNI_BLOCK; i++) assert.equal(await allocator.take(), first + i)
    const other = new VniAllocator({ store: createMemoryStore(), registryClient: test.client })
    assert.equal(await other.take(), first + VNI_BLOCK)
    const next = await allocator.take()
    assert.equal(next, first + 2 * VNI_BLOCK)
    const home = await test.client.get(partitions, { name: 'home' })
    assert.equal(home.spec.nextVni, next + VNI_BLOCK)
    const back = { ...home, spec: { ...home.spec, nextVni: next } }
    await assert.rejects(test.client.update(partitions, back), /nextVni may not go down/)
  })

  it('are none of an old copy of the store, of those that others know of, or of a home that is not believed', async () => {
    const store = createMemoryStore()
    const deps = { store, registryClient: test.client }
    const allocator = new VniAllocator(deps)
    const first = await allocator.take()
    const backup = (await store.get('/centaurus/vnis')).entry!.value
    assert.equal(await allocator.take(), first + 1)
    const restored = createMemoryStore()
    await restored.commit({ changes: [{ type: 'put', key: '/centaurus/vnis', value: backup }] })
    assert.equal(await new VniAllocator({ ...deps, store: restored }).take(), first + VNI_BLOCK)
    await leaveVniBlock(store)
    assert.equal(await allocator.take(), first + 2 * VNI_BLOCK)
    const known = first + 100 * VNI_BLOCK
    const nextVniElsewhere = async (): Promise<number> => known
    assert.equal(await new VniAllocator({ ...deps, nextVniElsewhere }).take(), known)
    const home = await test.client.get(partitions, { name: 'home' })
    const fenced = {
      type: FENCED,
      status: 'True' as const,
      reason: 'x',
      message: 'x',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    }
    const doubted = await test.client.updateStatus(partitions, { ...home, status: { conditions: [fenced] } })
    await assert.rejects(new VniAllocator(deps).take(), /not believed.*partition readmit home/)
    await test.client.updateStatus(partitions, { ...doubted, status: {} })
    assert.equal(await new VniAllocator(deps).take(), known + VNI_BLOCK)
  })

  it('end', async () => {
    const home = await test.client.get(partitions, { name: 'home' })
    await test.client.update(partitions, { ...home, spec: { ...home.spec, nextVni: 2 ** 24 - 1 } })
    const allocator = new VniAllocator({ store: createMemoryStore(), registryClient: test.client })
    assert.equal(await allocator.take(), 2 ** 24 - 1)
    await assert.rejects(allocator.take(), /All 16777215 numbers of networks were given/)
  })
})

describe('networks of tenants', () => {
  let test: TestServer
  let informers: InformerFactory
  let controller: RunningController
  let acme: Client

  const start = (): void => {
    const client = test.server.client({ ...SERVER_USER, tenant: ALL_TENANTS })
    informers = createInformerFactory(client, { clock: systemClock, random: systemRandom, logger: silentLogger })
    const deps = { store: test.store, registryClient: test.client, informers, client, tenants: test.server.tenants }
    controller = startVpcs({ ...deps, clock: systemClock, logger: silentLogger })
  }
  const stop = async (): Promise<void> => {
    await controller.close()
    await informers.close()
  }
  const numbered = async (client: Client, name: string): Promise<Vpc> => {
    await until(async () => (await client.get(vpcs, { name })).status?.vni !== undefined)
    return client.get(vpcs, { name })
  }
  const isThere = async (name: string): Promise<boolean> => {
    try {
      return (await acme.get(vpcs, { name })) !== undefined
    } catch (error) {
      if (isStatus(error, 'NotFound')) return false
      throw error
    }
  }

  before(async () => {
    test = await startHome()
    const made = await test.client.create(tenants, { metadata: { name: 'acme' } })
    await test.client.updateStatus(tenants, { ...made, status: { phase: 'Active', partition: 'home', epoch: 1 } })
    await test.server.bootstrapTenant('acme')
    acme = test.server.client({ ...SERVER_USER, tenant: 'acme' })
    start()
  })
  after(async () => {
    await stop()
    await test.close()
  })

  it('get numbers that stay, the operators the first', async () => {
    assert.equal((await numbered(test.client, 'default')).status?.vni, 1)
    const { status } = await numbered(acme, 'default')
    assert.equal(status?.vni, FIRST_VNI)
    assert.equal(status?.nextIdentity, 256)
    assert.equal(status?.conditions?.[0]?.type, 'Ready')
    await acme.create(vpcs, { metadata: { name: 'blue' }, spec: { cidr: '10.0.0.0/16' } })
    assert.equal((await numbered(acme, 'blue')).status?.vni, FIRST_VNI + 1)
    await stop()
    start()
    await acme.create(vpcs, { metadata: { name: 'late' } })
    assert.equal((await numbered(acme, 'late')).status?.vni, FIRST_VNI + VNI_BLOCK)
    assert.equal((await numbered(acme, 'default')).status?.vni, FIRST_VNI)
  })

  it('say what operators grant their tenant, as long as they do', async () => {
    const told = async (name: string, network: TenantNetwork | undefined): Promise<void> =>
      until(async () => isDeepStrictEqual((await acme.get(vpcs, { name })).status?.tenantNetwork, network))
    const grant = async (network: TenantNetwork | undefined): Promise<void> => {
      const { spec, ...acmes } = await test.client.get(tenants, { name: 'acme' })
      await test.client.update(tenants, { ...acmes, spec: { ...spec, network } })
    }
    const network: TenantNetwork = { egressBandwidth: '10M', max: { class: 'expedited' } }
    await grant(network)
    await told('default', network)
    await told('late', network)
    await acme.create(vpcs, { metadata: { name: 'later' } })
    const { status } = await numbered(acme, 'later')
    assert.deepEqual(status?.tenantNetwork, network, 'nodes hear of it with the number')
    const { resourceVersion } = (await acme.get(vpcs, { name: 'later' })).metadata
    const seen = await test.client.get(tenants, { name: 'acme' })
    await test.client.updateStatus(tenants, { ...seen, status: { ...seen.status, used: { pods: '1' } } })
    await acme.create(vpcs, { metadata: { name: 'last' } })
    await numbered(acme, 'last')
    assert.equal((await acme.get(vpcs, { name: 'later' })).metadata.resourceVersion, resourceVersion)
    await grant(undefined)
    await told('later', undefined)
    assert.equal((await numbered(acme, 'later')).status?.vni, status?.vni)
    await stop()
    await grant(network)
    start()
    await told('default', network)
    assert.equal((await test.client.get(vpcs, { name: 'default' })).status?.tenantNetwork, undefined)
  })

  it('say which nodes they hide, and when they do no more', async () => {
    const hides = async (status: string | undefined, text: RegExp): Promise<void> =>
      until(async () => {
        const found = (await acme.get(vpcs, { name: 'blue' })).status?.conditions?.find(
          ({ type }) => type === 'HidesNodes',
        )
        return found?.status === status && text.test(found?.message ?? '')
      })
    const addresses = (ip: string) => ({ addresses: [{ type: 'InternalIP', address: ip }] })
    await hides(undefined, /^$/)
    const node = await test.client.create(nodes, { metadata: { name: 'n1' } })
    await test.client.updateStatus(nodes, { ...node, status: addresses('10.0.7.7') })
    await hides('True', /Nodes have addresses in 10\.0\.0\.0\/16: 10\.0\.7\.7\. Its pods do not reach them/)
    const remote = { metadata: { name: 'n2' }, spec: { partition: 'p2' }, status: addresses('10.0.0.9') }
    await test.client.create(remotenodes, remote)
    await hides('True', /: 10\.0\.0\.9, 10\.0\.7\.7\./)
    await test.client.delete(remotenodes, { name: 'n2' })
    await test.client.delete(nodes, { name: 'n1' })
    await hides('False', /No node has an address in it/)
    assert.equal((await numbered(acme, 'blue')).status?.vni, FIRST_VNI + 1)
  })

  it('go when their last pod has gone, with what belongs to them, and their numbers do not come back', async () => {
    const pod: Pod = {
      metadata: { name: 'a', namespace: 'default', annotations: { 'centaurus.io/vpc': 'blue' } },
      spec: { containers: [{ name: 'a', image: 'a' }] },
    }
    await acme.create(pods, pod)
    const spec = { id: 256, namespace: 'default', labels: {}, keys: [] }
    await acme.create(networkidentities, { metadata: { name: 'id-blue' }, spec: { ...spec, vpc: 'blue' } })
    await acme.create(networkidentities, { metadata: { name: 'id-default' }, spec: { ...spec, vpc: 'default' } })
    await acme.delete(vpcs, { name: 'blue' })
    await acme.delete(vpcs, { name: 'late' })
    await until(async () => !(await isThere('late')))
    assert.ok(await isThere('blue'), 'a pod uses it')
    await acme.delete(pods, { namespace: 'default', name: 'a' }, { gracePeriodSeconds: 0 })
    await until(async () => !(await isThere('blue')))
    assert.deepEqual(
      (await acme.list(networkidentities)).items.map(({ metadata }) => metadata.name),
      ['id-default'],
    )
    await acme.create(vpcs, { metadata: { name: 'blue' } })
    assert.equal((await numbered(acme, 'blue')).status?.vni, FIRST_VNI + 2 * VNI_BLOCK)
  })
})
