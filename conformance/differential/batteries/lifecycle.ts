import { apiVersionOf, collectionPath, prepareNamespace, titleOf } from '../lib/paths.ts'
import { samples, type Sample } from '../lib/samples.ts'
import type { AnswerObject, Recorder } from '../lib/trace.ts'

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
const PARTIAL = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json'
const PARTIAL_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json'
const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const MERGE = { 'content-type': 'application/merge-patch+json' }
const STRATEGIC = { 'content-type': 'application/strategic-merge-patch+json' }
const JSON_PATCH = { 'content-type': 'application/json-patch+json' }
const APPLY = { 'content-type': 'application/apply-patch+yaml' }

/** The life of one object of each resource. */
export async function lifecycleBattery(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'life')
  for (const sample of samples(recorder.run)) await live(recorder, { sample, namespace })
}

interface Life {
  readonly recorder: Recorder
  readonly title: string
  readonly collection: string
  readonly path: string
  readonly sample: Sample
  /** The object as a client would send it. */
  readonly object: AnswerObject
  readonly name: string
}

async function live(recorder: Recorder, { sample, namespace }: { sample: Sample; namespace: string }): Promise<void> {
  const { info } = sample
  const collection = collectionPath(info, namespace)
  const given = (sample.object['metadata'] ?? {}) as { name?: string }
  const name = given.name ?? `s-${recorder.run}`
  const object: AnswerObject = {
    apiVersion: apiVersionOf(info),
    kind: info.kind,
    ...sample.object,
    metadata: { ...given, name },
  }
  const life = { recorder, title: titleOf(info), collection, path: `${collection}/${name}`, sample, object, name }
  await create(life)
  await read(life)
  await update(life)
  await patch(life)
  await writeStatus(life)
  await remove(life)
}

async function create({ recorder, title, collection, object }: Life): Promise<void> {
  const post = (step: string, query: string, body: unknown, headers = {}) =>
    recorder.call(`${title}: ${step}`, { method: 'POST', path: `${collection}${query}`, body, headers })
  await post('create dry run', '?dryRun=All', object)
  await post('create without a name', '?dryRun=All', { ...object, metadata: {} })
  await post('create with generateName', '?dryRun=All', { ...object, metadata: { generateName: 'generated-' } })
  await post('create with a bad name', '?dryRun=All', { ...object, metadata: { name: 'Not_A/Name' } })
  await post('create with bad metadata', '?dryRun=All', {
    ...object,
    metadata: { ...object.metadata, labels: { 'a b': 'c d' }, annotations: { '/': '' }, finalizers: ['x'] },
  })
  await post('create, unknown field strict', '?dryRun=All&fieldValidation=Strict', { ...object, unknownField: 1 })
  await post('create, unknown field warn', '?dryRun=All&fieldValidation=Warn', { ...object, unknownField: 1 })
  await post('create, unknown field ignore', '?dryRun=All&fieldValidation=Ignore', { ...object, unknownField: 1 })
  const duplicated = JSON.stringify(object).replace('{', '{"kind":"Other","unknownField":{"a":1,"a":2},')
  await post('create, duplicate field', '?dryRun=All&fieldValidation=Strict', duplicated)
  await post('create with a wrong spec', '?dryRun=All', {
    ...object,
    spec: 'text',
    data: 'text',
    metadata: object.metadata,
  })
  await post('create with another namespace', '?dryRun=All', {
    ...object,
    metadata: { ...object.metadata, namespace: 'elsewhere' },
  })
  await post('create with a wrong kind', '', { ...object, kind: 'Unheard' })
  await post('create with a wrong version', '', { ...object, apiVersion: 'example.com/v1' })
  await post('create', '', object)
  await post('create again', '', object)
}

async function read({ recorder, title, collection, path }: Life): Promise<void> {
  const get = (step: string, at: string, accept = 'application/json') =>
    recorder.call(`${title}: ${step}`, { method: 'GET', path: at, headers: { accept } })
  await get('get', path)
  await get('get as protobuf', path, PROTOBUF)
  await get('get as table', path, TABLE)
  await get('get as table with objects', `${path}?includeObject=Object`, TABLE)
  await get('get as table without objects', `${path}?includeObject=None`, TABLE)
  await get('get as metadata', path, PARTIAL)
  await get('get as yaml', path, 'application/yaml')
  await get('get what is not there', `${path}-missing`)
  await get('list', `${collection}?fieldSelector=metadata.name%3D${path.split('/').at(-1)}`)
  await get('list as table', `${collection}?fieldSelector=metadata.name%3D${path.split('/').at(-1)}`, TABLE)
  await get('list as metadata', `${collection}?fieldSelector=metadata.name%3D${path.split('/').at(-1)}`, PARTIAL_LIST)
  await get('list by a label nobody has', `${collection}?labelSelector=no-such%3Dlabel`)
  await get('list by a bad label selector', `${collection}?labelSelector=a%20b%20c`)
  await get('list by a bad field selector', `${collection}?fieldSelector=spec.nothing%3D1`)
  await get('list by a broken field selector', `${collection}?fieldSelector=nothing`)
}

async function update({ recorder, title, path, sample, object, name }: Life): Promise<void> {
  const put = (step: string, body: unknown, query = '') =>
    recorder.call(`${title}: ${step}`, { method: 'PUT', path: `${path}${query}`, body })
  const now = (await recorder.prepare({ method: 'GET', path })).object
  await put('update without change', now)
  const changed = mergeInto(now, sample.change) as AnswerObject
  const stale = { ...changed, metadata: { ...changed.metadata, resourceVersion: '1' } }
  await put('update at a stale version', stale)
  await put('update at a bad version', { ...stale, metadata: { ...stale.metadata, resourceVersion: 'x' } })
  await put('update dry run', changed, '?dryRun=All')
  await put('update', changed)
  await put('update with another name', { ...object, metadata: { ...object.metadata, name: `${name}-other` } })
  await put('update with another uid', { ...object, metadata: { ...object.metadata, uid: 'x' } })
  await put('update without a version', object)
  await recorder.call(`${title}: update what is not there`, {
    method: 'PUT',
    path: `${path}-missing`,
    body: { ...object, metadata: { ...object.metadata, name: `${name}-missing` } },
  })
}

async function patch({ recorder, title, path, sample, object }: Life): Promise<void> {
  const send = (step: string, headers: Record<string, string>, body: unknown, query = '') =>
    recorder.call(`${title}: ${step}`, { method: 'PATCH', path: `${path}${query}`, body, headers })
  await send('merge patch', MERGE, sample.change)
  await send('merge patch of labels', MERGE, { metadata: { labels: { merged: 'yes', gone: null } } })
  await send('merge patch without effect', MERGE, { metadata: { labels: { merged: 'yes' } } })
  await send('merge patch that is no object', MERGE, '[]')
  await send('broken merge patch', MERGE, '{')
  await send('strategic patch', STRATEGIC, { metadata: { labels: { strategic: 'yes' } } })
  await send('strategic patch of finalizers', STRATEGIC, { metadata: { finalizers: ['example.com/a'] } })
  await send('strategic patch with an unknown field', STRATEGIC, { unknownField: 1 }, '?fieldValidation=Strict')
  await send('JSON patch', JSON_PATCH, [{ op: 'add', path: '/metadata/labels/json', value: 'yes' }])
  await send('JSON patch that does not fit', JSON_PATCH, [{ op: 'remove', path: '/metadata/labels/none' }])
  await send('JSON patch test', JSON_PATCH, [{ op: 'test', path: '/kind', value: 'x' }])
  await send('broken JSON patch', JSON_PATCH, [{ op: 'jump', path: '/kind' }])
  await send('patch of an unknown type', { 'content-type': 'text/plain' }, '{}')
  const applied = { ...object, metadata: { ...object.metadata, labels: { applied: 'one' } } }
  await send('apply', APPLY, applied, '?fieldManager=one')
  await send('apply again', APPLY, applied, '?fieldManager=one')
  await send('apply without a manager', APPLY, applied)
  const other = {
    apiVersion: object['apiVersion'],
    kind: object['kind'],
    metadata: { ...object.metadata, labels: { applied: 'two' } },
  }
  await send('apply by another', APPLY, other, '?fieldManager=two')
  await send('apply by another with force', APPLY, other, '?fieldManager=two&force=true')
  await send('apply dry run', APPLY, applied, '?fieldManager=one&force=true&dryRun=All')
  await recorder.call(`${title}: get after patches`, { method: 'GET', path })
}

async function writeStatus({ recorder, title, path, sample }: Life): Promise<void> {
  if (!sample.info.subresources.some(({ name }) => name === 'status')) return
  await recorder.call(`${title}: get status`, { method: 'GET', path: `${path}/status` })
  const status = sample.status ?? {}
  const body = { metadata: { labels: { 'from-status': 'yes' } }, spec: { unlikely: 1 }, status }
  await recorder.call(`${title}: patch status`, { method: 'PATCH', path: `${path}/status`, body, headers: MERGE })
  const now = (await recorder.prepare({ method: 'GET', path })).object
  await recorder.call(`${title}: put status`, { method: 'PUT', path: `${path}/status`, body: now })
}

async function remove({ recorder, title, collection, path, object }: Life): Promise<void> {
  const send = (step: string, body?: unknown, query = '') =>
    recorder.call(`${title}: ${step}`, { method: 'DELETE', path: `${path}${query}`, body })
  await send('delete with another uid', { preconditions: { uid: 'x' } })
  await send('delete with a stale version', { preconditions: { resourceVersion: '1' } })
  await send('delete with a bad policy', { propagationPolicy: 'Nowhere' })
  await send('delete with both orphan options', { orphanDependents: true, propagationPolicy: 'Orphan' })
  await send('delete dry run', undefined, '?dryRun=All')
  await send('delete with a finalizer', undefined)
  await recorder.call(`${title}: get while deleting`, { method: 'GET', path })
  const clear = { metadata: { finalizers: null } }
  await recorder.call(`${title}: remove the finalizer`, { method: 'PATCH', path, body: clear, headers: MERGE })
  await recorder.prepare({ method: 'DELETE', path: `${path}?gracePeriodSeconds=0` })
  await recorder.call(`${title}: get after deletion`, { method: 'GET', path })
  await recorder.prepare({ method: 'POST', path: collection, body: object })
  await send('delete in the foreground', { propagationPolicy: 'Foreground' })
  await recorder.prepare({ method: 'PATCH', path, body: clear, headers: MERGE })
  await recorder.prepare({ method: 'POST', path: collection, body: object })
  await send('delete and orphan', { propagationPolicy: 'Orphan', gracePeriodSeconds: 0 })
  await recorder.prepare({ method: 'PATCH', path, body: clear, headers: MERGE })
  const labelled = { ...object, metadata: { ...object.metadata, labels: { collect: 'me' } } }
  await recorder.prepare({ method: 'POST', path: collection, body: labelled })
  await recorder.call(`${title}: delete the collection`, {
    method: 'DELETE',
    path: `${collection}?labelSelector=collect%3Dme&gracePeriodSeconds=0`,
  })
  await recorder.call(`${title}: delete what is not there`, { method: 'DELETE', path })
}

/** A merge patch (RFC 7386), for objects alone. */
function mergeInto(target: unknown, change: unknown): unknown {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) return change
  const base = typeof target === 'object' && target !== null ? (target as Record<string, unknown>) : {}
  const result: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(change as Record<string, unknown>)) {
    result[key] = mergeInto(base[key], value)
  }
  return result
}
