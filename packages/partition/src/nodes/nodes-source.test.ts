import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { formatKey, type Stored } from '@centaurus/api'
import type { Partition } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Node } from '@centaurus/api/core/v1'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Informer } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'
import { createMemoryStore, type Store } from '@centaurus/store'
import { createNodesSource, withNodes, type NodesSource } from './nodes-source.ts'

/** Resolves when `condition` holds; looked at whenever a node changes, and now and then for what makes no event. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('the nodes of all resource partitions', () => {
  const closers: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  })

  const startServer = async (store: Store): Promise<TestServer> => {
    const server = await startTestServer({ store: { ...bound(store), close: async () => {} } })
    closers.push(() => server.close())
    return server
  }

  /** Membership that the test changes by hand. */
  function createMembers() {
    let members: Stored<Partition>[] = []
    const listeners = new Set<() => void>()
    return {
      self: 'tp',
      list: () => members,
      onChange(listener: () => void) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      set(ports: Readonly<Record<string, number>>) {
        members = Object.entries(ports).map(([name, port]) => ({
          metadata: { name, uid: name, resourceVersion: '1', creationTimestamp: '' },
          spec: { roles: ['Resource'], endpoints: [`https://127.0.0.1:${port}`] },
        }))
        for (const listener of listeners) listener()
      },
    }
  }

  function open(members: ReturnType<typeof createMembers>, ca: string, fenced?: () => string | undefined): NodesSource {
    const source = createNodesSource({
      membership: members,
      openClient: ({ spec }) => createHttpClient({ server: spec.endpoints[0]!, ca }),
      whyFenced: fenced,
      clock: systemClock,
      random: createSeededRandom(1),
      logger: silentLogger,
    })
    closers.push(() => source.close())
    return source
  }

  const record = (informer: Informer<Node>): string[] => {
    const seen: string[] = []
    informer.addHandler({
      onAdd: ({ metadata }) => seen.push(`+${metadata.name}`),
      onUpdate: ({ metadata }) => seen.push(`~${metadata.name}`),
      onDelete: ({ metadata }) => seen.push(`-${metadata.name}`),
    })
    return seen
  }

  it('come and go with their partitions, and stay when one is away', async () => {
    const stores = [createMemoryStore(), createMemoryStore()]
    const [a, b] = [await startServer(stores[0]!), await startServer(stores[1]!)]
    await a.client.create(nodes, { metadata: { name: 'a1' } })
    await b.client.create(nodes, { metadata: { name: 'b1' } })
    const ca = a.certificates.authority.certificatePem
    const members = createMembers()
    members.set({ a: a.port })
    let fenced: string | undefined
    const source = open(members, ca, () => fenced)
    await source.informer.whenSynced()
    assert.deepEqual(record(source.informer), ['+a1'])
    assert.equal(source.isAuthoritative('b'), false)
    members.set({ a: a.port, b: b.port })
    await until(() => source.isAuthoritative('b'))
    assert.equal(source.partitionOf('b1'), 'b')
    assert.ok(source.isAuthoritative(undefined))
    fenced = 'its store went back'
    assert.equal(source.isAuthoritative('b'), false)
    fenced = undefined

    await b.server.close()
    await until(() => !source.isAuthoritative('b'))
    assert.equal(source.isAuthoritative(undefined), false)
    assert.ok(source.isAuthoritative('a'))
    assert.equal(source.informer.list().length, 2)
    await assert.rejects(source.isNodeGone('b1', 'b'))
    await assert.rejects(source.isNodeGone('x', undefined))
    assert.equal(await source.isNodeGone('a1', 'a'), false)

    // It comes back elsewhere, and meanwhile one node went and another came.
    const again = await startServer(stores[1]!)
    await again.client.delete(nodes, { name: 'b1' })
    await again.client.create(nodes, { metadata: { name: 'b2' } })
    const seen = record(source.informer)
    members.set({ a: a.port, b: again.port })
    await until(() => source.informer.get(formatKey('', 'b1')) === undefined)
    await until(() => source.partitionOf('b2') === 'b' && source.isAuthoritative('b'))
    assert.deepEqual(seen, ['+a1', '+b1', '+b2', '-b1'])
    assert.equal(await source.isNodeGone('b1', 'b'), true)
    members.set({ a: a.port })
    assert.deepEqual(
      source.informer.list().map(({ metadata }) => metadata.name),
      ['a1'],
    )
  })

  it('count once when two partitions have the same', async () => {
    const [a, b] = [await startServer(createMemoryStore()), await startServer(createMemoryStore())]
    const members = createMembers()
    members.set({ a: a.port })
    await a.client.create(nodes, { metadata: { name: 'n' } })
    const source = open(members, a.certificates.authority.certificatePem)
    await source.informer.whenSynced()
    members.set({ a: a.port, b: b.port })
    const made = await b.client.create(nodes, { metadata: { name: 'n' } })
    await until(() => source.duplicates().length === 1)
    assert.deepEqual(source.duplicates(), [{ node: 'n', partition: 'b', countsIn: 'a' }])
    const seen = record(source.informer)
    await b.client.update(nodes, { ...made, metadata: { ...made.metadata, labels: { x: 'y' } } })
    await a.client.delete(nodes, { name: 'n' })
    await until(() => source.partitionOf('n') === 'b')
    assert.deepEqual(seen.slice(0, 3), ['+n', '-n', '+n'])
    assert.deepEqual(source.duplicates(), [])
  })

  it('stand in for the nodes of a factory, and for nothing else', async () => {
    const a = await startServer(createMemoryStore())
    const members = createMembers()
    members.set({ a: a.port })
    const source = open(members, a.certificates.authority.certificatePem)
    const own = createInformerFactory(a.client)
    const factory = withNodes(own, source)
    assert.equal(factory.informer(nodes), source.informer)
    assert.equal(factory.informer(pods), own.informer(pods))
    const selected = { fieldSelector: 'metadata.name=n' }
    assert.equal(factory.informer(nodes, selected), own.informer(nodes, selected))
    await factory.whenSynced()
    await factory.close()
  })
})

/** The methods of a store that several servers use one after the other. */
function bound(store: Store): Omit<Store, 'close'> {
  return {
    currentRevision: () => store.currentRevision(),
    get: (key, options) => store.get(key, options),
    range: (prefix, options) => store.range(prefix, options),
    commit: (transaction) => store.commit(transaction),
    watch: (prefix, options) => store.watch(prefix, options),
    compact: (revision) => store.compact(revision),
  }
}
