import assert from 'node:assert/strict'
import { gunzipSync } from 'node:zlib'
import { after, before, describe, it } from 'node:test'
import { startTestServer, type TestServer } from '../testing/test-server.ts'
import { createDiscoveryExtension } from './discovery-extension.ts'
import { compareVersions, storageVersionHash } from './documents.ts'
import { createOpenApiExtension } from './openapi-extension.ts'

interface Listed {
  name: string
  kind: string
  group?: string
  version?: string
  verbs: string[]
  shortNames?: string[]
  categories?: string[]
  storageVersionHash?: string
}

describe('discovery', () => {
  let test: TestServer
  before(async () => {
    test = await startTestServer({
      extensions: [createDiscoveryExtension({ serverAddress: '10.0.0.1:6443' }), createOpenApiExtension()],
    })
  })
  after(() => test.close())

  it('lists the core versions and the groups in upstream’s order', async () => {
    assert.deepEqual((await test.request('GET', '/api')).json<{ versions: string[] }>().versions, ['v1'])
    const { groups } = (await test.request('GET', '/apis')).json<{
      groups: { name: string; preferredVersion: { version: string } }[]
    }>()
    const names = groups.map((group) => group.name)
    assert.deepEqual(names.slice(0, 4), ['apiregistration.k8s.io', 'apps', 'events.k8s.io', 'authentication.k8s.io'])
    assert.equal(groups.find((group) => group.name === 'autoscaling')?.preferredVersion.version, 'v2')
    assert.equal((await test.request('GET', '/apis/nothing')).status, 404)
    assert.equal((await test.request('GET', '/apis/apps/v9')).status, 404)
  })

  it('describes resources and subresources of a version', async () => {
    const { resources } = (await test.request('GET', '/api/v1')).json<{ resources: Listed[] }>()
    const find = (name: string): Listed | undefined => resources.find((resource) => resource.name === name)
    const pods = find('pods')
    assert.deepEqual([pods?.kind, pods?.shortNames, pods?.categories], ['Pod', ['po'], ['all']])
    assert.equal(pods?.storageVersionHash, 'xPOwRZ+Yhw8=')
    assert.deepEqual([find('pods/eviction')?.group, find('pods/eviction')?.kind], ['policy', 'Eviction'])
    assert.deepEqual(
      resources.map((resource) => resource.name),
      resources.map((resource) => resource.name).toSorted(),
    )
    assert.equal(storageVersionHash('', 'v1', 'Pod'), 'xPOwRZ+Yhw8=')
  })

  it('answers aggregated to those who ask, in the version that they prefer, with an ETag', async () => {
    const accept = ['v2', 'v2beta1'].map(
      (v) => `application/json;g=apidiscovery.k8s.io;v=${v};as=APIGroupDiscoveryList`,
    )
    const response = await test.request('GET', '/apis', {
      headers: { accept: [...accept, 'application/json'].join(',') },
    })
    assert.equal(response.headers['content-type'], accept[0])
    const list = response.json<{
      kind: string
      items: { metadata: { name: string }; versions: { version: string; resources: { resource: string }[] }[] }[]
    }>()
    assert.equal(list.kind, 'APIGroupDiscoveryList')
    const apps = list.items.find((item) => item.metadata.name === 'apps')
    assert.ok(apps?.versions[0]?.resources.some((resource) => resource.resource === 'deployments'))
    const etag = String(response.headers.etag)
    const again = await test.request('GET', '/apis', { headers: { accept: accept[0]!, 'if-none-match': etag } })
    assert.deepEqual([again.status, again.text], [304, ''])
  })

  it('compresses long answers', async () => {
    const response = await test.request('GET', '/api/v1', { headers: { 'accept-encoding': 'gzip' } })
    assert.equal(response.headers['content-encoding'], 'gzip')
    assert.match(gunzipSync(response.bytes).toString(), /"APIResourceList"/)
  })

  it('serves OpenAPI v3 under hashes, and sends old hashes on', async () => {
    const { paths } = (await test.request('GET', '/openapi/v3')).json<{
      paths: Record<string, { serverRelativeURL: string }>
    }>()
    const url = paths['apis/apps/v1']?.serverRelativeURL ?? ''
    const document = await test.request('GET', url)
    assert.match(String(document.headers['cache-control']), /immutable/)
    assert.match(document.text, /io.k8s.api.apps.v1.Deployment/)
    const moved = await test.request('GET', '/openapi/v3/apis/apps/v1?hash=OLD')
    assert.deepEqual([moved.status, moved.headers.location], [301, url])
    assert.equal((await test.request('GET', '/openapi/v3/apis/nothing/v1')).status, 404)
  })
})

describe('compareVersions', () => {
  it('puts stable before beta before alpha, the newest first', () => {
    const sorted = [
      'foo1',
      'v1alpha1',
      'v10',
      'v2beta1',
      'v1',
      'v12alpha1',
      'v3beta10',
      'v3beta2',
      'foo10',
      'v2',
    ].toSorted(compareVersions)
    assert.deepEqual(sorted, [
      'v10',
      'v2',
      'v1',
      'v3beta10',
      'v3beta2',
      'v2beta1',
      'v12alpha1',
      'v1alpha1',
      'foo1',
      'foo10',
    ])
  })
})
