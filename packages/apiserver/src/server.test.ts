import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { configmaps } from '@centaurus/api/core/v1'
import { startTestServer, type TestServer } from './testing/test-server.ts'

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'

function configMap(name: string, data: Record<string, string> = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }
}

describe('the API over HTTP/2', () => {
  let test: TestServer
  before(async () => {
    test = await startTestServer()
  })
  after(() => test.close())

  it('creates an object and answers with what only the server decides', async () => {
    const response = await test.request('POST', CONFIG_MAPS, { body: configMap('created', { a: '1' }) })
    assert.equal(response.status, 201)
    const { metadata } = response.json()
    assert.equal(metadata.name, 'created')
    assert.equal(metadata['namespace'], 'default')
    assert.match(metadata.uid, /^[0-9a-f-]{36}$/)
    assert.match(metadata.resourceVersion, /^[1-9][0-9]*$/)
    assert.match(String(metadata['creationTimestamp']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const read = await test.request('GET', `${CONFIG_MAPS}/created`)
    assert.deepEqual(read.json(), response.json())
  })

  it('refuses a name that is taken', async () => {
    await test.request('POST', CONFIG_MAPS, { body: configMap('twice') })
    const response = await test.request('POST', CONFIG_MAPS, { body: configMap('twice') })
    assert.equal(response.status, 409)
    assert.equal(response.json().reason, 'AlreadyExists')
    assert.equal(response.json().message, 'configmaps "twice" already exists')
  })

  it('updates at the current resourceVersion and refuses a stale one', async () => {
    const created = (await test.request('POST', CONFIG_MAPS, { body: configMap('updated') })).json()
    const next = await test.request('PUT', `${CONFIG_MAPS}/updated`, { body: { ...created, data: { a: '2' } } })
    assert.equal(next.status, 200)
    const stale = await test.request('PUT', `${CONFIG_MAPS}/updated`, { body: { ...created, data: { a: '3' } } })
    assert.equal(stale.status, 409)
    assert.equal(stale.json().reason, 'Conflict')
  })

  it('writes nothing when an update changes nothing', async () => {
    const created = (await test.request('POST', CONFIG_MAPS, { body: configMap('same', { a: '1' }) })).json()
    const body = { apiVersion: 'v1', kind: 'ConfigMap', data: { a: '1' }, metadata: { name: 'same' } }
    const updated = await test.request('PUT', `${CONFIG_MAPS}/same`, { body })
    assert.equal(updated.json().metadata.resourceVersion, created.metadata.resourceVersion)
  })

  it('lists in order, by label and page by page', async () => {
    const base = '/api/v1/namespaces/kube-public/configmaps'
    for (const name of ['c', 'a', 'b']) {
      const body = { ...configMap(name), metadata: { name, labels: { even: name === 'b' ? 'yes' : 'no' } } }
      await test.request('POST', base, { body })
    }
    const names = (items: { metadata: { name: string } }[]): string[] => items.map((item) => item.metadata.name)
    assert.deepEqual(names((await test.request('GET', base)).json().items), ['a', 'b', 'c'])
    assert.deepEqual(names((await test.request('GET', `${base}?labelSelector=even%3Dyes`)).json().items), ['b'])
    assert.deepEqual(names((await test.request('GET', `${base}?fieldSelector=metadata.name%3Dc`)).json().items), ['c'])
    const first = (await test.request('GET', `${base}?limit=2`)).json()
    assert.deepEqual(names(first.items), ['a', 'b'])
    assert.equal(first.metadata['remainingItemCount'], 1)
    await test.request('DELETE', `${base}/c`)
    const token = encodeURIComponent(String(first.metadata['continue']))
    const second = (await test.request('GET', `${base}?limit=2&continue=${token}`)).json()
    assert.deepEqual(names(second.items), ['c'], 'pages show one moment')
    assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion)
  })

  it('deletes and says so', async () => {
    const created = (await test.request('POST', CONFIG_MAPS, { body: configMap('deleted') })).json()
    const response = await test.request('DELETE', `${CONFIG_MAPS}/deleted`)
    assert.equal(response.status, 200)
    assert.deepEqual(response.json(), {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: { name: 'deleted', kind: 'configmaps', uid: created.metadata.uid },
    })
    const gone = await test.request('GET', `${CONFIG_MAPS}/deleted`)
    assert.equal(gone.status, 404)
    assert.equal(gone.json().message, 'configmaps "deleted" not found')
  })

  it('keeps an object with finalizers until the last one goes', async () => {
    const body = { ...configMap('kept'), metadata: { name: 'kept', finalizers: ['example.com/wait'] } }
    await test.request('POST', CONFIG_MAPS, { body })
    const marked = (await test.request('DELETE', `${CONFIG_MAPS}/kept`)).json()
    assert.ok(marked.metadata['deletionTimestamp'])
    marked.metadata['finalizers'] = []
    const last = await test.request('PUT', `${CONFIG_MAPS}/kept`, { body: marked })
    assert.equal(last.status, 200)
    assert.equal((await test.request('GET', `${CONFIG_MAPS}/kept`)).status, 404)
  })

  it('watches from a list on, and resumes', async () => {
    const { metadata } = (await test.request('GET', CONFIG_MAPS)).json()
    const path = `${CONFIG_MAPS}?watch=1&resourceVersion=${metadata.resourceVersion}`
    const watch = await test.watch(path)
    await test.request('POST', CONFIG_MAPS, { body: configMap('watched') })
    await test.request('PUT', `${CONFIG_MAPS}/watched`, { body: configMap('watched', { a: '1' }) })
    await test.request('DELETE', `${CONFIG_MAPS}/watched`)
    await watch.until((events) => events.length === 3)
    assert.deepEqual(
      watch.events.map((event) => event.type),
      ['ADDED', 'MODIFIED', 'DELETED'],
    )
    const revisions = watch.events.map((event) => Number(event.object.metadata.resourceVersion))
    assert.ok(revisions[0]! < revisions[1]! && revisions[1]! < revisions[2]!)
    const resumed = await test.watch(`${CONFIG_MAPS}?watch=1&resourceVersion=${revisions[0]}`)
    await resumed.until((events) => events.length === 2)
    assert.deepEqual(resumed.events, watch.events.slice(1))
    watch.close()
    resumed.close()
  })

  it('tells a watcher of labels when an object enters and leaves the selection', async () => {
    const base = '/api/v1/namespaces/kube-system/configmaps'
    const watch = await test.watch(`${base}?watch=1&labelSelector=on%3Dyes`)
    const put = (on: string): Promise<unknown> =>
      test.request('PUT', `${base}/moves`, {
        body: { ...configMap('moves'), metadata: { name: 'moves', labels: { on } } },
      })
    await test.request('POST', base, { body: configMap('moves') })
    await put('yes')
    await put('no')
    await watch.until((events) => events.length === 2)
    assert.deepEqual(
      watch.events.map((event) => [event.type, (event.object.metadata['labels'] as { on: string }).on]),
      [
        ['ADDED', 'yes'],
        ['DELETED', 'yes'],
      ],
    )
    watch.close()
  })

  it('sends the state first and a bookmark that ends it, when asked', async () => {
    const base = '/api/v1/namespaces/kube-node-lease/configmaps'
    await test.request('POST', base, { body: configMap('there') })
    const query = 'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'
    const watch = await test.watch(`${base}?${query}`)
    await watch.until((events) => events.length === 2)
    assert.deepEqual(
      watch.events.map((event) => event.type),
      ['ADDED', 'BOOKMARK'],
    )
    assert.deepEqual(watch.events[1]!.object.metadata['annotations'], { 'k8s.io/initial-events-end': 'true' })
    watch.close()
  })

  it('serves the same objects in the process, shared and frozen', async () => {
    const created = await test.client.create(configmaps, { metadata: { name: 'inside', namespace: 'default' } })
    const first = await test.client.get(configmaps, { namespace: 'default', name: 'inside' })
    assert.equal(first.metadata.uid, created.metadata.uid)
    assert.equal(first, await test.client.get(configmaps, { namespace: 'default', name: 'inside' }))
    assert.ok(Object.isFrozen(first.metadata))
  })

  it('answers 404 for what it does not serve', async () => {
    for (const path of ['/api/v1/nothings', '/apis/none.example/v1/things']) {
      const response = await test.request('GET', path)
      assert.equal(response.status, 404, path)
      assert.equal(response.json().message, 'the server could not find the requested resource')
    }
    for (const path of ['/nothing', '/tenants/other/api/v1/pods']) {
      const beside = await test.request('GET', path)
      assert.deepEqual([beside.status, beside.text], [404, '404 page not found\n'])
    }
  })

  // Recorded from the kube-apiserver of v1.37.2.
  it('refuses methods and scopes that a resource does not have', async () => {
    const codes = [
      ['DELETE', '/api/v1/pods', 405],
      ['DELETE', '/api/v1/namespaces', 405],
      ['POST', '/api/v1/pods', 405],
      ['PUT', '/api/v1/namespaces/default/configmaps', 405],
      ['PATCH', '/api/v1/namespaces/default/configmaps', 405],
      ['POST', '/api/v1/namespaces/default/configmaps/x', 405],
      ['GET', '/api/v1/namespaces/default/nodes', 404],
      ['GET', '/api/v1/pods/x', 404],
    ] as const
    for (const [method, path, code] of codes) {
      assert.equal(
        (await test.request(method, path, method === 'GET' || method === 'DELETE' ? {} : { body: {} })).status,
        code,
        `${method} ${path}`,
      )
    }
  })

  it('says what does not fit in the options of lists and watches', async () => {
    const messages = {
      'limit=x': 'strconv.ParseInt: parsing "x": invalid syntax',
      'fieldSelector=spec.none%3D1':
        '"spec.none" is not a known field selector: only "metadata.name", "metadata.namespace"',
      'sendInitialEvents=true':
        'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list',
      'watch=1&resourceVersionMatch=NotOlderThan&resourceVersion=1':
        'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    }
    for (const [query, message] of Object.entries(messages)) {
      assert.equal((await test.request('GET', `/api/v1/configmaps?${query}`)).json().message, message, query)
    }
  })

  it('warns of what is deprecated', async () => {
    const { headers } = await test.request('GET', '/api/v1/endpoints')
    const text = 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice'
    assert.equal(headers['warning'], `299 - "${text}"`)
  })

  it('sends the headers before the events of a resumed watch', async () => {
    await test.client.create(configmaps, { metadata: { name: 'resumed', namespace: 'default' } })
    const { headers } = await test.request('GET', '/api/v1/configmaps?watch=1&resourceVersion=1&timeoutSeconds=1')
    assert.equal(headers['content-type'], 'application/json')
  })

  it('shows a dry run without a resourceVersion, with what would have been allocated', async () => {
    const path = '/api/v1/namespaces/default/services?dryRun=All'
    const tried = await test.request('POST', path, {
      body: { metadata: { name: 'tried' }, spec: { ports: [{ port: 80 }] } },
    })
    assert.equal(tried.status, 201)
    assert.equal(tried.json().metadata.resourceVersion, undefined)
    assert.match(String(tried.json().spec['clusterIP']), /^10\.96\./)
    assert.equal((await test.request('GET', '/api/v1/namespaces/default/services/tried')).status, 404)
  })

  it('checks what a subresource would leave behind', async () => {
    const pods = '/api/v1/namespaces/default/pods'
    const spec = { containers: [{ name: 'c', image: 'i' }] }
    await test.request('POST', pods, { body: { metadata: { name: 'checked' }, spec } })
    const headers = { 'content-type': 'application/strategic-merge-patch+json' }
    const patch = (path: string, body: object) => test.request('PATCH', `${pods}/checked/${path}`, { body, headers })
    const ephemeral = { name: 'e', image: 'i', targetContainerName: 'none' }
    assert.equal((await patch('ephemeralcontainers', { spec: { ephemeralContainers: [ephemeral] } })).status, 422)
    const resources = { requests: { cpu: '1' } }
    assert.equal((await patch('resize', { spec: { containers: [{ name: 'c', resources }] } })).status, 422)
    const finalized = { metadata: { name: 'kube-public' }, spec: { finalizers: ['Not valid'] } }
    const answer = await test.request('PUT', '/api/v1/namespaces/kube-public/finalize', { body: finalized })
    assert.equal(answer.status, 422)
  })

  it('tells of an object without spec what is wrong', async () => {
    const path = '/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers'
    const answer = await test.request('POST', path, { body: { metadata: { name: 'bare' } } })
    assert.equal(answer.status, 422)
  })

  it('tells of a Pod without containers what is wrong', async () => {
    const path = '/api/v1/namespaces/default/pods'
    const answer = await test.request('POST', path, { body: { metadata: { name: 'empty' }, spec: {} } })
    assert.equal(answer.json().message, 'Pod "empty" is invalid: spec.containers: Required value')
  })
})
