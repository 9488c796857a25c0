import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isStatus, parseFieldSelector, parseLabelSelector } from '@centaurus/api'
import { createManualClock, silentLogger } from '@centaurus/base'
import { createMemoryStore } from '@centaurus/store'
import fc from 'fast-check'
import { encodeStored, keepVersion } from '../storage/encoding.ts'
import { isVersionOf, StoredObject, type CachedObject } from './cached-object.ts'
import type { ResourceCache } from './resource-cache.ts'
import { Selection } from './selection.ts'
import { SortedObjects } from './sorted-objects.ts'
import { WatchCache } from './watch-cache.ts'
import type { WatchSink } from './watcher.ts'

const PREFIX = '/registry/system/core/pods/'

function bytesOf(
  namespace: string,
  name: string,
  rest: { labels?: Record<string, string>; nodeName?: string } = {},
): Uint8Array {
  const metadata = { name, namespace, labels: rest.labels }
  const object = { kind: 'Pod', apiVersion: 'v1', metadata, spec: { nodeName: rest.nodeName ?? '' } }
  return encodeStored(object)
}

function select(options: { namespace?: string; labels?: string; fields?: string } = {}): Selection {
  return new Selection({
    namespace: options.namespace ?? '',
    labels: parseLabelSelector(options.labels ?? ''),
    fields: parseFieldSelector(options.fields ?? ''),
    fieldsOf: (object) => ({ 'spec.nodeName': (object as { spec?: { nodeName?: string } }).spec?.nodeName ?? '' }),
  })
}

class Recorder implements WatchSink {
  readonly seen: string[] = []
  overloaded = false
  ended = false
  send(type: string, object: CachedObject): void {
    this.seen.push(`${type} ${object.key}`)
  }
  bookmark(revision: number): void {
    this.seen.push(`BOOKMARK ${revision > 0}`)
  }
  end(): void {
    this.ended = true
  }
}

async function openCache(options: { hotValuesBytesMax?: number } = {}): Promise<{
  store: ReturnType<typeof createMemoryStore>
  cache: WatchCache
  pods: ResourceCache
  clock: ReturnType<typeof createManualClock>
  put: (...put: Parameters<typeof bytesOf>) => Promise<void>
  remove: (key: string) => Promise<void>
}> {
  const store = createMemoryStore()
  const clock = createManualClock()
  const cache = new WatchCache({ store, clock, logger: silentLogger, ...options })
  await cache.start()
  return {
    store,
    cache,
    clock,
    pods: cache.resource(PREFIX),
    async put(namespace, name, rest) {
      const key = `${PREFIX}${namespace}/${name}`
      await store.commit({ changes: [{ type: 'put', key, value: bytesOf(namespace, name, rest) }] })
      await cache.waitCurrent()
    },
    async remove(key) {
      await store.commit({ changes: [{ type: 'delete', key: PREFIX + key }] })
      await cache.waitCurrent()
    },
  }
}

function watch(pods: ResourceCache, selection: Selection, afterRevision?: number): Recorder {
  const sink = new Recorder()
  pods.watch({ selection, sink, bookmarks: true, deadlineMs: Number.MAX_SAFE_INTEGER, afterRevision })
  return sink
}

describe('SortedObjects', () => {
  it('holds what a plain map holds, in order', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 1_500 })), { maxLength: 3_000 })
    fc.assert(
      fc.property(steps, (list) => {
        const sorted = new SortedObjects()
        const reference = new Set<string>()
        for (const [adds, number] of list) {
          const key = `n${number % 3}/p${number}`
          if (adds) {
            sorted.put(new StoredObject(key, new Uint8Array(), 1))
            reference.add(key)
          } else {
            sorted.delete(key)
            reference.delete(key)
          }
        }
        const expected = [...reference].toSorted()
        assert.deepEqual(
          Array.from(sorted.range(''), (object) => object.key),
          expected,
        )
        const inside = expected.filter((key) => key.startsWith('n1/') && key >= 'n1/p5')
        assert.deepEqual(
          Array.from(sorted.range('n1/', 'n1/p5'), (object) => object.key),
          inside,
        )
        assert.equal(sorted.size, expected.length)
      }),
      { numRuns: 20 },
    )
  })
})

describe('CachedObject', () => {
  it('serves the stored bytes with the resourceVersion in them', () => {
    const object = new StoredObject('ns/a', bytesOf('ns', 'a'), 42)
    const served = JSON.parse(object.served().toString()) as { metadata: { resourceVersion: string; name: string } }
    assert.equal(served.metadata.resourceVersion, '42')
    assert.equal(object.served().length, object.servedBytes)
    assert.deepEqual(served, object.object())
  })

  it('keeps the resourceVersion that came with the value until it is written again', () => {
    const value = keepVersion(bytesOf('ns', 'a'), 17)
    assert.equal(keepVersion(value, 99), value)
    const object = new StoredObject('ns/a', value, 42)
    assert.equal(object.object().metadata.resourceVersion, '17')
    assert.deepEqual(JSON.parse(object.served().toString()), object.object())
    assert.equal(object.served().length, object.servedBytes)
    const deleted = object.atRevision(43)
    assert.deepEqual(JSON.parse(deleted.served().toString()).metadata.resourceVersion, '43')
    assert.deepEqual(Buffer.from(deleted.value), Buffer.from(bytesOf('ns', 'a')))
    for (const [version, isIts] of Object.entries({ 17: true, 42: true, 43: false })) {
      assert.equal(isVersionOf(object, version), isIts, version)
    }
  })
})

describe('the watch cache', () => {
  it('tells each watcher of what it selects and of nothing else', async () => {
    const { pods, put, remove, cache } = await openCache()
    const all = watch(pods, select())
    const inA = watch(pods, select({ namespace: 'a' }))
    const named = watch(pods, select({ namespace: 'a', fields: 'metadata.name=one' }))
    const onNode = watch(pods, select({ fields: 'spec.nodeName=n1' }))
    const labelled = watch(pods, select({ labels: 'x=y' }))
    await put('a', 'one')
    await put('b', 'two', { nodeName: 'n1', labels: { x: 'y' } })
    await put('b', 'two', { nodeName: 'n2', labels: { x: 'y' } })
    await remove('a/one')
    assert.deepEqual(all.seen, ['ADDED a/one', 'ADDED b/two', 'MODIFIED b/two', 'DELETED a/one'])
    assert.deepEqual(inA.seen, ['ADDED a/one', 'DELETED a/one'])
    assert.deepEqual(named.seen, ['ADDED a/one', 'DELETED a/one'])
    assert.deepEqual(onNode.seen, ['ADDED b/two', 'DELETED b/two'])
    assert.deepEqual(labelled.seen, ['ADDED b/two', 'MODIFIED b/two'])
    cache.close()
  })

  it('resumes from a revision and refuses one that it has forgotten', async () => {
    const { pods, put, cache } = await openCache()
    await put('a', 'one')
    const revision = cache.revision
    await put('a', 'two')
    assert.deepEqual(watch(pods, select(), revision).seen, ['ADDED a/two'])
    pods.forgetHistory(cache.revision)
    assert.throws(
      () => watch(pods, select(), revision),
      (error) => isStatus(error, 'Expired'),
    )
    cache.close()
  })

  it('drops a watcher that does not keep up', async () => {
    const { pods, put, cache } = await openCache()
    const slow = watch(pods, select())
    slow.overloaded = true
    await put('a', 'one')
    assert.ok(slow.ended)
    assert.equal(pods.watcherCount, 0)
    cache.close()
  })

  it('bookmarks each minute and ends a watch at its deadline', async () => {
    const { pods, cache, clock } = await openCache()
    const sink = new Recorder()
    const deadlineMs = clock.monotonicMs() + 90_000
    const watcher = pods.watch({ selection: select(), sink, bookmarks: true, deadlineMs, afterRevision: undefined })
    watcher.bookmarkDueMs = clock.monotonicMs() + 60_000
    cache.keepTime()
    await clock.advance(61_000)
    assert.deepEqual(sink.seen, ['BOOKMARK true'])
    await clock.advance(30_000)
    assert.deepEqual(sink.seen, ['BOOKMARK true', 'BOOKMARK true'])
    assert.ok(sink.ended)
    cache.close()
  })

  it('waits for a revision, and gives up on one that does not come', async () => {
    const { cache, clock } = await openCache()
    const waiting = assert.rejects(cache.waitRevision('system', 1_000), /Too large resource version: 1000/)
    await clock.advance(3_000)
    await waiting
    cache.close()
  })

  it('begins a watch of one node with what is there, wherever pods have moved', async () => {
    const { put, remove, pods } = await openCache()
    await put('ns', 'early', { nodeName: 'a' })
    const fields = 'spec.nodeName=a'
    assert.deepEqual(watch(pods, select({ fields })).seen, ['ADDED ns/early'])
    await put('ns', 'b', { nodeName: 'a' })
    await put('ns', 'a', { nodeName: 'a' })
    await put('other', 'x', { nodeName: 'b' })
    await put('ns', 'early', { nodeName: 'b' })
    await put('ns', 'waits')
    await put('ns', 'gone', { nodeName: 'a' })
    await remove('ns/gone')
    assert.deepEqual(watch(pods, select({ fields })).seen, ['ADDED ns/a', 'ADDED ns/b'])
    assert.deepEqual(watch(pods, select({ fields: 'spec.nodeName=b' })).seen, ['ADDED ns/early', 'ADDED other/x'])
    assert.deepEqual(watch(pods, select({ fields: 'spec.nodeName=b', namespace: 'ns' })).seen, ['ADDED ns/early'])
    assert.deepEqual(watch(pods, select({ fields: 'spec.nodeName=' })).seen, ['ADDED ns/waits'])
    assert.deepEqual(watch(pods, select({ fields: 'spec.nodeName=none' })).seen, [])
  })

  it('shows the same when it holds no values', async () => {
    const seen = await Promise.all(
      [0, 1024 * 1024].map(async (hotValuesBytesMax) => {
        const { put, remove, pods, cache, store } = await openCache({ hotValuesBytesMax })
        const early = watch(pods, select({ labels: 'app=web' }))
        await put('ns', 'a', { labels: { app: 'web' }, nodeName: 'n1' })
        await put('ns', 'b', { labels: { app: 'web' } })
        const { revision } = cache
        await put('ns', 'a', { labels: { app: 'db' }, nodeName: 'n1' })
        await put('ns', 'c', { labels: { app: 'web' } })
        await remove('ns/b')
        await store.compact(cache.revision)
        const resumed = watch(pods, select(), revision)
        const late = watch(pods, select({ labels: 'app=web' }))
        const served = Array.from(pods.range(''), (object) => object.served().toString())
        const decoded = Array.from(pods.range(''), (object) => object.object().metadata.labels)
        return [early.seen, resumed.seen, late.seen, served, decoded]
      }),
    )
    assert.deepEqual(seen[0], seen[1])
    assert.deepEqual(seen[0]![0], ['ADDED ns/a', 'ADDED ns/b', 'DELETED ns/a', 'ADDED ns/c', 'DELETED ns/b'])
  })
})
