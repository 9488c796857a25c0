import { methodNotAllowed, notFoundPath, type KubeObject } from '@centaurus/api'
import type { Binding } from '@centaurus/api/core/v1'
import type { RequestContext } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import { checkListOptions, readCount, readDryRun, readSelection } from '../request/query.ts'
import { isTrue } from '../request/parse-request-info.ts'
import { SYSTEM_TENANT, type RequestInfo } from '../request/request-info.ts'
import { respondList, respondObject, respondValue } from '../respond/respond.ts'
import { WatchStream } from '../respond/watch-stream.ts'
import { deprecationWarning } from '../resource/deprecation.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import { findDefinition } from '../resource/find-definition.ts'
import { createTarget, targetAt } from '../resource/target.ts'
import { placedInfo, placeOf, placeOfNew, type Place } from '../views/placed.ts'
import { isView } from '../views/view-names.ts'
import { addWarning, encoderOptions, namespaceOf, serveGet, writeRequest, type ResourceCall } from './call.ts'
import { bindPod } from './binding.ts'
import { createObject } from './create.ts'
import { readDefined, readDeleteOptions, toStored } from './decode-body.ts'
import { deleteAnswer, deleteObject } from './delete.ts'
import { deleteCollection } from './delete-collection.ts'
import { forwardWrite } from './forward-write.ts'
import { listObjects } from './list.ts'
import { mainStrategy } from './prepare.ts'
import type { ServeDeps } from './serve-deps.ts'
import { serveSubresource } from './subresources.ts'
import { servePatch } from './serve-patch.ts'
import { serveUpdate } from './serve-update.ts'
import { serveVirtual } from './virtual.ts'
import { startWatch } from './watch.ts'

/** Handles a request for a resource; authorized already. Throws `StatusError`. */
export async function serveResource(deps: ServeDeps, exchange: Exchange, context: RequestContext): Promise<void> {
  const { info } = context
  const definition = findDefinition(deps, info.tenant, info)
  if (definition === undefined) throw notFoundPath()
  checkScope(definition, info)
  const target = createTarget(deps.cache, definition, info.tenant)
  const asked: ResourceCall = { ...context, exchange, target, definition }
  const call = definition.virtual === undefined ? placeCall(deps, asked) : asked
  if (await forwardWrite(deps, asked, call)) return
  const deprecation = definition.deprecation ?? deprecationWarning(definition.info)
  if (deprecation !== undefined) addWarning(exchange, deprecation)
  if (info.subresource !== '') return serveSubresource(deps, call)
  if (!definition.info.verbs.includes(info.verb)) throw methodNotAllowed()
  if (definition.virtual !== undefined) return serveVirtual(deps, call)
  switch (info.verb) {
    case 'get':
      return serveGet(deps, call)
    case 'list':
      return serveList(deps, call)
    case 'watch':
      return serveWatch(deps, call)
    case 'create':
      return serveCreate(deps, call)
    case 'update':
      return serveUpdate(deps, call, mainStrategy(deps, definition))
    case 'patch':
      return servePatch(deps, call, mainStrategy(deps, definition))
    case 'delete':
      return serveDelete(deps, call)
    case 'deletecollection':
      return serveDeleteCollection(deps, call)
    default:
      throw methodNotAllowed()
  }
}

/** What names one object of a view becomes a call for its tenant. Reads of the object itself, and of lists, stay in the view. */
function placeCall(deps: ServeDeps, call: ResourceCall): ResourceCall {
  const { info, definition } = call
  if (!isView(info.tenant)) return call
  if (info.subresource === '' && !WRITES_TO_ONE.has(info.verb)) return call
  const isNew = info.verb === 'create' && info.subresource === ''
  if (isNew && !definition.info.namespaced) return call // its body says where it goes
  const place = placeOf(deps.cache, { definition, namespace: info.namespace, name: info.name })
  return placedCall(deps, call, place)
}

function placedCall(deps: ServeDeps, call: ResourceCall, place: Place): ResourceCall {
  const definition = findDefinition(deps, place.tenant, call.info)
  if (definition === undefined) throw notFoundPath()
  const target = targetAt(deps.cache, definition, place)
  return { ...call, info: placedInfo(call.info, place), target, definition: target.definition }
}

const WRITES_TO_ONE: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete'])

/**
 * Refuses paths that do not fit the resource: namespaces around what has none, writes across namespaces, writes to a collection.
 * Source: what kube-apiserver v1.37 answers.
 */
function checkScope({ info: { namespaced } }: ResourceDefinition, info: RequestInfo): void {
  const isNamespace = info.resource === 'namespaces' && info.group === ''
  if (!namespaced && info.namespace !== '' && !isNamespace) throw notFoundPath()
  if (info.name === '' && (info.verb === 'update' || info.verb === 'patch')) throw methodNotAllowed()
  if (!namespaced || info.namespace !== '' || info.verb === 'list' || info.verb === 'watch') return
  throw info.name === '' ? methodNotAllowed() : notFoundPath()
}

async function serveList(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { exchange, target, definition } = call
  const { query } = exchange
  const options = encoderOptions(deps, call)
  checkListOptions(query, { watch: false })
  readCount(query, 'timeoutSeconds')
  const list = await listObjects(deps, {
    target,
    selection: readSelection(query, definition, namespaceOf(call)),
    limit: readCount(query, 'limit'),
    continueToken: query.get('continue') ?? '',
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
  })
  await respondList(exchange, list, options)
}

async function serveWatch(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { exchange, target, definition, info } = call
  const { query } = exchange
  const options = encoderOptions(deps, call)
  const selection = readSelection(query, definition, namespaceOf(call), info.name)
  const resourceVersion = query.get('resourceVersion') ?? ''
  checkListOptions(query, { watch: true })
  const sendInitialEvents = isTrue(query.get('sendInitialEvents'))
  const stream = new WatchStream(exchange, options, (revision) => followWatch(deps, call, revision))
  const watcher = await startWatch(deps, {
    target,
    selection,
    sink: stream,
    resourceVersion,
    bookmarks: isTrue(query.get('allowWatchBookmarks')),
    sendInitialEvents,
    timeoutSeconds: readCount(query, 'timeoutSeconds'),
  })
  stream.start()
  exchange.onClose(() => watcher.close())
}

/** Asks, in their order, who goes on with a watch whose tenant has left. */
async function followWatch(
  deps: ServeDeps,
  { exchange, user, target }: ResourceCall,
  revision: number,
): Promise<boolean> {
  const watch = { user, tenant: target.tenant, resourceVersion: String(revision) }
  for (const follow of deps.watchFollowers) if (await follow(exchange, watch)) return true
  return false
}

async function serveCreate(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { exchange, definition, info } = call
  const options = encoderOptions(deps, call)
  if (info.name !== '') throw methodNotAllowed()
  const { object, warnings } = await readDefined(exchange, definition)
  for (const warning of warnings) addWarning(exchange, warning)
  if (info.group === '' && info.resource === 'bindings') return serveLegacyBinding(deps, call, object as Binding)
  const action = deps.actions.find((entry) => isActionOf(entry, call))
  if (action !== undefined) {
    const value = await action.run(toStored(definition, object), { ...call, info: inNoView(info) })
    respondValue(exchange, 201, { value, representation: options.representation })
    return
  }
  const placed = placeNew(deps, call, object)
  const created = await createObject(deps, writeRequest(placed), toStored(placed.definition, object))
  respondObject(exchange, 201, { ...options, definition: placed.definition, object: created })
}

/** What is computed and not stored is asked of a view as of the `system` tenant, whose users look at views. */
function inNoView(info: RequestInfo): RequestInfo {
  return isView(info.tenant) ? { ...info, tenant: SYSTEM_TENANT } : info
}

function placeNew(deps: ServeDeps, call: ResourceCall, object: KubeObject): ResourceCall {
  const { info, definition } = call
  if (!isView(info.tenant)) return call
  const place = placeOfNew(deps.cache, { definition, namespace: info.namespace, name: '' }, object)
  return placedCall(deps, call, { ...place, name: '' })
}

/** POST to `bindings` is what `pods/{name}/binding` is, with the name in the body. */
async function serveLegacyBinding(deps: ServeDeps, call: ResourceCall, binding: Binding): Promise<void> {
  const definition = findDefinition(deps, call.info.tenant, { group: '', version: 'v1', resource: 'pods' })!
  const target = createTarget(deps.cache, definition, call.info.tenant)
  const name = binding.metadata?.name ?? ''
  const value = await bindPod(deps, { ...writeRequest(call), target }, { name, binding })
  respondValue(call.exchange, 201, { value })
}

function isActionOf(
  entry: { readonly group: string; readonly resource: string; readonly subresource: string },
  { info }: ResourceCall,
): boolean {
  return entry.group === info.group && entry.resource === info.resource && entry.subresource === info.subresource
}

async function serveDelete(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { exchange, info } = call
  const encoding = encoderOptions(deps, call)
  const options = await readDeleteOptions(exchange)
  const dryRun = (options.dryRun ?? []).includes('All') || readDryRun(exchange.query)
  const deleted = await deleteObject(deps, writeRequest(call, { dryRun }), { name: info.name, options })
  const answer = deleteAnswer(call.definition, deleted)
  const code = !deleted.gone && options.orphanDependents === false ? 202 : 200
  if (answer === 'object') respondObject(exchange, code, { ...encoding, object: deleted.object })
  else respondValue(exchange, code, { value: answer, representation: { ...encoding.representation, as: '' } })
}

async function serveDeleteCollection(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { exchange, definition } = call
  const { query } = exchange
  const encoding = encoderOptions(deps, call)
  const options = await readDeleteOptions(exchange)
  const dryRun = (options.dryRun ?? []).includes('All') || readDryRun(query)
  const deleted = await deleteCollection(deps, writeRequest(call, { dryRun }), {
    selection: readSelection(query, definition, namespaceOf(call)),
    limit: readCount(query, 'limit'),
    options,
  })
  await respondList(exchange, deleted, encoding)
}
