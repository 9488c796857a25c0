import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { decodeProtobuf, isProtobuf, type KubeObject } from '@centaurus/api'
import { networkreports, remotenodes, tenants } from '@centaurus/api/centaurus/v1'
import { nodes } from '@centaurus/api/core/v1'
import type { Gateway } from './gateway.ts'
import type { FrontClient } from './testing/front-client.ts'
import { adminOf, eventually, OPERATOR, startWorld, type World } from './testing/world.ts'

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'

const configMap = (name: string, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
})

describe('the gateway', () => {
  let world: World
  let gateway: Gateway
  let operator: FrontClient
  let acme: FrontClient
  let globex: FrontClient

  before(async () => {
    world = await startWorld()
    await world.addTenant('acme', 'home')
    await world.addTenant('globex', 'tp1')
    await world.servers.rp0.client.create(nodes, { metadata: { name: 'a0', labels: { zone: 'a' } } })
    await world.servers.rp0.client.create(nodes, { metadata: { name: 'a1', labels: { zone: 'b' } } })
    await world.servers.rp1.client.create(nodes, { metadata: { name: 'b0', labels: { zone: 'a' } } })
    gateway = await world.gateway()
    operator = await world.connect(gateway, OPERATOR)
    acme = await world.connect(gateway, adminOf('acme'))
    globex = await world.connect(gateway, adminOf('globex'))
  })
  after(() => world.close())

  it('takes everybody to the partition of their tenant', async () => {
    for (const [client, tenant, partition] of [
      [acme, 'acme', 'home'],
      [globex, 'globex', 'tp1'],
    ] as const) {
      const made = await client.request('POST', CONFIG_MAPS, { body: configMap('own', { tenant }) })
      assert.equal(made.status, 201, made.text)
      const direct = await world.servers[partition].as(adminOf(tenant))
      assert.deepEqual((await direct('GET', `${CONFIG_MAPS}/own`)).json<{ data: unknown }>().data, { tenant })
      const byUrl = await operator.request('GET', `/tenants/${tenant}${CONFIG_MAPS}/own`)
      assert.deepEqual(byUrl.json<{ data: unknown }>().data, { tenant })
      const arktos = await operator.request('GET', `/api/v1/tenants/${tenant}/namespaces/default/configmaps/own`)
      assert.equal(arktos.text, byUrl.text)
    }
  })

  it('shows no difference between a tenant of others and one that does not exist', async () => {
    const ask = async (client: FrontClient, tenant: string): Promise<[number, string]> => {
      const { status, text } = await client.request('GET', `/tenants/${tenant}${CONFIG_MAPS}/own`)
      return [status, text.replaceAll(`/tenants/${tenant}/`, '/tenants/*/')]
    }
    for (const client of [acme, globex, await world.connect(gateway)]) {
      const nothing = await ask(client, 'nosuch')
      for (const other of ['system', 'all', client === acme ? 'globex' : 'acme']) {
        assert.deepEqual(await ask(client, other), nothing)
      }
    }
  })

  it('believes no headers about who somebody is', async () => {
    const headers = { 'x-remote-user': 'root', 'x-remote-group': 'system:masters', 'x-remote-tenant': 'globex' }
    const asAcme = await acme.request('GET', CONFIG_MAPS, { headers })
    assert.equal(asAcme.status, 200)
    assert.ok(asAcme.text.includes('acme'))
    assert.ok(!asAcme.text.includes('globex'))
    const nobody = await world.connect(gateway)
    assert.equal((await nobody.request('GET', CONFIG_MAPS, { headers })).status, 403)
    assert.match((await nobody.request('GET', CONFIG_MAPS, { headers })).json().message, /system:anonymous/)
  })

  it('lists the nodes of all resource partitions, as objects and as a Table', async () => {
    const list = await operator.request('GET', '/api/v1/nodes')
    assert.equal(list.status, 200, list.text)
    assert.equal(list.json().kind, 'NodeList')
    assert.deepEqual(namesOf(list.json().items), ['a0', 'a1', 'b0'])
    assert.match(list.json().metadata.resourceVersion, /^rp0_\d+~rp1_\d+$/)
    const table = await operator.request('GET', '/api/v1/nodes', { headers: { accept: TABLE } })
    const parsed = table.json<{ kind: string; columnDefinitions: unknown[]; rows: { cells: unknown[] }[] }>()
    assert.equal(parsed.kind, 'Table')
    assert.ok(parsed.columnDefinitions.length > 3)
    assert.deepEqual(
      parsed.rows.map((row) => row.cells[0]),
      ['a0', 'a1', 'b0'],
    )
    const selected = await operator.request('GET', '/api/v1/nodes?labelSelector=zone%3Da')
    assert.deepEqual(namesOf(selected.json().items), ['a0', 'b0'])
    const none = await operator.request('GET', '/api/v1/nodes?labelSelector=zone%3Dx')
    assert.deepEqual(none.json().items, [])
  })

  it('merges protobuf for who takes nothing else', async () => {
    const binary = await operator.request('GET', '/api/v1/nodes', {
      headers: { accept: 'application/vnd.kubernetes.protobuf' },
    })
    assert.ok(isProtobuf(binary.bytes))
    const list = decodeProtobuf(binary.bytes) as unknown as {
      kind: string
      items: KubeObject[]
      metadata: { resourceVersion: string }
    }
    assert.equal(list.kind, 'NodeList')
    assert.deepEqual(
      list.items.map((item) => item.metadata.name),
      ['a0', 'a1', 'b0'],
    )
    assert.match(list.metadata.resourceVersion, /^rp0_\d+~rp1_\d+$/)
    const both = await operator.request('GET', '/api/v1/nodes', {
      headers: { accept: 'application/vnd.kubernetes.protobuf,application/json' },
    })
    assert.equal(both.headers['content-type'], 'application/json')
    const refused = await operator.request('GET', '/api/v1/nodes', { headers: { accept: 'image/png' } })
    assert.equal(refused.status, 406)
  })

  it('lists page by page across partitions, at one moment', async () => {
    const first = await operator.request('GET', '/api/v1/nodes?limit=1')
    assert.deepEqual(namesOf(first.json().items), ['a0'])
    await world.servers.rp1.client.create(nodes, { metadata: { name: 'b1' } })
    const seen: string[] = []
    let token = String(first.json().metadata['continue'])
    while (token !== 'undefined') {
      const page = await operator.request('GET', `/api/v1/nodes?limit=1&continue=${token}`)
      assert.equal(page.status, 200, page.text)
      assert.equal(page.json().metadata.resourceVersion, first.json().metadata.resourceVersion)
      seen.push(...namesOf(page.json().items))
      token = String(page.json().metadata['continue'])
    }
    assert.deepEqual(seen, ['a1', 'b0'])
    const two = await operator.request('GET', '/api/v1/nodes?limit=3')
    assert.deepEqual(namesOf(two.json().items), ['a0', 'a1', 'b0'])
    await world.servers.rp1.client.delete(nodes, { name: 'b1' })
    const damaged = await operator.request('GET', '/api/v1/nodes?limit=1&continue=abc')
    assert.equal(damaged.status, 410)
  })

  it('finds a node wherever it is, for reading and writing', async () => {
    for (const [name, partition] of [
      ['a1', 'rp0'],
      ['b0', 'rp1'],
    ] as const) {
      const found = await operator.request('GET', `/api/v1/nodes/${name}`)
      assert.equal(found.status, 200)
      const direct = await world.servers[partition].client.get(nodes, { name })
      assert.equal(found.json().metadata.resourceVersion, direct.metadata.resourceVersion)
      const body = { ...found.json(), spec: { unschedulable: true } }
      const put = await operator.request('PUT', `/api/v1/nodes/${name}`, { body })
      assert.equal(put.status, 200, put.text)
      assert.equal((await world.servers[partition].client.get(nodes, { name })).spec?.unschedulable, true)
      assert.equal((await operator.request('PUT', `/api/v1/nodes/${name}`, { body })).status, 409)
      const headers = { 'content-type': 'application/merge-patch+json' }
      const patch = { body: '{"spec":{"unschedulable":null}}', headers }
      assert.equal((await operator.request('PATCH', `/api/v1/nodes/${name}`, patch)).status, 200)
    }
    assert.equal((await operator.request('GET', '/api/v1/nodes/nosuch')).status, 404)
    assert.equal((await operator.request('DELETE', '/api/v1/nodes/nosuch')).status, 404)
  })

  it('makes no second node of a name, and finds one that has moved', async () => {
    const body = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'b0' } }
    assert.equal((await operator.request('POST', '/api/v1/nodes', { body })).status, 409)
    const fresh = { ...body, metadata: { name: 'm' } }
    assert.equal((await operator.request('POST', '/api/v1/nodes', { body: fresh })).status, 201)
    assert.equal((await operator.request('GET', '/api/v1/nodes/m')).status, 200)
    await world.servers.rp0.client.delete(nodes, { name: 'm' })
    await world.servers.rp1.client.create(nodes, { metadata: { name: 'm' } })
    assert.equal((await operator.request('GET', '/api/v1/nodes/m')).status, 200)
    assert.equal((await operator.request('DELETE', '/api/v1/nodes/m')).status, 200)
    assert.equal((await operator.request('GET', '/api/v1/nodes/m')).status, 404)
  })

  it('watches the nodes of all partitions, and resumes from one position in all of them', async () => {
    const list = await operator.request('GET', '/api/v1/nodes')
    const path = (version: string): string =>
      `/api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion=${encodeURIComponent(version)}`
    const watch = await operator.watch(path(list.json().metadata.resourceVersion))
    await world.servers.rp1.client.create(nodes, { metadata: { name: 'w1' } })
    await world.servers.rp0.client.create(nodes, { metadata: { name: 'w0' } })
    await watch.until((events) => events.filter((event) => event.type === 'BOOKMARK').length === 2)
    assert.deepEqual(
      watch.events.map((event) => [event.type, event.object.metadata.name]),
      [
        ['ADDED', 'w1'],
        ['BOOKMARK', undefined],
        ['ADDED', 'w0'],
        ['BOOKMARK', undefined],
      ],
    )
    const position = watch.events.at(-1)!.object.metadata.resourceVersion
    assert.match(position, /^rp0_\d+~rp1_\d+$/)
    watch.close()
    await world.servers.rp0.client.delete(nodes, { name: 'w0' })
    await world.servers.rp1.client.delete(nodes, { name: 'w1' })
    const resumed = await operator.watch(path(position))
    await resumed.until((events) => events.filter((event) => event.type === 'DELETED').length === 2)
    assert.deepEqual(namesOf(resumed.events.filter(({ type }) => type !== 'BOOKMARK').map(({ object }) => object)), [
      'w0',
      'w1',
    ])
    resumed.close()
    // an object's own resourceVersion is no position: list again
    const bare = await operator.request(
      'GET',
      `/api/v1/nodes?watch=1&resourceVersion=${watch.events[0]!.object.metadata.resourceVersion}`,
    )
    assert.equal(bare.status, 410)
  })

  it('shows operators what nodes of all partitions report of their networks, and each copy of a node once', async () => {
    const { rp0, rp1 } = world.servers
    const copy = (name: string, partition: string) => ({
      metadata: { name, annotations: { 'centaurus.io/resource-partition': partition } },
      spec: { partition },
    })
    for (const [server, own, other] of [
      [rp0, 'a0', copy('b0', 'rp1')],
      [rp1, 'b0', copy('a0', 'rp0')],
    ] as const) {
      await server.client.create(networkreports, { metadata: { name: own }, spec: { tenants: [] } })
      await server.client.create(remotenodes, other)
      await server.client.create(remotenodes, copy('c0', 'rp2')) // of a third one, known to both
    }
    const group = '/apis/centaurus.io/v1'
    const seen = async (path: string): Promise<string[]> => namesOf((await operator.request('GET', path)).json().items)
    for (const prefix of ['', '/tenants/all']) {
      assert.deepEqual(await seen(`${prefix}${group}/networkreports`), ['a0', 'b0'])
      assert.deepEqual(await seen(`${prefix}${group}/remotenodes`), ['a0', 'b0', 'c0'])
    }
    const table = await operator.request('GET', `${group}/remotenodes?includeObject=None`, {
      headers: { accept: TABLE },
    })
    assert.equal(table.json<{ rows: unknown[] }>().rows.length, 3)
    for (const name of ['a0', 'b0', 'c0'])
      assert.equal((await operator.request('GET', `${group}/remotenodes/${name}`)).status, 200, name)
    const watch = await operator.watch(`${group}/remotenodes?watch=1`)
    await rp1.client.delete(remotenodes, { name: 'c0' })
    await rp1.client.delete(remotenodes, { name: 'a0' })
    await watch.until((events) => events.some(({ type }) => type === 'DELETED'))
    watch.close()
    assert.deepEqual(
      watch.events.filter(({ type }) => type === 'DELETED').map(({ object }) => object.metadata.name),
      ['a0'],
    )
  })

  it('tells once, by a bookmark, that what was there at the start is through', async () => {
    const watch = await operator.watch(
      '/api/v1/nodes?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan',
    )
    await watch.until((events) => events.some(({ type }) => type === 'BOOKMARK'))
    assert.deepEqual(namesOf(watch.events.filter(({ type }) => type === 'ADDED').map(({ object }) => object)), [
      'a0',
      'a1',
      'b0',
    ])
    const { metadata } = watch.events.at(-1)!.object
    assert.deepEqual(metadata['annotations'], { 'k8s.io/initial-events-end': 'true' })
    assert.match(metadata.resourceVersion, /^rp0_\d+~rp1_\d+$/)
    watch.close()
  })

  it('shows operators all tenants of all partitions, and each partition’s own once', async () => {
    const all = await operator.request('GET', '/tenants/all/api/v1/configmaps?fieldSelector=metadata.name%3Down')
    assert.equal(all.status, 200, all.text)
    assert.deepEqual(
      all.json().items.map(({ metadata }) => `${metadata['namespace']}/${metadata.name}`),
      ['default--acme/own', 'default--globex/own'],
    )
    const spaces = await operator.request('GET', '/tenants/all/api/v1/namespaces')
    const names = spaces.json().items.map(({ metadata }) => metadata.name)
    assert.equal(new Set(names).size, names.length)
    for (const name of ['default', 'default--acme', 'default--globex']) assert.ok(names.includes(name), name)
    const one = await operator.request('GET', '/tenants/all/api/v1/namespaces/default--globex/configmaps/own')
    assert.deepEqual(one.json<{ data: unknown }>().data, { tenant: 'globex' })
    const table = await operator.request('GET', '/tenants/all/api/v1/configmaps?includeObject=None', {
      headers: { accept: TABLE },
    })
    assert.equal(table.status, 200)
    const watch = await operator.watch(
      `/tenants/all/api/v1/configmaps?watch=1&resourceVersion=${encodeURIComponent(all.json().metadata.resourceVersion)}`,
    )
    await globex.request('POST', CONFIG_MAPS, { body: configMap('late') })
    await watch.until((events) => events.some(({ object }) => object.metadata.name === 'late'))
    assert.equal(watch.events.at(-1)!.object.metadata['namespace'], 'default--globex')
    watch.close()
  })

  it('shows operators no copies that a partition holds of another’s objects', async () => {
    const { home, tp1 } = world.servers
    const path = '/tenants/all/api/v1/configmaps?fieldSelector=metadata.name%3Down'
    const listed = await operator.request('GET', path)
    const version = encodeURIComponent(listed.json().metadata.resourceVersion)
    const { entries } = await tp1.store.range('/registry/globex/core/configmaps/default/own')
    assert.equal(entries.length, 1)
    await home.store.commit({ changes: entries.map(({ key, value }) => ({ type: 'put', key, value })) })
    const direct = await home.as(OPERATOR)
    await eventually(async () => (await direct('GET', path)).text.includes('default--globex'))
    const shown = (): Promise<string[]> =>
      operator
        .request('GET', path)
        .then((answer) => answer.json().items.map(({ metadata }) => String(metadata['namespace'])))
    assert.deepEqual(await shown(), ['default--acme', 'default--globex'])
    const watch = await operator.watch(`${path}&watch=1&allowWatchBookmarks=1&resourceVersion=${version}`)
    await acme.request('DELETE', `${CONFIG_MAPS}/own`)
    await watch.until((events) => events.some(({ type }) => type === 'DELETED'))
    assert.deepEqual(
      watch.events.filter(({ type }) => type !== 'BOOKMARK').map(({ object }) => object.metadata['namespace']),
      ['default--acme'],
    )
    watch.close()
  })

  it('has operators list again who watch all tenants when one of them moves', async () => {
    await world.addTenant('nomad', 'tp1')
    const watch = await operator.watch('/tenants/all/api/v1/configmaps?watch=1')
    const others = await operator.watch('/api/v1/nodes?watch=1')
    const registry = world.servers.home.client
    const found = await registry.get(tenants, { name: 'nomad' })
    await registry.updateStatus(tenants, { ...found, status: { phase: 'Active', partition: 'home', epoch: 2 } })
    await watch.until((events, ended) => ended && events.at(-1)?.type === 'ERROR')
    assert.equal(watch.events.at(-1)!.object.reason, 'Expired')
    assert.equal(others.ended, false)
    others.close()
  })

  it('gathers the metrics of all partitions, for operators alone', async () => {
    const metrics = await operator.request('GET', '/metrics')
    assert.equal(metrics.status, 200)
    for (const name of ['home', 'tp1', 'rp0', 'rp1']) {
      assert.match(metrics.text, new RegExp(`^apiserver_[a-z_]+\\{partition="${name}"`, 'm'))
      assert.match(metrics.text, new RegExp(`^centaurus_gateway_partition_up\\{partition="${name}"\\} 1$`, 'm'))
    }
    assert.equal(metrics.text.match(/^# TYPE apiserver_request_total /gm)?.length ?? 1, 1)
    assert.equal((await acme.request('GET', '/metrics')).status, 403)
  })

  it('says how it is, and how the partitions are', async () => {
    const nobody = await world.connect(gateway)
    assert.equal((await nobody.request('GET', '/livez')).text, 'ok')
    assert.equal((await nobody.request('GET', '/readyz')).text, 'ok')
    const verbose = await nobody.request('GET', '/readyz?verbose')
    assert.match(verbose.text, /^\[\+\]registry ok\n\[\+\]partition\/home ok\n/)
    assert.equal((await nobody.request('GET', '/readyz/partition/rp1')).text, 'ok')
    assert.equal((await nobody.request('GET', '/readyz/partition/nosuch')).status, 404)
    assert.equal((await operator.request('GET', '/partition/v1/allocations')).status, 404)
  })

  it('answers as the API server does, with its headers', async () => {
    const answer = await acme.request('GET', '/version', { headers: { 'audit-id': 'seen' } })
    assert.equal(answer.headers['audit-id'], 'seen')
    assert.equal(answer.json<{ minor: string }>().minor, '37')
    const missing = await acme.request('GET', `${CONFIG_MAPS}/nosuch`)
    assert.equal(missing.json().message, 'configmaps "nosuch" not found')
    const escape = await acme.request('GET', '/api/v1/namespaces/%zz/pods')
    assert.equal(escape.status, 400)
    const big = await acme.request('POST', CONFIG_MAPS, { body: configMap('big', { text: 'x'.repeat(700_000) }) })
    assert.equal(big.status, 201)
    const read = await acme.request('GET', `${CONFIG_MAPS}/big`)
    assert.equal(read.json<{ data: { text: string } }>().data.text.length, 700_000)
    const huge = await acme.request('POST', CONFIG_MAPS, { body: configMap('huge', { text: 'x'.repeat(4_000_000) }) })
    assert.equal(huge.status, 413)
  })

  it('follows the registry: a new tenant is there at once', async () => {
    await world.addTenant('initech', 'tp1')
    const client = await world.connect(gateway, adminOf('initech'))
    await eventually(async () => (await client.request('GET', CONFIG_MAPS)).status === 200)
  })
})

function namesOf(items: readonly { metadata: { name: string } }[]): string[] {
  return items.map((item) => item.metadata.name).toSorted()
}
