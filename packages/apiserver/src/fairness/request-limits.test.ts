import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { adminOf, putTenant, startTenantServer } from '../testing/tenant-server.ts'
import type { TestServer } from '../testing/test-server.ts'

/** Requests of all nodes that are worked on at once. */
const NODE_SEATS = 1_024

describe('the limits of requests', () => {
  let test: TestServer
  before(async () => {
    // a route that ends when the test says so
    test = await startTenantServer({ extensions: [() => ({ routes: [slow] })] })
    await putTenant(test, { metadata: { name: 'acme' }, spec: { quota: { 'requests.seats': '1' } } })
    await putTenant(test, { metadata: { name: 'globex' } })
  })
  after(() => test.close())

  const held: (() => void)[] = []
  let arrived = (): void => {}
  const slow = {
    path: '/slow',
    methods: ['GET'],
    forTenants: true,
    handle: async (exchange: { respond(code: number, headers: object, body: string): void }) => {
      arrived()
      await new Promise<void>((resolve) => held.push(resolve))
      exchange.respond(200, {}, 'done')
    },
  }

  it('let a tenant have the seats of its quota, and others go on', async () => {
    const acme = await test.as(adminOf('acme'))
    const globex = await test.as(adminOf('globex'))
    const first = new Promise<void>((resolve) => (arrived = resolve))
    const holding = acme('GET', '/slow')
    await first
    let isAnswered = false
    const waiting = acme('GET', '/version').then(() => (isAnswered = true))
    assert.equal((await globex('GET', '/version')).status, 200)
    assert.equal((await test.request('GET', '/version')).status, 200)
    assert.equal(isAnswered, false)
    held[0]!()
    assert.equal((await holding).text, 'done')
    await waiting
  })

  it('let nodes wait for each other, and nobody else for them', async () => {
    const asNode = (): Promise<TestServer['request']> =>
      test.as({ commonName: 'system:node:n1', organizations: ['system:nodes', 'system:masters'] })
    const [node, other] = await Promise.all([asNode(), asNode()]) // a connection has no more than 1,000 streams
    held.length = 0
    const all = new Promise<void>((resolve) => {
      arrived = () => held.length === NODE_SEATS - 1 && resolve()
    })
    const holding = Array.from({ length: NODE_SEATS }, (_, i) => (i % 2 === 0 ? node : other)('GET', '/slow'))
    await all
    let isAnswered = false
    const waiting = node('GET', '/version').then(() => (isAnswered = true))
    assert.equal((await test.request('GET', '/version')).status, 200)
    const lease = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1'
    assert.equal((await node('PUT', lease, { body: {} })).status, 201)
    assert.equal(isAnswered, false)
    for (const release of held) release()
    await Promise.all([...holding, waiting])
  })

  it('do not count what stays open', async () => {
    const acme = await test.as(adminOf('acme'))
    const watches = Array.from({ length: 3 }, () =>
      acme('GET', '/api/v1/namespaces?watch=1&timeoutSeconds=1&resourceVersion=0'),
    )
    assert.equal((await acme('GET', '/api/v1/namespaces')).status, 200)
    for (const watch of await Promise.all(watches)) assert.equal(watch.status, 200)
  })
})
