import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expired, formatKey, type KubeObject, type Stored } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { createManualClock, createSeededRandom, silentLogger } from '@centaurus/base'
import type { Client, ClientWatchOptions } from '../client.ts'
import { createInformerFactory } from './informer-factory.ts'

/** A server whose lists and watches a test plays by hand. */
function createScript(): {
  client: Client
  lists: Stored<Pod>[][]
  watches: ClientWatchOptions<KubeObject>[]
  listed: () => number
} {
  const lists: Stored<Pod>[][] = []
  const watches: ClientWatchOptions<KubeObject>[] = []
  let listed = 0
  const client = {
    async list() {
      const items = lists.shift()
      if (items === undefined) throw new Error('the server is away')
      listed++
      return { items, resourceVersion: '10', continue: undefined }
    },
    watch(_type: unknown, options: ClientWatchOptions<KubeObject>) {
      watches.push(options)
      return { close: () => options.onEnd(undefined) }
    },
  } as unknown as Client // only what an informer calls
  return { client, lists, watches, listed: () => listed }
}

function podOf(name: string, version: string, uid = name): Stored<Pod> {
  return {
    metadata: {
      name,
      namespace: 'ns',
      uid,
      resourceVersion: version,
      creationTimestamp: '',
      labels: { app: name[0]! },
    },
  }
}

function setUp() {
  const script = createScript()
  const clock = createManualClock()
  const factory = createInformerFactory(script.client, { clock, random: createSeededRandom(1), logger: silentLogger })
  const informer = factory.informer(pods)
  const seen: string[] = []
  informer.addHandler({
    onAdd: (pod) => seen.push(`+${pod.metadata.name}@${pod.metadata.resourceVersion}`),
    onUpdate: (pod, old) =>
      seen.push(`~${pod.metadata.name}@${old.metadata.resourceVersion}→${pod.metadata.resourceVersion}`),
    onDelete: (pod) => seen.push(`-${pod.metadata.name}@${pod.metadata.resourceVersion}`),
  })
  return { ...script, clock, factory, informer, seen }
}

describe('informer', () => {
  it('leaves out who set which fields, and does not touch what others share', async () => {
    const t = setUp()
    const full = podOf('a1', '1')
    full.metadata.managedFields = [{ manager: 'kubelet', operation: 'Update', apiVersion: 'v1', fieldsV1: {} }]
    t.lists.push([full])
    await t.informer.whenSynced()
    const cached = t.informer.get(formatKey('ns', 'a1'))
    assert.equal(cached?.metadata.managedFields, undefined)
    assert.deepEqual(JSON.parse(JSON.stringify(cached)), { metadata: { ...podOf('a1', '1').metadata } })
    assert.equal(full.metadata.managedFields.length, 1)
    await t.factory.close()
  })

  it('lists, then follows the watch, and keeps its indexes right', async () => {
    const t = setUp()
    t.lists.push([podOf('a1', '1'), podOf('b1', '2')])
    t.informer.addIndex('app', (pod) => [pod.metadata.labels!['app']!])
    await t.informer.whenSynced()
    const watch = t.watches[0]!
    assert.equal(watch.resourceVersion, '10')
    watch.onEvent('ADDED', podOf('a2', '11'))
    watch.onEvent('MODIFIED', podOf('b1', '12'))
    watch.onEvent('DELETED', podOf('a1', '13'))
    assert.deepEqual(t.seen, ['+a1@1', '+b1@2', '+a2@11', '~b1@2→12', '-a1@13'])
    assert.deepEqual(
      t.informer.byIndex('app', 'a').map((pod) => pod.metadata.name),
      ['a2'],
    )
    assert.equal(t.informer.get(formatKey('ns', 'b1'))?.metadata.resourceVersion, '12')
    assert.equal(t.informer.resourceVersion, '13')
    assert.equal(t.informer.list('other').length, 0)
    await t.factory.close()
  })

  it('retries a list that fails, and resumes a watch that ends from the last version it saw', async () => {
    const t = setUp()
    await t.clock.advance(100)
    assert.equal(t.informer.synced, false)
    t.lists.push([podOf('a', '1')])
    await t.clock.advance(1000)
    assert.equal(t.informer.synced, true)
    t.watches[0]!.onBookmark!('42')
    t.watches[0]!.onEnd(new Error('connection lost'))
    await t.clock.advance(0)
    await t.clock.advance(2000)
    assert.equal(t.watches[1]!.resourceVersion, '42')
    assert.equal(t.listed(), 1)
    await t.factory.close()
  })

  it('lists again when its version expired, and tells handlers what changed meanwhile', async () => {
    const t = setUp()
    t.lists.push([podOf('gone', '1'), podOf('same', '2'), podOf('changed', '3'), podOf('replaced', '4', 'old')])
    await t.informer.whenSynced()
    t.seen.length = 0
    t.lists.push([podOf('same', '2'), podOf('changed', '8'), podOf('replaced', '9', 'new'), podOf('fresh', '10')])
    t.watches[0]!.onEnd(expired('too old'))
    await t.clock.advance(0)
    await t.clock.advance(1000)
    assert.deepEqual(t.seen, ['~changed@3→8', '-replaced@4', '+replaced@9', '+fresh@10', '-gone@1'])
    await t.factory.close()
  })

  it('is shared by who asks for the same selection, and gives late handlers what is there', async () => {
    const t = setUp()
    t.lists.push([podOf('a', '1')], [])
    assert.equal(t.factory.informer(pods), t.informer)
    assert.notEqual(t.factory.informer(pods, { labelSelector: 'x=y' }), t.informer)
    await t.factory.whenSynced()
    const late: string[] = []
    const remove = t.informer.addHandler({ onAdd: (pod) => late.push(pod.metadata.name) })
    remove()
    t.watches[0]!.onEvent('ADDED', podOf('b', '11'))
    assert.deepEqual(late, ['a'])
    await t.factory.close()
  })

  it('goes on when a handler throws', async () => {
    const t = setUp()
    t.lists.push([podOf('a', '1')])
    t.informer.addHandler({ onAdd: () => assert.fail('a handler’s bug') })
    await t.informer.whenSynced()
    t.watches[0]!.onEvent('ADDED', podOf('b', '11'))
    assert.deepEqual(t.seen, ['+a@1', '+b@11'])
    await t.factory.close()
  })
})
