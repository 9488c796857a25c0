import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { EPOCH_ANNOTATION, isStatus, RESOURCE_PARTITION_ANNOTATION } from '@centaurus/api'
import { nodes, pods, type Binding } from '@centaurus/api/core/v1'
import { startTestServer } from '@centaurus/apiserver/testing'
import { createManualClock, silentLogger, systemClock } from '@centaurus/base'
import { createMemoryStore, openEmbeddedStore, timedRevisions } from '@centaurus/store'
import { acquireEpoch } from './acquire-epoch.ts'
import { checkPeer, STARTS_MAX, type KnownState, type StoreState } from './check-peer.ts'
import { PeerStates } from './peer-states.ts'
import { ensureStoreId } from './store-id.ts'
import { readStoreState, recordStart } from './store-state.ts'

describe('the epoch of a scheduler', () => {
  it('is another for each who asks, however many ask at once', async () => {
    const store = createMemoryStore()
    const epochs = await Promise.all(Array.from({ length: 20 }, () => acquireEpoch(store)))
    const numbers = epochs.map(({ epoch }) => epoch).toSorted((a, b) => a - b)
    assert.deepEqual(
      numbers,
      Array.from({ length: 20 }, (_, i) => i + 1),
    )
  })

  it('lets only the present scheduler bind, and is not kept with the pod', async () => {
    const server = await startTestServer()
    const { client, store } = server
    await client.create(nodes, { metadata: { name: 'n' } })
    const spec = { containers: [{ name: 'c', image: 'i' }] }
    for (const name of ['a', 'b', 'c', 'd']) {
      await client.create(pods, { metadata: { name, namespace: 'default' }, spec })
    }
    const bind = (name: string, epoch: string) => {
      const annotations = { [EPOCH_ANNOTATION]: epoch, [RESOURCE_PARTITION_ANNOTATION]: 'rp' }
      const binding: Binding = { metadata: { name, annotations }, target: { kind: 'Node', name: 'n' } }
      return client.createSubresource(pods, { namespace: 'default', name }, 'binding', binding)
    }
    const isRefused = (error: unknown) => isStatus(error, 'Conflict') && /another one leads/.test(error.message)
    await assert.rejects(bind('a', '1'), isRefused)
    await acquireEpoch(store)
    await bind('a', '1')
    const bound = await client.get(pods, { namespace: 'default', name: 'a' })
    assert.equal(bound.spec?.nodeName, 'n')
    assert.deepEqual(bound.metadata.annotations, { [RESOURCE_PARTITION_ANNOTATION]: 'rp' })
    // The server knows epoch 1 as the present one; only the commit can notice that it is over.
    await acquireEpoch(store)
    await assert.rejects(bind('b', '1'), isRefused)
    await bind('b', '2')
    await assert.rejects(bind('c', '1'), isRefused)
    await assert.rejects(bind('c', 'x'), (error) => isStatus(error, 'BadRequest'))
    const binding = { metadata: { name: 'd', namespace: 'default' }, target: { kind: 'Node', name: 'n' } }
    await client.createSubresource(pods, { namespace: 'default', name: 'd' }, 'binding', binding)
    await server.close()
  })
})

function toKnown({ storeId, revision, starts }: StoreState): KnownState {
  return { storeId, revision, lastStart: starts?.at(-1)?.id }
}

describe('what is known of other partitions', () => {
  const state = (revision: number, storeId = 's') => ({ storeId, revision })

  it('shows a store that went back or is another', () => {
    assert.equal(checkPeer(undefined, state(5)).type, 'ok')
    assert.equal(checkPeer(state(5), state(5)).type, 'ok')
    assert.equal(checkPeer(state(5), state(4)).type, 'fenced')
    assert.equal(checkPeer(state(5), state(9, 'other')).type, 'fenced')
  })

  it('shows an older copy that has made up for it before anybody looked', () => {
    const at = (...revisions: number[]) => revisions.map((revision) => ({ id: `started at ${revision}`, revision }))
    const known = { ...state(50), lastStart: 'started at 20' }
    assert.equal(checkPeer(known, { ...state(90), starts: at(1, 20) }).type, 'ok')
    assert.equal(checkPeer(known, { ...state(90), starts: at(1, 20, 50, 70) }).type, 'ok')
    assert.equal(checkPeer(known, { ...state(90), starts: at(1, 15) }).type, 'fenced')
    assert.equal(checkPeer(known, { ...state(90), starts: at(1, 20, 49) }).type, 'fenced')
    assert.equal(checkPeer(known, state(90)).type, 'ok')
    const many = Array.from({ length: STARTS_MAX }, (_, i) => i + 100)
    assert.equal(checkPeer(known, { ...state(900), starts: at(...many) }).type, 'ok')
  })

  it('tells of the starts of its own store, the newest of them', async () => {
    const store = createMemoryStore()
    for (let i = 0; i <= STARTS_MAX; i++) await recordStart(store)
    const { starts = [], revision } = await readStoreState(store)
    assert.equal(starts.length, STARTS_MAX)
    assert.equal(new Set(starts.map(({ id }) => id)).size, STARTS_MAX)
    assert.ok(starts.at(-1)!.revision < revision)
    const known = { ...(await readStoreState(store)), lastStart: starts.at(-1)!.id }
    await recordStart(store)
    assert.equal(checkPeer(known, await readStoreState(store)).type, 'ok')
  })

  it('shows a backup that was put back, however far its revisions have grown with the time since', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'centaurus-epoch-'))
    const [path, backup] = [join(directory, 'store'), join(directory, 'backup')]
    /** An API server that starts, runs for so long and writes at the end. */
    const run = async (ranMs: number): Promise<StoreState> => {
      const clock = createManualClock()
      const store = await openEmbeddedStore({ path, revisions: timedRevisions(clock) })
      await recordStart(store)
      await clock.advance(ranMs)
      await store.commit({ changes: [{ type: 'put', key: 'a', value: Buffer.from('1') }] })
      const state = await readStoreState(store)
      await store.close()
      return state
    }
    try {
      const first = await run(1_000)
      cpSync(path, backup, { recursive: true })
      const second = await run(5)
      assert.equal(checkPeer(toKnown(first), second).type, 'ok')
      rmSync(path, { recursive: true })
      cpSync(backup, path, { recursive: true })
      const restored = await run(60_000)
      assert.ok(restored.revision > second.revision)
      assert.equal(checkPeer(toKnown(second), restored).type, 'fenced')
      assert.equal(checkPeer(toKnown(first), restored).type, 'ok', 'nothing is lost that was known')
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })

  it('gives each store one name', async () => {
    const store = createMemoryStore()
    const [a, b] = await Promise.all([ensureStoreId(store), ensureStoreId(store)])
    assert.equal(a, b)
    assert.notEqual(a, await ensureStoreId(createMemoryStore()))
  })

  it('outlives restarts, and a fence holds until an operator lifts it', async () => {
    const store = createMemoryStore()
    const clock = createManualClock()
    const open = async () => {
      const states = new PeerStates({ store, clock, logger: silentLogger })
      await states.start()
      return states
    }
    const one = await open()
    one.expect('tp')(state(10))
    await one.persist()
    one.note('tp', 20)
    await clock.advance(10_000)
    await one.persist()
    const two = await open()
    assert.match(two.whyFenced('tp') ?? 'free', /free/)
    assert.equal(two.expect('tp')(state(15)).type, 'fenced')
    await two.persist()
    const three = await open()
    assert.match(three.whyFenced('tp')!, /older copy/)
    assert.equal(three.expect('tp')(state(99)).type, 'fenced')
    await three.readmit('tp')
    assert.equal(three.expect('tp')(state(15)).type, 'ok')
    for (const states of [one, two, three]) await states.close()
  })

  it('holds nothing against a peer that came after the question', async () => {
    const store = createMemoryStore()
    const states = new PeerStates({ store, clock: systemClock, logger: silentLogger })
    await states.start()
    states.expect('tp')(state(10))
    const answered = states.expect('tp')
    states.note('tp', 30)
    assert.equal(answered(state(12)).type, 'ok')
    assert.equal(states.expect('tp')(state(29)).type, 'fenced')
    await states.close()
  })

  it('is committed along with what depends on it', async () => {
    const store = createMemoryStore()
    const states = new PeerStates({ store, clock: systemClock, logger: silentLogger })
    await states.start()
    states.expect('tp')(state(10))
    await states.persist()
    states.expect('tp')(state(500))
    await store.commit({ changes: [states.changeFor('tp')!, { type: 'put', key: '/copy', value: Buffer.from('x') }] })
    const after = new PeerStates({ store, clock: systemClock, logger: silentLogger })
    await after.start()
    assert.equal(after.expect('tp')(state(499)).type, 'fenced')
    for (const each of [states, after]) await each.close()
  })
})
