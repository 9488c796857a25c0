import { prepareNamespace } from '../lib/paths.ts'
import type { Recorder } from '../lib/trace.ts'

/** More than a request body may have (3 MiB). */
const TOO_LARGE_BYTES = 3 * 1024 * 1024 + 1

/** Paths, methods, media types and bodies that are wrong; queries; lists in pages. */
export async function requestsBattery(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'req')
  await badPaths(recorder, namespace)
  await badBodies(recorder, namespace)
  await badTypes(recorder, namespace)
  await pages(recorder, namespace)
  await wellKnown(recorder)
}

async function badPaths(recorder: Recorder, namespace: string): Promise<void> {
  const paths = [
    '/nothing',
    '/api/',
    '/api/v2',
    '/api/v1/',
    '/apis/',
    '/apis/apps/',
    '/apis/none.example.com',
    '/apis/apps/v9',
    '/apis/apps/v1/nothing',
    '/api/v1/nothing',
    '/api/v1/namespaces/default/nothing',
    '/api/v1/namespaces/default/pods/x/nothing',
    '/api/v1/nodes/x/nothing',
    '/api/v1/namespaces/default/nodes',
    '/api/v1/pods/x',
    '/api/v1/namespaces//pods',
    '/api/v1/namespaces/default/pods/',
    '/api//v1/pods',
    '/api/v1/namespaces/default/pods/x/log',
    '/api/v1/namespaces/default/pods/x/scale',
    '/api/v1/namespaces/default/pods/x/status/y',
    '/api/v1/watch/namespaces/default/nothing',
    '/api/v1/namespaces/default/configmaps/a%2Fb',
    '/api/v1/namespaces/Bad_Name/pods',
    '/apis/apps/v1/namespaces/none/deployments',
    '/apis/apps/v1/namespaces/none/deployments/x/scale',
    '/api/v1/componentstatuses',
    '/api/v1/bindings',
    '/api/v1/pods?limit=x',
    '/api/v1/pods?resourceVersion=x',
    '/api/v1/pods?resourceVersion=999999999',
    '/api/v1/pods?continue=x',
    '/api/v1/pods?resourceVersionMatch=Exact',
    '/api/v1/pods?resourceVersion=1&resourceVersionMatch=Other',
    '/api/v1/pods?resourceVersion=0&resourceVersionMatch=Exact',
    '/api/v1/pods?timeoutSeconds=x',
    '/api/v1/pods?watch=maybe',
    '/api/v1/pods?limit=-1',
    '/api/v1/pods?pretty=true',
    '/api/v1/namespaces/default?pretty=1',
    '/api/v1/pods?sendInitialEvents=true',
    '/api/v1/pods?watch=true&sendInitialEvents=true',
    '/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan',
    '/api/v1/pods?watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1',
    '/api/v1/pods?fieldSelector=spec.nodeName%3Dx,status.phase%21%3DRunning',
    '/api/v1/pods?fieldSelector=metadata.labels%3Dx',
    '/api/v1/pods?labelSelector=%21a,b%20in%20%28c,d%29',
    '/api/v1/pods?labelSelector=a%3Db%3Dc',
    '/api/v1/pods?labelSelector=a%20in%20%28',
    '/api/v1/pods?labelSelector=-a',
    '/api/v1/pods?labelSelector=a%3E1',
    '/api/v1/pods?labelSelector=a%3Ex',
    '/api/v1/pods?labelSelector=a%3D' + 'x'.repeat(64),
    '/metrics/nothing',
    '/healthz/nothing',
    '/openapi/v9',
    '/openapi/v3/nothing',
    '/.well-known/nothing',
    '/logs/',
    '/debug/nothing',
  ]
  for (const path of paths) await recorder.call(`GET ${path.slice(0, 120)}`, { method: 'GET', path, quietMs: 1500 })
  const requests = [
    ['PUT', '/api/v1/namespaces/default/configmaps'],
    ['PATCH', '/api/v1/namespaces/default/configmaps'],
    ['POST', '/api/v1/namespaces/default/configmaps/x'],
    ['DELETE', '/api/v1/namespaces'],
    ['POST', '/api'],
    ['DELETE', '/apis/apps'],
    ['POST', '/version'],
    ['POST', '/healthz'],
    ['DELETE', '/api/v1/namespaces/default/pods/x/log'],
    ['GET', '/api/v1/namespaces/default/pods/x/binding'],
    ['GET', '/api/v1/namespaces/default/pods/x/eviction'],
    ['PUT', '/api/v1/namespaces/default/pods/x/eviction'],
    ['GET', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'],
    ['DELETE', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'],
    ['POST', '/api/v1/configmaps'],
    ['POST', '/api/v1/pods'],
    ['DELETE', '/api/v1/pods'],
    ['HEAD', '/api/v1/namespaces'],
    ['OPTIONS', '/api/v1/namespaces'],
    ['TRACE', '/api/v1/namespaces'],
    ['GET', '/api/v1/namespaces/default/serviceaccounts/x/token'],
    ['POST', '/api/v1/nodes/x/status'],
    ['HEAD', '/healthz'],
    ['HEAD', '/version'],
  ] as const
  for (const [method, path] of requests) {
    const body = method === 'POST' || method === 'PUT' ? { metadata: { name: 'x' } } : undefined
    await recorder.call(`${method} ${path}`, { method, path, body, quietMs: 3000 })
  }
  await recorder.call('namespace that is not there', {
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}-none/configmaps`,
    body: { metadata: { name: 'x' } },
  })
}

async function badBodies(recorder: Recorder, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  const bodies: Record<string, unknown> = {
    empty: '',
    'a brace': '{',
    'not JSON': 'hello',
    'a list': '[]',
    'a number': '5',
    null: 'null',
    'an empty object': '{}',
    'a wrong field type': '{"metadata":{"name":5}}',
    'a wrong metadata': '{"metadata":"x"}',
    'a wrong map value': '{"metadata":{"name":"x"},"data":{"a":1}}',
    'trailing data': '{"metadata":{"name":"x"}}{}',
    'a case variant': '{"Metadata":{"name":"x"}}',
    'bad base64': '{"metadata":{"name":"x"},"binaryData":{"a":"%"}}',
    'a list kind': '{"kind":"ConfigMapList","apiVersion":"v1","items":[]}',
    'an unknown group': '{"kind":"ConfigMap","apiVersion":"none/v1","metadata":{"name":"x"}}',
    'a bad apiVersion': '{"kind":"ConfigMap","apiVersion":"a/b/c","metadata":{"name":"x"}}',
    'a kind of another group': '{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"x"}}',
    'a kind alone': '{"kind":"Secret","metadata":{"name":"x"}}',
    'a deletion time':
      '{"metadata":{"name":"dt","deletionTimestamp":"2020-01-01T00:00:00Z","uid":"u","generation":9,"creationTimestamp":"2020-01-01T00:00:00Z"}}',
    'a resource version': '{"metadata":{"name":"rv","resourceVersion":"5"}}',
    'a long name': `{"metadata":{"name":"${'x'.repeat(300)}"}}`,
    'owner references':
      '{"metadata":{"name":"o","ownerReferences":[{"kind":"","name":"","uid":"","apiVersion":""},{"apiVersion":"v1","kind":"A","name":"b","uid":"c","controller":true},{"apiVersion":"v1","kind":"A","name":"b","uid":"d","controller":true}]}}',
    'managed fields': '{"metadata":{"name":"mf","managedFields":[{"operation":"Jump"}]}}',
    'long annotations': JSON.stringify({ metadata: { name: 'la', annotations: { a: 'x'.repeat(262_145) } } }),
    'a large data': JSON.stringify({ metadata: { name: 'ld' }, data: { a: 'x'.repeat(1024 * 1024 + 1) } }),
    'too much': `{"metadata":{"name":"${'x'.repeat(TOO_LARGE_BYTES)}"}}`,
    'a wrong key': '{"metadata":{"name":"wk"},"data":{"a b":"c"}}',
    'immutable and data in both': '{"metadata":{"name":"ib"},"immutable":"yes"}',
    'a generate name': '{"metadata":{"generateName":"Bad_"}}',
    yaml: 'metadata:\n  name: y\n',
    'a time of the wrong form': '{"metadata":{"name":"t","creationTimestamp":"yesterday"}}',
  }
  for (const [name, body] of Object.entries(bodies))
    await recorder.call(`POST ${name}`, { method: 'POST', path: `${path}?dryRun=All`, body })
  const headers = { 'content-type': 'application/yaml' }
  await recorder.call('POST yaml as yaml', {
    method: 'POST',
    path: `${path}?dryRun=All`,
    body: bodies['yaml'],
    headers,
  })
  await recorder.call('POST bad yaml', { method: 'POST', path: `${path}?dryRun=All`, body: 'a: [', headers })
  await recorder.call('POST bad dry run', {
    method: 'POST',
    path: `${path}?dryRun=Some`,
    body: { metadata: { name: 'x' } },
  })
  await recorder.call('POST bad field validation', {
    method: 'POST',
    path: `${path}?fieldValidation=Some`,
    body: { metadata: { name: 'x' } },
  })
  await recorder.call('POST long field manager', {
    method: 'POST',
    path: `${path}?fieldManager=${'x'.repeat(129)}`,
    body: { metadata: { name: 'x' } },
  })
  await recorder.call('POST bad field manager', {
    method: 'POST',
    path: `${path}?dryRun=All&fieldManager=a%07`,
    body: { metadata: { name: 'x' } },
  })
  await recorder.call('DELETE bad options', { method: 'DELETE', path: `${path}/x`, body: '{"gracePeriodSeconds":"x"}' })
  await recorder.call('DELETE wrong kind of options', {
    method: 'DELETE',
    path: `${path}/x`,
    body: '{"kind":"Pod","apiVersion":"v1"}',
  })
  await recorder.call('DELETE negative grace', { method: 'DELETE', path: `${path}/x?gracePeriodSeconds=-5` })
  await recorder.call('DELETE bad grace', { method: 'DELETE', path: `${path}/x?gracePeriodSeconds=x` })
  await recorder.call('DELETE bad dry run', { method: 'DELETE', path: `${path}/x?dryRun=x` })
}

async function badTypes(recorder: Recorder, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  for (const type of [
    'text/plain',
    'application/xml',
    'application/json; charset=utf-8',
    'application/vnd.kubernetes.protobuf',
    'application/cbor',
    '',
    'nonsense',
    'application/merge-patch+json',
  ]) {
    const body = { metadata: { name: 'x' } }
    await recorder.call(`POST as ${type}`, {
      method: 'POST',
      path: `${path}?dryRun=All`,
      body,
      headers: { 'content-type': type },
    })
    await recorder.call(`PATCH as ${type}`, {
      method: 'PATCH',
      path: `${path}/x`,
      body,
      headers: { 'content-type': type },
    })
  }
  const accepts = [
    'text/html',
    '*/*',
    'application/*',
    'application/yaml',
    'application/xml',
    'text/plain;q=0.5,application/json;q=0.1',
    'application/json;stream=watch',
    'application/json;as=Nothing;v=v1;g=meta.k8s.io',
    'application/json;as=Table;v=v1;g=meta.k8s.io',
    'application/json;as=Table;v=v1beta1;g=meta.k8s.io',
    'application/json;as=Table;v=v9;g=meta.k8s.io',
    'application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io',
    'application/cbor',
    'application/json;pretty=1',
    '',
  ]
  for (const accept of accepts) {
    await recorder.call(`GET list accepting ${accept}`, { method: 'GET', path, headers: { accept } })
    await recorder.call(`GET missing accepting ${accept}`, { method: 'GET', path: `${path}/none`, headers: { accept } })
    await recorder.call(`watch accepting ${accept}`, {
      method: 'GET',
      path: `${path}?watch=1&timeoutSeconds=1`,
      headers: { accept },
      quietMs: 300,
    })
  }
  await recorder.call('table with bad includeObject', {
    method: 'GET',
    path: `${path}?includeObject=Some`,
    headers: { accept: accepts[8]! },
  })
}

async function pages(recorder: Recorder, namespace: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/secrets`
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    await recorder.prepare({
      method: 'POST',
      path,
      body: { metadata: { name, labels: { odd: 'ace'.includes(name) ? 'yes' : 'no' } } },
    })
  }
  const first = await recorder.call('page 1 of 2', { method: 'GET', path: `${path}?limit=2` })
  const next = encodeURIComponent(first.object.metadata?.continue ?? '')
  const second = await recorder.call('page 2 of 2', { method: 'GET', path: `${path}?limit=2&continue=${next}` })
  await recorder.call('page with a revision', {
    method: 'GET',
    path: `${path}?limit=2&continue=${next}&resourceVersion=1`,
  })
  const last = encodeURIComponent(second.object.metadata?.continue ?? '')
  await recorder.call('last page', { method: 'GET', path: `${path}?limit=2&continue=${last}` })
  await recorder.call('page of labels', { method: 'GET', path: `${path}?limit=2&labelSelector=odd%3Dyes` })
  await recorder.call('whole page', { method: 'GET', path: `${path}?limit=5` })
  await recorder.call('page from the cache', { method: 'GET', path: `${path}?limit=2&resourceVersion=0` })
  await recorder.call('page as a table', {
    method: 'GET',
    path: `${path}?limit=2`,
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
  })
  const rv = first.object.metadata?.resourceVersion ?? ''
  for (const match of ['Exact', 'NotOlderThan']) {
    await recorder.call(`list ${match}`, {
      method: 'GET',
      path: `${path}?resourceVersion=${rv}&resourceVersionMatch=${match}`,
    })
  }
  await recorder.call('list exact and limit', {
    method: 'GET',
    path: `${path}?limit=2&resourceVersion=${rv}&resourceVersionMatch=Exact`,
  })
  await recorder.call('list with sort', { method: 'GET', path: `${path}?fieldSelector=type%3DOpaque` })
}

async function wellKnown(recorder: Recorder): Promise<void> {
  const paths = [
    '/healthz',
    '/livez',
    '/readyz',
    '/healthz/ping',
    '/livez/ping',
    '/readyz/ping',
    '/',
    '/.well-known/openid-configuration',
    '/openid/v1/jwks',
    '/healthz?verbose',
    '/livez?exclude=ping&verbose',
    '/version',
    '/version/',
  ]
  for (const path of paths) await recorder.call(`GET ${path}`, { method: 'GET', path })
  await recorder.call('unknown token', {
    method: 'GET',
    path: '/api/v1/pods',
    headers: { authorization: 'Bearer nonsense' },
  })
}
