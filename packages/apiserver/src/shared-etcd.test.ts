import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openEtcdStore } from '@centaurus/store'
import { createHastyClock, startEtcdServer, whyNoEtcd, type EtcdServer } from '@centaurus/store/testing'
import { startTestServer, type TestServer } from './testing/test-server.ts'

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const SERVICES = '/api/v1/namespaces/default/services'
const QUOTAS = '/api/v1/namespaces/default/resourcequotas'

function configMap(name: string, data: Record<string, string> = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }
}

describe('Two API servers over one etcd', { skip: whyNoEtcd() }, () => {
  let etcd: EtcdServer
  let a: TestServer
  let b: TestServer

  const start = async (): Promise<TestServer> =>
    startTestServer({ store: await openEtcdStore({ endpoints: etcd.endpoints }) })

  before(async () => {
    etcd = await startEtcdServer()
    a = await start()
    b = await start()
  })
  after(async () => {
    await a?.close()
    await b?.close()
    await etcd?.close()
  })

  it('read what the other was just told is written', async () => {
    for (let i = 0; i < 40; i++) {
      const [one, other] = i % 2 === 0 ? [a, b] : [b, a]
      const created = await one.request('POST', CONFIG_MAPS, { body: configMap(`read-${i}`) })
      assert.equal(created.status, 201)
      const read = await other.request('GET', `${CONFIG_MAPS}/read-${i}`)
      assert.deepEqual(read.json(), created.json())
      const changed = { ...created.json(), data: { i: `${i}` } }
      const updated = await other.request('PUT', `${CONFIG_MAPS}/read-${i}`, { body: changed })
      assert.equal(updated.status, 200, updated.text)
      const listed = (await one.request('GET', CONFIG_MAPS)).json()
      assert.deepEqual(
        listed.items.find(({ metadata }) => metadata.name === `read-${i}`)?.metadata.resourceVersion,
        updated.json().metadata.resourceVersion,
      )
      assert.equal((await one.request('DELETE', `${CONFIG_MAPS}/read-${i}`)).status, 200)
      assert.equal((await other.request('GET', `${CONFIG_MAPS}/read-${i}`)).status, 404)
    }
  })

  it('let one of two writers win', async () => {
    for (let i = 0; i < 20; i++) {
      const body = configMap(`race-${i}`)
      const creates = await Promise.all([a, b].map((server) => server.request('POST', CONFIG_MAPS, { body })))
      assert.deepEqual(creates.map(({ status }) => status).toSorted(), [201, 409])
      assert.equal(creates.find(({ status }) => status === 409)!.json().reason, 'AlreadyExists')
      const made = creates.find(({ status }) => status === 201)!.json()
      const updates = await Promise.all(
        [a, b].map((server, n) =>
          server.request('PUT', `${CONFIG_MAPS}/race-${i}`, { body: { ...made, data: { n: `${n}` } } }),
        ),
      )
      assert.deepEqual(updates.map(({ status }) => status).toSorted(), [200, 409])
      const winner = updates.find(({ status }) => status === 200)!.json()
      for (const server of [a, b]) {
        assert.deepEqual((await server.request('GET', `${CONFIG_MAPS}/race-${i}`)).json(), winner)
      }
    }
  })

  it('send their watchers the same events, each once and in order, whoever wrote', async () => {
    const { metadata } = (await a.request('GET', CONFIG_MAPS)).json()
    const path = `${CONFIG_MAPS}?watch=1&resourceVersion=${metadata.resourceVersion}`
    const watches = await Promise.all([a, b].map((server) => server.watch(path)))
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const [one, other] = i % 2 === 0 ? [a, b] : [b, a]
        await one.request('POST', CONFIG_MAPS, { body: configMap(`watched-${i}`) })
        await other.request('PUT', `${CONFIG_MAPS}/watched-${i}`, { body: configMap(`watched-${i}`, { i: `${i}` }) })
        await one.request('DELETE', `${CONFIG_MAPS}/watched-${i}`)
      }),
    )
    const seen = await Promise.all(
      watches.map(async (watch) => {
        await watch.until((events) => events.length === 180)
        return watch.events.map(
          ({ type, object }) => `${type} ${object.metadata.name} ${object.metadata.resourceVersion}`,
        )
      }),
    )
    assert.deepEqual(seen[0], seen[1])
    const revisions = watches[0]!.events.map(({ object }) => Number(object.metadata.resourceVersion))
    assert.deepEqual(
      revisions,
      revisions.toSorted((x, y) => x - y),
    )
    for (const watch of watches) watch.close()
  })

  it('never give out an address twice, nor more than a quota', async () => {
    const service = (name: string): object => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name },
      spec: { type: 'NodePort', ports: [{ port: 80 }] },
    })
    const made = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        (i % 2 === 0 ? a : b).request('POST', SERVICES, { body: service(`s-${i}`) }),
      ),
    )
    assert.deepEqual(new Set(made.map(({ status }) => status)), new Set([201]))
    const addresses = made.map((response) => response.json().spec['clusterIP'])
    const ports = made.map((response) => (response.json().spec['ports'] as { nodePort: number }[])[0]!.nodePort)
    assert.deepEqual([new Set(addresses).size, new Set(ports).size], [30, 30])

    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'limited' } }
    assert.equal((await a.request('POST', '/api/v1/namespaces', { body: namespace })).status, 201)
    const quota = {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'few' },
      spec: { hard: { 'count/configmaps': '5' } },
    }
    const created = await a.request('POST', QUOTAS.replace('default', 'limited'), { body: quota })
    assert.equal(created.status, 201)
    const counted = {
      ...created.json(),
      status: { hard: { 'count/configmaps': '5' }, used: { 'count/configmaps': '0' } },
    }
    const status = await a.request('PUT', `${QUOTAS.replace('default', 'limited')}/few/status`, { body: counted })
    assert.equal(status.status, 200, status.text)
    const asked = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        (i % 2 === 0 ? a : b).request('POST', CONFIG_MAPS.replace('default', 'limited'), { body: configMap(`c-${i}`) }),
      ),
    )
    const taken = asked.filter(({ status: code }) => code === 201).length
    assert(taken <= 5 && taken > 0, `${taken} of at most 5`)
    const listed = (await b.request('GET', CONFIG_MAPS.replace('default', 'limited'))).json()
    assert.equal(listed.items.length, taken)
  })

  it('go on when either dies, and a new one knows everything', async () => {
    const { metadata } = (await b.request('GET', CONFIG_MAPS)).json()
    const watch = await b.watch(`${CONFIG_MAPS}?watch=1&resourceVersion=${metadata.resourceVersion}`)
    await a.request('POST', CONFIG_MAPS, { body: configMap('last-words') })
    await a.close()
    await b.request('POST', CONFIG_MAPS, { body: configMap('after') })
    await watch.until((events) => events.length === 2)
    assert.deepEqual(
      watch.events.map(({ object }) => object.metadata.name),
      ['last-words', 'after'],
    )
    watch.close()
    a = await start()
    const lists = await Promise.all([a, b].map((server) => server.request('GET', '/api/v1/configmaps')))
    assert.deepEqual(lists[0]!.json().items, lists[1]!.json().items)
    await b.close()
    assert.equal((await a.request('GET', `${CONFIG_MAPS}/after`)).status, 200)
    b = await start()
  })

  it('say 503 while etcd is away, and go on when it is back', async () => {
    const store = await openEtcdStore({ endpoints: etcd.endpoints, clock: createHastyClock(20) })
    const impatient = await startTestServer({ store })
    const [member] = etcd.members
    await member!.kill()
    const read = await impatient.request('GET', `${CONFIG_MAPS}/after`)
    assert.deepEqual([read.status, read.json().reason], [503, 'ServiceUnavailable'])
    const write = await impatient.request('POST', CONFIG_MAPS, { body: configMap('away') })
    assert.deepEqual([write.status, write.json().reason], [503, 'ServiceUnavailable'])
    await member!.start()
    assert.equal((await impatient.request('GET', `${CONFIG_MAPS}/away`)).status, 404)
    await impatient.close()
    const body = configMap('back')
    const created = await a.request('POST', CONFIG_MAPS, { body })
    assert.equal(created.status, 201)
    assert.deepEqual((await b.request('GET', `${CONFIG_MAPS}/back`)).json(), created.json())
  })
})
