import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ALL_TENANTS, isStatus, type KubeObject } from '@centaurus/api'
import { clusterroles, rolebindings } from '@centaurus/api/rbac/v1'
import {
  configmaps,
  events,
  namespaces,
  nodes,
  pods,
  serviceaccounts,
  type ConfigMap,
  type Pod,
} from '@centaurus/api/core/v1'
import { deployments } from '@centaurus/api/apps/v1'
import type { Client } from '@centaurus/client'
import { SERVER_USER } from '../server.ts'
import { startTestServer, type TestServer } from '../testing/test-server.ts'

const configMap = (namespace: string, name: string, value: string): ConfigMap => ({
  metadata: { namespace, name, labels: { value } },
  data: { value },
})

const pod = (namespace: string, name: string): Pod => ({
  metadata: { namespace, name },
  spec: { containers: [{ name: 'c', image: 'i' }], serviceAccountName: 'default' },
})

describe('the view over all tenants', () => {
  let test: TestServer
  let all: Client
  const tenant = (name: string): Client => test.server.client({ ...SERVER_USER, tenant: name })

  async function addTenant(name: string): Promise<Client> {
    const client = tenant(name)
    await client.create(namespaces, { metadata: { name: 'default' } })
    return client
  }

  before(async () => {
    test = await startTestServer({ extensions: [() => ({ authenticator: { authenticate: () => SERVER_USER } })] })
    all = tenant(ALL_TENANTS)
    for (const name of ['acme', 'beta']) {
      const client = await addTenant(name)
      await client.create(configmaps, configMap('default', 'same', name))
    }
    await test.client.create(configmaps, configMap('default', 'same', 'system'))
  })
  after(() => test.close())

  const values = (objects: readonly ConfigMap[]) =>
    objects.map(({ metadata, data }) => [metadata.namespace, data?.['value']])

  it('lists equal names of all tenants side by side, and of one namespace alone', async () => {
    const { items } = await all.list(configmaps, { fieldSelector: 'metadata.name=same' })
    assert.deepEqual(values(items), [
      ['default--acme', 'acme'],
      ['default--beta', 'beta'],
      ['default', 'system'],
    ])
    assert.deepEqual(items[0]!.metadata.annotations, {
      'centaurus.io/tenant': 'acme',
      'centaurus.io/namespace': 'default',
    })
    assert.equal(items[2]!.metadata.annotations, undefined)
    const one = await all.list(configmaps, { namespace: 'default--beta' })
    assert.deepEqual(values(one.items), [['default--beta', 'beta']])
    const selected = await all.list(configmaps, { fieldSelector: 'metadata.namespace=default--acme' })
    assert.deepEqual(values(selected.items), [['default--acme', 'acme']])
    const labelled = await all.list(configmaps, { labelSelector: 'value=beta' })
    assert.deepEqual(values(labelled.items), [['default--beta', 'beta']])
  })

  it('shares the objects of the system tenant, and decoded copies of the others', async () => {
    const name = { namespace: 'default', name: 'same' }
    assert.equal(await all.get(configmaps, name), await test.client.get(configmaps, name))
    const first = await all.get(configmaps, { namespace: 'default--acme', name: 'same' })
    assert.equal(await all.get(configmaps, { namespace: 'default--acme', name: 'same' }), first)
    assert.equal(first.data, (await tenant('acme').get(configmaps, name)).data)
  })

  it('pages through all tenants at one revision, while others write', async () => {
    const first = await all.list(configmaps, { fieldSelector: 'metadata.name=same', limit: 2 })
    await tenant('acme').create(configmaps, configMap('default', 'later', 'acme'))
    await tenant('beta').update(configmaps, configMap('default', 'same', 'beta2'))
    const rest = await all.list(configmaps, {
      fieldSelector: 'metadata.name=same',
      limit: 2,
      continue: first.continue,
    })
    assert.deepEqual(values([...first.items, ...rest.items]), [
      ['default--acme', 'acme'],
      ['default--beta', 'beta'],
      ['default', 'system'],
    ])
    assert.equal(rest.resourceVersion, first.resourceVersion)
    await tenant('acme').delete(configmaps, { namespace: 'default', name: 'later' })
  })

  it('writes to the tenant that the namespace names', async () => {
    const created = await all.create(configmaps, {
      metadata: {
        namespace: 'default--acme',
        name: 'made',
        annotations: { 'centaurus.io/tenant': 'beta', 'centaurus.io/namespace': 'x', own: '1' },
      },
      data: { a: '1' },
    })
    assert.equal(created.metadata.namespace, 'default--acme')
    const mine = { namespace: 'default', name: 'made' }
    const stored = await tenant('acme').get(configmaps, mine)
    assert.deepEqual(stored.metadata.annotations, { own: '1' })
    const there = { namespace: 'default--acme', name: 'made' }
    const seen = await all.get(configmaps, there)
    await all.update(configmaps, { ...seen, data: { a: '2' } })
    await all.patch(configmaps, there, { type: 'merge', body: { data: { b: '3' } } })
    await all.patch(
      configmaps,
      there,
      { type: 'apply', body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: there, data: { c: '4' } } },
      { fieldManager: 'me' },
    )
    const changed = await tenant('acme').get(configmaps, mine)
    assert.deepEqual(changed.data, { a: '2', b: '3', c: '4' })
    assert.equal(changed.metadata.namespace, 'default')
    assert.deepEqual(changed.metadata.annotations, { own: '1' })
    await all.delete(configmaps, there)
    await assert.rejects(tenant('acme').get(configmaps, mine), (error) => isStatus(error, 'NotFound'))
  })

  it('finds nothing where no tenant is', async () => {
    const isGone = (error: unknown): boolean => isStatus(error, 'NotFound')
    await assert.rejects(all.get(configmaps, { namespace: 'default--nobody', name: 'same' }), isGone)
    await assert.rejects(all.create(configmaps, configMap('default--nobody', 'a', 'b')), isGone)
    await assert.rejects(all.create(configmaps, configMap('none--acme', 'a', 'b')), isGone)
    assert.deepEqual((await all.list(configmaps, { namespace: 'default--nobody' })).items, [])
  })

  it('renames objects without a namespace and what refers to them', async () => {
    await all.create(clusterroles, { metadata: { name: 'reader--acme' }, rules: [] })
    assert.equal((await tenant('acme').get(clusterroles, { name: 'reader' })).metadata.name, 'reader')
    await all.create(rolebindings, {
      metadata: { namespace: 'default--acme', name: 'read' },
      subjects: [{ kind: 'ServiceAccount', namespace: 'default--acme', name: 'default' }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reader--acme' },
    })
    const stored = await tenant('acme').get(rolebindings, { namespace: 'default', name: 'read' })
    assert.equal(stored.subjects?.[0]?.namespace, 'default')
    assert.equal(stored.roleRef.name, 'reader')
    await tenant('acme').create(events, {
      metadata: { namespace: 'default', name: 'e' },
      involvedObject: { kind: 'Pod', apiVersion: 'v1', namespace: 'default', name: 'p' },
    })
    const found = await all.list(events, { fieldSelector: 'involvedObject.namespace=default--acme' })
    assert.deepEqual(
      found.items.map((event) => event.involvedObject),
      [{ kind: 'Pod', apiVersion: 'v1', namespace: 'default--acme', name: 'p' }],
    )
  })

  it('tells namespaces of tenants apart by a label, whatever they say themselves', async () => {
    const labels = { 'centaurus.io/tenant': 'beta' }
    await tenant('acme').create(namespaces, { metadata: { name: 'liar', labels } })
    const { items } = await all.list(namespaces, { labelSelector: 'centaurus.io/tenant=acme' })
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      ['default--acme', 'liar--acme'],
    )
    await tenant('acme').delete(namespaces, { name: 'liar' })
  })

  it('does not rename nodes', async () => {
    await test.client.create(nodes, { metadata: { name: 'a--b' } })
    assert.equal((await all.get(nodes, { name: 'a--b' })).metadata.name, 'a--b')
    await all.delete(nodes, { name: 'a--b' })
  })

  it('streams every tenant in order of revision, also those that come later, and resumes', async () => {
    const { resourceVersion } = await all.list(configmaps)
    const seen: string[] = []
    const revisions: number[] = []
    const watchFrom = (from: string | undefined, count: number): Promise<void> =>
      new Promise<void>((resolve, reject) => {
        const watch = all.watch(configmaps, {
          resourceVersion: from,
          labelSelector: 'watched=yes',
          onEvent(type, object) {
            seen.push(`${type} ${object.metadata.namespace}/${object.metadata.name}`)
            revisions.push(Number(object.metadata.resourceVersion))
            if (seen.length < count) return
            resolve()
            watch.close()
          },
          onEnd: (error) => reject(error ?? new Error('ended')),
        })
      })
    const make = (namespace: string): ConfigMap => ({
      metadata: { namespace, name: 'w', labels: { watched: 'yes' } },
    })
    const done = watchFrom(resourceVersion, 4)
    await tenant('beta').create(configmaps, make('default'))
    await test.client.create(configmaps, make('default'))
    const late = await addTenant('late')
    await late.create(configmaps, make('default'))
    await tenant('beta').delete(configmaps, { namespace: 'default', name: 'w' })
    await done
    const expected = ['ADDED default--beta/w', 'ADDED default/w', 'ADDED default--late/w', 'DELETED default--beta/w']
    assert.deepEqual(seen, expected)
    assert.deepEqual(
      revisions,
      revisions.toSorted((a, b) => a - b),
    )
    seen.length = 0
    await watchFrom(resourceVersion, 4)
    assert.deepEqual(seen, expected)
  })

  it('deletes collections and uses subresources', async () => {
    await all.deleteCollection(configmaps, { labelSelector: 'watched=yes' })
    assert.deepEqual((await all.list(configmaps, { labelSelector: 'watched=yes' })).items, [])
    await tenant('beta').create(deployments, {
      metadata: { namespace: 'default', name: 'd' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    })
    const there = { namespace: 'default--beta', name: 'd' }
    const scale = await all.getSubresource<KubeObject & { spec: { replicas: number } }>(deployments, there, 'scale')
    assert.equal(scale.metadata.namespace, 'default--beta')
    await all.updateSubresource(deployments, there, 'scale', { ...scale, spec: { replicas: 3 } })
    const deployment = await all.get(deployments, there)
    assert.equal(deployment.spec?.replicas, 3)
    await all.updateStatus(deployments, { ...deployment, status: { replicas: 3 } })
    assert.equal((await tenant('beta').get(deployments, { namespace: 'default', name: 'd' })).status?.replicas, 3)
  })

  it('serves the same over HTTP, with bytes of its own', async () => {
    const path = '/tenants/all/api/v1/namespaces/default--acme/configmaps'
    const got = await test.request('GET', `${path}/same`)
    assert.equal(got.status, 200, got.text)
    assert.equal(got.json().metadata['namespace'], 'default--acme')
    assert.match(got.json().metadata.resourceVersion, /^\d+$/)
    const { resourceVersion } = (await test.request('GET', '/tenants/all/api/v1/configmaps')).json().metadata
    const watch = await test.watch(`/tenants/all/api/v1/configmaps?watch=1&resourceVersion=${resourceVersion}`)
    const made = await test.request('POST', path, {
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'http', namespace: 'default--acme' } },
    })
    assert.equal(made.status, 201, made.text)
    assert.equal(made.json().metadata['namespace'], 'default--acme')
    await watch.until((list) => list.some(({ object }) => object.metadata.name === 'http'))
    const { object } = watch.events.find((event) => event.object.metadata.name === 'http')!
    assert.deepEqual(object, made.json())
    watch.close()
    const table = await test.request('GET', '/tenants/all/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    })
    const rows = table.json<{ rows: { cells: unknown[] }[] }>().rows.map((row) => row.cells[0])
    assert.ok(rows.includes('reader--acme'))
    const list = await test.request('GET', '/tenants/all/api/v1/configmaps?limit=1')
    assert.equal(list.json().items.length, 1)
    const role = await test.request('POST', '/tenants/all/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      body: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'writer--beta' } },
    })
    assert.equal(role.status, 201, role.text)
    assert.equal(role.json().metadata.name, 'writer--beta')
    assert.equal((await tenant('beta').get(clusterroles, { name: 'writer' })).metadata.name, 'writer')
  })

  it('offers pods of all tenants by node', async () => {
    await tenant('acme').create(serviceaccounts, { metadata: { namespace: 'default', name: 'default' } })
    await tenant('acme').create(pods, pod('default', 'p'))
    await all.createSubresource(pods, { namespace: 'default--acme', name: 'p' }, 'binding', {
      metadata: { namespace: 'default--acme', name: 'p' },
      target: { kind: 'Node', name: 'n1' },
    })
    const { items } = await all.list(pods, { fieldSelector: 'spec.nodeName=n1' })
    assert.deepEqual(
      items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
      ['default--acme/p'],
    )
  })

  it('lets readers look at and hear of all tenants', async () => {
    const { reader } = test.server
    const options = { tenant: ALL_TENANTS }
    const same = reader.list(configmaps, 'default--beta', options)
    assert.deepEqual(values(same), [['default--beta', 'beta2']])
    assert.equal(reader.get(configmaps, { namespace: 'default--beta', name: 'same' }, options), same[0])
    const heard: string[] = []
    const stop = reader.onChange(configmaps, (change) => heard.push(`${change.type} ${change.namespace}`), options)
    await tenant('beta').update(configmaps, configMap('default', 'same', 'beta3'))
    stop()
    assert.deepEqual(heard, ['MODIFIED default--beta'])
  })
})
