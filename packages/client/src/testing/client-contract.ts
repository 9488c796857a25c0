import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus, type Stored } from '@centaurus/api'
import { configmaps, namespaces, pods, type ConfigMap } from '@centaurus/api/core/v1'
import type { Client, ClientWatchOptions } from '../client.ts'

const NAMESPACE = 'client-contract'
/** A watch that shows nothing for this long is broken. */
const EVENT_TIMEOUT_MS = 5_000

export interface ClientUnderTest {
  /** With all rights, on a server that enforces no less than upstream's. */
  readonly client: Client
  close(): Promise<void>
}

/** The behaviour that callers rely on, whatever the transport. Each transport's test file calls it with a server of its own. */
export function describeClientContract(name: string, open: () => Promise<ClientUnderTest>): void {
  describe(`${name} honours the Client contract`, () => {
    let opened: ClientUnderTest
    let client: Client

    before(async () => {
      opened = await open()
      client = opened.client
      await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
    })
    after(() => opened.close())

    it('returns what it stored, with its type and metadata', async () => {
      const created = await client.create(configmaps, configMap('stored', { a: '1' }))
      assert.equal(created.kind, 'ConfigMap')
      assert.equal(created.apiVersion, 'v1')
      assert.match(created.metadata.uid, /^[0-9a-f-]{36}$/)
      assert.notEqual(created.metadata.creationTimestamp, '')
      assert.deepEqual(await client.get(configmaps, { namespace: NAMESPACE, name: 'stored' }), created)
    })

    it('leaves the caller’s object alone', async () => {
      const object = Object.freeze({
        ...configMap('frozen', { a: '1' }),
        metadata: Object.freeze({ name: 'frozen', namespace: NAMESPACE }),
      })
      await client.create(configmaps, object)
      assert.deepEqual(object, configMap('frozen', { a: '1' }))
    })

    it('throws the refusals of the API', async () => {
      await client.create(configmaps, configMap('twice'))
      await assert.rejects(client.create(configmaps, configMap('twice')), (error) => isStatus(error, 'AlreadyExists'))
      await assert.rejects(client.get(configmaps, { namespace: NAMESPACE, name: 'none' }), (error) =>
        isStatus(error, 'NotFound'),
      )
      await assert.rejects(client.create(configmaps, configMap('Not_A_Name')), (error) => isStatus(error, 'Invalid'))
    })

    it('refuses an update made at a stale version', async () => {
      const first = await client.create(configmaps, configMap('conflict'))
      const second = await client.update(configmaps, { ...first, data: { a: '2' } })
      assert.equal(second.data?.['a'], '2')
      await assert.rejects(client.update(configmaps, { ...first, data: { a: '3' } }), (error) =>
        isStatus(error, 'Conflict'),
      )
    })

    it('patches by JSON patch, merge and strategic merge', async () => {
      const at = { namespace: NAMESPACE, name: 'patched' }
      await client.create(configmaps, configMap('patched', { a: '1', b: '2' }))
      await client.patch(configmaps, at, { type: 'json', body: [{ op: 'replace', path: '/data/a', value: '9' }] })
      await client.patch(configmaps, at, { type: 'merge', body: { data: { b: null } } })
      const patched = await client.patch(configmaps, at, { type: 'strategic', body: { data: { c: '3' } } })
      assert.deepEqual(patched.data, { a: '9', c: '3' })
    })

    it('writes nothing in a dry run', async () => {
      await client.create(configmaps, configMap('dry'), { dryRun: true })
      await assert.rejects(client.get(configmaps, { namespace: NAMESPACE, name: 'dry' }), (error) =>
        isStatus(error, 'NotFound'),
      )
    })

    it('lists by labels, in pages', async () => {
      for (const name of ['page-a', 'page-b', 'page-c']) {
        await client.create(configmaps, {
          ...configMap(name),
          metadata: { name, namespace: NAMESPACE, labels: { list: 'pages' } },
        })
      }
      const first = await client.list(configmaps, { namespace: NAMESPACE, labelSelector: 'list=pages', limit: 2 })
      assert.deepEqual(namesOf(first.items), ['page-a', 'page-b'])
      const rest = await client.list(configmaps, {
        namespace: NAMESPACE,
        labelSelector: 'list=pages',
        limit: 2,
        continue: first.continue,
      })
      assert.deepEqual(namesOf(rest.items), ['page-c'])
      assert.equal(rest.continue, undefined)
      assert.equal(rest.items[0]?.kind, 'ConfigMap')
    })

    it('honours preconditions of a delete', async () => {
      const object = await client.create(configmaps, configMap('precondition'))
      const at = { namespace: NAMESPACE, name: 'precondition' }
      await assert.rejects(client.delete(configmaps, at, { preconditions: { uid: 'another' } }), (error) =>
        isStatus(error, 'Conflict'),
      )
      await client.delete(configmaps, at, { preconditions: { uid: object.metadata.uid } })
      await assert.rejects(client.delete(configmaps, at), (error) => isStatus(error, 'NotFound'))
    })

    it('shows a watch every change in order, from the version it was given', async () => {
      const { resourceVersion } = await client.list(configmaps, { namespace: NAMESPACE })
      const created = await client.create(configmaps, configMap('watched'))
      await client.update(configmaps, { ...created, data: { a: '1' } })
      await client.delete(configmaps, { namespace: NAMESPACE, name: 'watched' })
      const seen = await watchUntil(client, { resourceVersion }, 3)
      assert.deepEqual(seen, ['ADDED watched', 'MODIFIED watched', 'DELETED watched'])
    })

    it('ends a closed watch once, without error', async () => {
      let ends = 0
      await new Promise<void>((resolve, reject) => {
        const watch = client.watch(configmaps, {
          namespace: NAMESPACE,
          onEvent: () => watch.close(),
          onEnd: (error) => {
            ends++
            if (error === undefined) resolve()
            else reject(error)
          },
        })
      })
      await client.list(configmaps, { namespace: NAMESPACE }) // a second end would come before this answer
      assert.equal(ends, 1)
    })

    it('refuses a call whose signal has aborted', async () => {
      await assert.rejects(client.list(pods, { signal: AbortSignal.abort(new Error('enough')) }), /enough/)
    })
  })
}

function configMap(name: string, data: Record<string, string> = {}): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: NAMESPACE }, data }
}

function namesOf(items: readonly Stored<ConfigMap>[]): string[] {
  return items.map((item) => item.metadata.name)
}

async function watchUntil(
  client: Client,
  options: { readonly resourceVersion: string },
  events: number,
): Promise<string[]> {
  const seen: string[] = []
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Watch showed only: ${seen.join(', ')}`)), EVENT_TIMEOUT_MS)
    const handlers: ClientWatchOptions<ConfigMap> = {
      ...options,
      namespace: NAMESPACE,
      onEvent(type, object) {
        seen.push(`${type} ${object.metadata.name}`)
        if (seen.length === events) watch.close()
      },
      onEnd(error) {
        clearTimeout(timer)
        if (error === undefined) resolve(seen)
        else reject(error)
      },
    }
    const watch = client.watch(configmaps, handlers)
  })
}
