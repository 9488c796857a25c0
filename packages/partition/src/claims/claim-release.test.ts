import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isStatus, type Stored } from '@centaurus/api'
import { nodeallocations, type NodeAllocation } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { SERVER_USER, type CreateExtension } from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { silentLogger, systemClock } from '@centaurus/base'
import { createMemoryStore, type Store } from '@centaurus/store'
import { acquireEpoch } from '../epoch/acquire-epoch.ts'
import { createClaimBinder, type ClaimBinder } from './claim-binder.ts'
import { ClaimBook } from './claim-book.ts'
import { createClaimsExtension } from './claims-extension.ts'

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const allowAll: CreateExtension = () => ({ authorizer: { authorize: () => ({ allowed: true, reason: '' }) } })

/** A partition with nodes and tenants of its own. */
async function startPartition(store: Store, moved: Readonly<Record<string, string>> = {}) {
  const ownerOf = (tenant: string): string | undefined => moved[tenant]
  const claims = new ClaimBook({ store, clock: systemClock, logger: silentLogger, ownerOf })
  const get = () => ({
    metadata: { name: 'p', uid: 'p', resourceVersion: '1', creationTimestamp: '' },
    spec: { roles: ['Tenant' as const, 'Resource' as const], endpoints: ['https://127.0.0.1:1'] },
  })
  const membership = { self: 'p', get, hosts: () => true, tenants: () => [], onChange: () => () => {} }
  const server = await startTestServer({
    store: outliving(store),
    extensions: [createClaimsExtension({ claims, store, membership }), allowAll],
  })
  const openBinder = async (): Promise<ClaimBinder> => {
    const { epoch } = await acquireEpoch(store)
    return createClaimBinder({
      membership,
      openLink: () => assert.fail('the nodes are our own'),
      client: server.client,
      epoch,
      partitionOf: () => 'p',
      localClaims: claims,
      clock: systemClock,
      logger: silentLogger,
      onDeposed: () => assert.fail('nobody else leads'),
    })
  }
  return { claims, server, openBinder }
}

/** The store for a server that will be closed before it. */
function outliving(store: Store): Store {
  return {
    currentRevision: () => store.currentRevision(),
    get: (key, options) => store.get(key, options),
    range: (prefix, options) => store.range(prefix, options),
    commit: (transaction) => store.commit(transaction),
    watch: (prefix, options) => store.watch(prefix, options),
    compact: (revision) => store.compact(revision),
    close: async () => {},
  }
}

async function addNode(server: TestServer, name: string): Promise<void> {
  const node = await server.client.create(nodes, { metadata: { name } })
  const allocatable = { cpu: '4', memory: '256Mi', pods: '10' }
  await server.client.updateStatus(nodes, { ...node, status: { allocatable, capacity: allocatable } })
}

const createPod = (server: TestServer, name: string): Promise<Stored<Pod>> =>
  server.client.create(pods, {
    metadata: { name, namespace: 'default' },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  })
const item = (pod: Stored<Pod>) => ({ pod, nodeName: 'n', requests: { cpu: 100 }, ports: [] })

describe('room on a node', () => {
  it('comes back when its pod is deleted or over, however it ended', async () => {
    const store = createMemoryStore()
    const { claims, server, openBinder } = await startPartition(store)
    await addNode(server, 'n')
    const binder = await openBinder()
    const made = await Promise.all(['deleted', 'succeeded', 'failed', 'stays'].map((name) => createPod(server, name)))
    assert.deepEqual(
      (await binder.bind(made.map(item))).map(({ type }) => type),
      ['bound', 'bound', 'bound', 'bound'],
    )
    assert.equal(claims.ledger.claimCount, 4)
    await server.client.delete(pods, { namespace: 'default', name: 'deleted' }, { gracePeriodSeconds: 0 })
    await until(() => claims.ledger.claimCount === 3)
    for (const phase of ['Succeeded', 'Failed'] as const) {
      const pod = await server.client.get(pods, { namespace: 'default', name: phase.toLowerCase() })
      await server.client.updateStatus(pods, { ...pod, status: { phase } })
    }
    await until(() => claims.ledger.claimCount === 1)
    assert.equal(claims.ledger.nodeOf(made[3]!.metadata.uid), 'n')
    await binder.close()
    await server.close()
  })

  it('comes back when a pod ended while nobody looked, or was never bound by a scheduler that is gone', async () => {
    const store = createMemoryStore()
    const first = await startPartition(store)
    await addNode(first.server, 'n')
    const binder = await first.openBinder()
    const [over, bound, unbound, deleted] = (await Promise.all(
      ['over', 'bound', 'unbound', 'deleted'].map((name) => createPod(first.server, name)),
    )) as [Stored<Pod>, Stored<Pod>, Stored<Pod>, Stored<Pod>]
    await binder.bind([over, bound, deleted].map(item))
    await binder.claim([item(unbound)])
    await binder.close()
    await first.server.server.close()

    // A server without claims: what happens here is seen by nobody.
    const other = await startTestServer({ store: outliving(store) })
    const pod = await other.client.get(pods, { namespace: 'default', name: 'over' })
    await other.client.updateStatus(pods, { ...pod, status: { phase: 'Failed' } })
    await other.client.delete(pods, { namespace: 'default', name: 'deleted' }, { gracePeriodSeconds: 0 })
    await other.server.close()

    const second = await startPartition(store)
    await until(() => second.claims.ledger.claimCount === 3)
    assert.equal(second.claims.ledger.nodeOf(over.metadata.uid), undefined)
    await acquireEpoch(store)
    await until(() => second.claims.ledger.claimCount === 1)
    assert.equal(second.claims.ledger.nodeOf(bound.metadata.uid), 'n')
    await second.server.close()
  })

  it('is what a pod asks for after it was resized, and at least what its node gave it', async () => {
    const store = createMemoryStore()
    const { claims, server, openBinder } = await startPartition(store)
    await addNode(server, 'n')
    const binder = await openBinder()
    const name = { namespace: 'default', name: 'p' }
    const resources = (cpu: string) => ({ requests: { cpu } })
    const containers = [{ name: 'c', image: 'i', resources: resources('100m') }]
    const pod = await server.client.create(pods, { metadata: name, spec: { containers } })
    await binder.bind([item(pod)])
    const cpu = (): number | undefined => claims.ledger.claims('n').used['cpu']
    const resize = (to: string): Promise<unknown> => {
      const body = { spec: { containers: [{ name: 'c', resources: resources(to) }] } }
      return server.client.patch(pods, name, { type: 'strategic', body }, { subresource: 'resize' })
    }
    const give = async (what: string): Promise<void> => {
      const containerStatuses = [{ name: 'c', image: 'i', imageID: '', ready: true, restartCount: 0 }]
      const status = { containerStatuses: containerStatuses.map((each) => ({ ...each, resources: resources(what) })) }
      await server.client.updateStatus(pods, { ...(await server.client.get(pods, name)), status })
    }
    assert.equal(cpu(), 100)
    await resize('300m')
    await until(() => cpu() === 300)
    await give('300m')
    await resize('200m')
    await give('250m') // it is not done yet
    await until(() => cpu() === 250)
    await resize('5') // the node has less
    await give('240m')
    await until(() => cpu() === 240)
    await resize('150m')
    await give('150m')
    await until(() => cpu() === 150)
    await server.client.delete(pods, name, { gracePeriodSeconds: 0 })
    await until(() => claims.ledger.claimCount === 0)
    await binder.close()
    await server.close()
  })

  it('is shown by node to operators, computed when they ask', async () => {
    const { claims, server } = await startPartition(createMemoryStore())
    await addNode(server, 'n')
    await addNode(server, 'm')
    const requests = { cpu: 1000, memory: 64 * 1024 ** 2 }
    const item = { op: 'claim' as const, uid: 'u', tenant: 'acme', namespace: 'shop', name: 'web', node: 'n', requests }
    await claims.submit({ partition: 'tp1', epoch: 1, sequence: 1, items: [item] })
    const path = '/apis/centaurus.io/v1/nodeallocations'
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io'
    const answer = await server.request('GET', path, { headers: { accept } })
    assert.equal(answer.status, 200, answer.text)
    const table = answer.json<{
      columnDefinitions: { name: string }[]
      rows: { cells: unknown[] }[]
    }>()
    assert.deepEqual(
      table.columnDefinitions.map(({ name }) => name),
      ['Name', 'Pods', 'CPU', 'CPU%', 'Memory', 'Memory%', 'Partitions', 'Age'],
    )
    assert.deepEqual(
      table.rows.map(({ cells }) => cells.slice(0, -1)),
      [
        ['m', 0, '0', '0%', '0', '0%', '<none>'],
        ['n', 1, '1', '25%', '64Mi', '25%', 'tp1'],
      ],
    )
    const one = (await server.request('GET', `${path}/n`)).json<NodeAllocation>()
    assert.equal(one.kind, 'NodeAllocation')
    assert.deepEqual(one.status.free, { cpu: '3', memory: '192Mi', pods: '9' })
    assert.equal(one.status.claims[0]?.namespace, 'shop')
    const yaml = await server.request('GET', path, { headers: { accept: 'application/yaml' } })
    assert.match(yaml.text, /kind: NodeAllocationList/)
    for (const [method, at, status] of [
      ['GET', `${path}/x`, 404],
      ['GET', `${path}?watch=1`, 405],
      ['POST', path, 405],
      ['DELETE', `${path}/n`, 405],
    ] as const) {
      assert.equal((await server.request(method, at, method === 'POST' ? { body: one } : {})).status, status, method)
    }
    const asTenant = (tenant: string) => server.server.client({ ...SERVER_USER, tenant })
    assert.equal((await asTenant('system').list(nodeallocations)).items.length, 2)
    assert.equal((await asTenant('all').list(nodeallocations, { fieldSelector: 'metadata.name=n' })).items.length, 1)
    assert.equal((await asTenant('acme').list(nodeallocations)).items.length, 0)
    await assert.rejects(asTenant('acme').get(nodeallocations, { name: 'n' }), (error) => isStatus(error, 'NotFound'))
    await server.close()
  })

  it('goes along when its tenant moves to another partition', async () => {
    const store = createMemoryStore()
    const moved: Record<string, string> = {}
    const { claims, server } = await startPartition(store, moved)
    await addNode(server, 'n')
    const claim = (uid: string) => ({
      op: 'claim' as const,
      uid,
      tenant: 'acme',
      namespace: 'default',
      name: uid,
      node: 'n',
      requests: { cpu: 100 },
    })
    await claims.submit({ partition: 'tp1', epoch: 7, sequence: 1, items: [claim('a'), claim('b')] })
    moved['acme'] = 'tp2'
    const nothing = { epoch: 9, isBound: () => false }
    await claims.reconcile('tp1', nothing)
    assert.equal(claims.ledger.claimCount, 2, 'they are not for tp1 to judge any more')
    await claims.reconcile('tp2', { epoch: 2, isBound: (uid) => uid === 'a' })
    assert.equal(claims.ledger.claimCount, 1)
    assert.equal(claims.ledger.findClaim('a')?.claim.terms.partition, 'tp2')
    await claims.reconcile('tp2', { epoch: 3, isBound: () => false })
    assert.equal(claims.ledger.claimCount, 0)
    await assert.rejects(claims.submit({ partition: 'tp1', epoch: 8, sequence: 1, items: [] }), /newer scheduler/)
    await server.close()
  })
})
