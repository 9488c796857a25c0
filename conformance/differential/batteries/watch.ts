import { prepareNamespace } from '../lib/paths.ts'
import type { Recorder } from '../lib/trace.ts'

const MERGE = { 'content-type': 'application/merge-patch+json' }
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
const PARTIAL = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
const QUIET_MS = 700

/** Events, their order and forms; where a watch starts; how it ends. */
export async function watchBattery(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'watch')
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  const start = (await recorder.prepare({ method: 'GET', path })).object.metadata?.resourceVersion ?? ''
  await change(recorder, path)
  const watch = (step: string, query: string, accept = 'application/json') =>
    recorder.call(step, { method: 'GET', path: `${path}?watch=true${query}`, headers: { accept }, quietMs: QUIET_MS })
  await watch('from a revision', `&resourceVersion=${start}`)
  await watch('as a table', `&resourceVersion=${start}`, TABLE)
  await watch('as metadata', `&resourceVersion=${start}`, PARTIAL)
  await watch('as yaml', `&resourceVersion=${start}`, 'application/yaml')
  await watch('as protobuf', `&resourceVersion=${start}`, 'application/vnd.kubernetes.protobuf;stream=watch')
  await watch('by label', `&resourceVersion=${start}&labelSelector=color%3Dred`)
  await watch('by name', `&resourceVersion=${start}&fieldSelector=metadata.name%3Da`)
  await watch('from zero', '&resourceVersion=0')
  await watch('from now on', '')
  await watch(
    'with initial events',
    '&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true',
  )
  await watch(
    'with initial events of metadata',
    '&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true',
    PARTIAL,
  )
  await watch(
    'with initial events as a table',
    '&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true',
    TABLE,
  )
  await watch('initial events without bookmarks', '&sendInitialEvents=true&resourceVersionMatch=NotOlderThan')
  await watch('initial events exactly', '&sendInitialEvents=true&resourceVersionMatch=Exact')
  await watch('without initial events', '&sendInitialEvents=false')
  await watch('from the future', '&resourceVersion=99999999&timeoutSeconds=1')
  await watch('from text', '&resourceVersion=x')
  await watch('with a limit', '&limit=1')
  await watch('with a bad selector', '&fieldSelector=a%3Db')
  await recorder.call('one by path', {
    method: 'GET',
    path: `${path}/a?watch=true&resourceVersion=0`,
    quietMs: QUIET_MS,
  })
  await recorder.call('old path', {
    method: 'GET',
    path: `/api/v1/watch/namespaces/${namespace}/configmaps?resourceVersion=0`,
    quietMs: QUIET_MS,
  })
  await recorder.call('old path of one', {
    method: 'GET',
    path: `/api/v1/watch/namespaces/${namespace}/configmaps/a?resourceVersion=0`,
    quietMs: QUIET_MS,
  })
  await recorder.call('times out', {
    method: 'GET',
    path: `${path}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true`,
    quietMs: 3000,
  })
  await recorder.call('of all namespaces', {
    method: 'GET',
    path: `/api/v1/configmaps?watch=true&resourceVersion=${start}&labelSelector=color`,
    quietMs: QUIET_MS,
  })
}

async function change(recorder: Recorder, path: string): Promise<void> {
  const create = (name: string, color: string) =>
    recorder.prepare({ method: 'POST', path, body: { metadata: { name, labels: { color } }, data: { a: '1' } } })
  await create('a', 'red')
  await create('b', 'blue')
  await recorder.prepare({ method: 'PATCH', path: `${path}/a`, body: { data: { a: '2' } }, headers: MERGE })
  await recorder.prepare({
    method: 'PATCH',
    path: `${path}/a`,
    body: { metadata: { labels: { color: 'blue' } } },
    headers: MERGE,
  })
  await recorder.prepare({
    method: 'PATCH',
    path: `${path}/b`,
    body: { metadata: { labels: { color: 'red' } } },
    headers: MERGE,
  })
  await recorder.prepare({ method: 'DELETE', path: `${path}/b` })
  await create('c', 'red')
}
