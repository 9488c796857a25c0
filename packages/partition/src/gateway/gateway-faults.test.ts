import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import { nodes } from '@centaurus/api/core/v1'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'
import { ALLOW_PARTIAL_HEADER } from './aggregate/fan-out.ts'
import { standIn, type ClusterMap } from './cluster-map.ts'
import type { Gateway } from './gateway.ts'
import type { FrontClient } from './testing/front-client.ts'
import { adminOf, eventually, OPERATOR, startWorld, type World } from './testing/world.ts'

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const NODE_WATCH = '/api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion='

describe('the gateway, when parts of the cluster are away', () => {
  let world: World
  let gateway: Gateway
  let operator: FrontClient
  let acme: FrontClient

  beforeEach(async () => {
    world = await startWorld()
    await world.addTenant('acme', 'tp1')
    await world.servers.rp0.client.create(nodes, { metadata: { name: 'a0' } })
    await world.servers.rp1.client.create(nodes, { metadata: { name: 'b0' } })
    gateway = await world.gateway()
    operator = await world.connect(gateway, OPERATOR)
    acme = await world.connect(gateway, adminOf('acme'))
  })
  afterEach(() => world.close())

  const versionOf = async (): Promise<string> =>
    encodeURIComponent((await operator.request('GET', '/api/v1/nodes')).json().metadata.resourceVersion)

  it('fails closed for nodes of a partition that is away, and goes on with the rest', async () => {
    const watch = await operator.watch(NODE_WATCH + (await versionOf()))
    await world.stop('rp1')
    await watch.until((_, ended) => ended)
    const list = await operator.request('GET', '/api/v1/nodes')
    assert.equal(list.status, 503)
    assert.equal(list.headers['retry-after'], '1')
    assert.equal(list.json().reason, 'ServiceUnavailable')
    assert.match(list.json().message, /partition "rp1" can't be reached/)
    const part = await operator.request('GET', '/api/v1/nodes', { headers: { [ALLOW_PARTIAL_HEADER]: 'true' } })
    assert.equal(part.status, 200)
    assert.match(String(part.headers['warning']), /rp1/)
    assert.deepEqual(namesOf(part.json().items), ['a0'])
    assert.equal((await operator.request('GET', '/api/v1/nodes/a0')).status, 200)
    // nobody can say that there is no such node while a partition is not asked
    for (const method of ['GET', 'DELETE']) {
      assert.equal((await operator.request(method, '/api/v1/nodes/nosuch')).status, 503, method)
      assert.equal((await operator.request(method, '/api/v1/nodes/b0')).status, 503, method)
    }
    assert.equal((await acme.request('GET', CONFIG_MAPS)).status, 200)
    assert.match((await operator.request('GET', '/readyz?verbose')).text, /\[-\]partition\/rp1 failed/)
    await world.start('rp1')
    await eventually(async () => (await operator.request('GET', '/api/v1/nodes')).status === 200)
    assert.deepEqual(namesOf((await operator.request('GET', '/api/v1/nodes')).json().items), ['a0', 'b0'])
  })

  it('says nothing to a tenant but that it must wait', async () => {
    await world.stop('tp1')
    const answer = await acme.request('GET', CONFIG_MAPS)
    assert.equal(answer.status, 503)
    assert.equal(answer.headers['retry-after'], '1')
    assert.doesNotMatch(answer.text, /tp1|partition/)
    const named = await operator.request('GET', `/tenants/acme${CONFIG_MAPS}`)
    assert.match(named.json().message, /partition "tp1" can't be reached/)
    assert.equal((await operator.request('GET', '/api/v1/namespaces')).status, 200)
    await world.start('tp1')
    await eventually(async () => (await acme.request('GET', CONFIG_MAPS)).status === 200)
  })

  it('goes on without home, and a gateway that starts then learns from another', async () => {
    await world.stop('home')
    assert.equal((await acme.request('GET', CONFIG_MAPS)).status, 200)
    assert.equal((await operator.request('GET', '/api/v1/nodes')).status, 200)
    assert.equal((await operator.request('GET', '/api/v1/namespaces')).status, 503)
    const second = await world.gateway()
    const client = await world.connect(second, adminOf('acme'))
    await eventually(async () => (await client.request('GET', CONFIG_MAPS)).status === 200)
    await world.start('home')
    await eventually(async () => (await operator.request('GET', '/api/v1/namespaces')).status === 200)
    await world.addTenant('late', 'tp1')
    for (const through of [gateway, second]) {
      const late = await world.connect(through, adminOf('late'))
      await eventually(async () => (await late.request('GET', CONFIG_MAPS)).status === 200)
    }
  })

  it('takes nothing for deleted that a copy of the registry lacks, until home says so', async () => {
    const map = { home: 'home', tenantPartitions: ['home', 'tp1'] } as unknown as ClusterMap
    // tenants that would be looked for at home if they were not known
    const names = Array.from({ length: 20 }, (_, i) => `t${i}`).filter((name) => standIn(map, name) === 'home')
    const [kept, deleted, added] = names
    for (const name of [kept!, deleted!]) await world.addTenant(name, 'tp1')
    const [keeper, goner] = await Promise.all([kept!, deleted!].map((name) => world.connect(gateway, adminOf(name))))
    const statusOf = async (client: FrontClient): Promise<number> => (await client.request('GET', CONFIG_MAPS)).status
    for (const client of [keeper!, goner!]) await eventually(async () => (await statusOf(client)) === 200)
    const key = (name: string): string => `/registry/system/centaurus.io/tenants/${name}`
    for (const partition of ['rp0', 'rp1'] as const) {
      const { store } = world.servers[partition]
      const [entry] = (await store.range(key(kept!))).entries
      const value = Buffer.from(Buffer.from(entry!.value).toString('latin1').replaceAll(kept!, added!), 'latin1')
      const removed = [kept!, deleted!].map((name) => ({ type: 'delete' as const, key: key(name) }))
      await store.commit({ changes: [...removed, { type: 'put', key: key(added!), value }] })
    }
    const readsHome = async (): Promise<boolean> =>
      /^centaurus_gateway_registry_at_home 1$/m.test((await operator.request('GET', '/metrics')).text)
    assert.equal(await readsHome(), true)
    await world.stop('home')
    // that one is known shows that the copy was read
    const asAdded = (): ReturnType<FrontClient['request']> => operator.request('GET', `/tenants/${added}${CONFIG_MAPS}`)
    await eventually(async () => (await asAdded()).status === 404)
    assert.equal(await readsHome(), false)
    for (const client of [keeper!, goner!]) assert.equal(await statusOf(client), 200)
    await world.start('home')
    await world.servers.home.client.delete(tenants, { name: deleted! })
    await eventually(readsHome)
    await eventually(async () => (await statusOf(goner!)) === 404)
    assert.equal(await statusOf(keeper!), 200)
  })

  it('resumes watches at another gateway, and after a restart', async () => {
    const second = await world.gateway()
    const elsewhere = await world.connect(second, OPERATOR)
    const watch = await operator.watch(NODE_WATCH + (await versionOf()))
    await world.servers.rp0.client.create(nodes, { metadata: { name: 'n1' } })
    await watch.until((events) => events.at(-1)?.type === 'BOOKMARK')
    await gateway.close()
    await watch.until((_, ended) => ended)
    await world.servers.rp1.client.create(nodes, { metadata: { name: 'n2' } })
    const position = watch.events.at(-1)!.object.metadata.resourceVersion
    const resumed = await elsewhere.watch(NODE_WATCH + encodeURIComponent(position))
    await resumed.until((events) => events.length > 0)
    assert.deepEqual([resumed.events[0]!.type, resumed.events[0]!.object.metadata.name], ['ADDED', 'n2'])
    resumed.close()
  })

  it('keeps an informer whole through the loss of a partition', async () => {
    const { certificates } = world
    const { certificatePem: cert, keyPem: key } = await certificates.client('informer', OPERATOR)
    const ca = certificates.authority.certificatePem
    const client = createHttpClient({ server: `https://127.0.0.1:${gateway.port}`, ca, cert, key })
    const informers = createInformerFactory(client, { clock: systemClock, random: systemRandom, logger: silentLogger })
    const informer = informers.informer(nodes)
    const removed: string[] = []
    informer.addHandler({ onDelete: (node) => void removed.push(node.metadata.name) })
    const names = (): string => namesOf(informer.list()).join()
    await eventually(() => names() === 'a0,b0')
    await world.stop('rp1')
    await world.servers.rp0.client.create(nodes, { metadata: { name: 'a1' } })
    await world.start('rp1')
    await world.servers.rp1.client.create(nodes, { metadata: { name: 'b1' } })
    await eventually(() => names() === 'a0,a1,b0,b1')
    assert.deepEqual(removed, [])
    await informers.close()
    await client.close()
  })

  it('ends watches when a partition joins, and shows what is new there', async () => {
    const { client } = world.servers.home
    const version = await versionOf()
    const watch = await operator.watch(NODE_WATCH + version)
    const tp1 = await client.get(partitions, { name: 'tp1' })
    await world.servers.tp1.client.create(nodes, { metadata: { name: 'c0' } })
    await client.update(partitions, { ...tp1, spec: { ...tp1.spec, roles: ['Tenant', 'Resource'] } })
    await watch.until((_, ended) => ended)
    const resumed = await operator.watch(NODE_WATCH + version)
    await resumed.until((events) => events.some(({ object }) => object.metadata.name === 'c0'))
    resumed.close()
    assert.deepEqual(namesOf((await operator.request('GET', '/api/v1/nodes')).json().items), ['a0', 'b0', 'c0'])
  })
})

function namesOf(items: readonly { metadata: { name: string } }[]): string[] {
  return items.map((item) => item.metadata.name).toSorted()
}
