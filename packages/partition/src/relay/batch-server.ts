import {
  forbidden,
  notFound,
  RESOURCE_PARTITION_ANNOTATION,
  StatusError,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
} from '@centaurus/api'
import { namespaces, persistentvolumes, pods } from '@centaurus/api/core/v1'
import {
  decodeBody,
  memberOf,
  MemoryExchange,
  NODES_VIEW,
  parseRequestInfo,
  podOfEvent,
  type ApiServerCore,
  type CreateExtension,
  type Exchange,
  type MemoryAnswer,
  type RequestContext,
  type RequestInfo,
  type SentBody,
  type UserInfo,
} from '@centaurus/apiserver'
import type { Membership } from '../membership/membership.ts'
import { requireMember } from '../membership/require-member.ts'
import { BATCH_BYTES_MAX, BATCH_PATH, parseBatchRequest, type BatchItem, type BatchItemAnswer } from './batch-wire.ts'

/** base64, and the rest of an item. */
const BODY_BYTES_MAX = BATCH_BYTES_MAX * 2 + 4 * 1024 * 1024
const RETRY_AFTER_SECONDS = 1

export interface BatchServerDeps {
  readonly membership: Pick<Membership, 'get' | 'hosts'>
}

/**
 * Does for other partitions' nodes what they write to this partition's objects ({@link BATCH_PATH}): each item as the node that wrote it, through the whole
 * server, so that the node authorizer, node restriction, admission and validation see it. The node must be one of the caller's: the pod that an
 * item is about must be bound to the caller.
 */
export function createBatchServer(deps: BatchServerDeps): CreateExtension {
  return (core) => {
    const users = new WeakMap<object, UserInfo>()
    return {
      authenticator: { authenticate: (exchange) => users.get(exchange) },
      routes: [
        {
          path: BATCH_PATH,
          methods: ['POST'],
          handle: (exchange, context) => serveBatch({ ...deps, core, users }, exchange, context),
        },
      ],
    }
  }
}

interface Tools extends BatchServerDeps {
  readonly core: ApiServerCore
  readonly users: WeakMap<object, UserInfo>
}

async function serveBatch(tools: Tools, exchange: Exchange, context: RequestContext): Promise<void> {
  const caller = requireMember(context)
  if (tools.membership.get(caller) === undefined) {
    throw forbidden({ group: 'centaurus.io', resource: 'partitions' }, caller, 'it is not a partition of this cluster')
  }
  const { items } = parseBatchRequest(await exchange.readBody(BODY_BYTES_MAX))
  const answers = await Promise.all(items.map((item) => serveItem(tools, item, { caller, user: context.user })))
  exchange.respond(200, { 'content-type': 'application/json' }, JSON.stringify({ items: answers }))
}

interface Caller {
  readonly caller: string
  readonly user: UserInfo
}

async function serveItem(tools: Tools, item: BatchItem, caller: Caller): Promise<BatchItemAnswer> {
  const { core, users } = tools
  try {
    const body = Buffer.from(item.body, 'base64')
    const isOwn = item.node === undefined
    const prefix = isOwn ? '/tenants/all' : ''
    const exchange = new MemoryExchange({
      method: item.method,
      path: prefix + item.path,
      headers: {
        ...(item.contentType === undefined ? {} : { 'content-type': item.contentType }),
        ...(item.accept === undefined ? {} : { accept: item.accept }),
      },
      body,
    })
    checkItem(tools, item, { ...caller, info: parseRequestInfo({ ...lineOf(item), query: exchange.query }), body })
    users.set(exchange, isOwn ? caller.user : nodeUser(item.node))
    core.handle(exchange)
    return toItemAnswer(await exchange.answer)
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    const value = Buffer.from(JSON.stringify(error.toStatus())).toString('base64')
    const retryAfter = error.details?.retryAfterSeconds
    return {
      status: error.code,
      contentType: 'application/json',
      body: value,
      ...(retryAfter === undefined ? {} : { retryAfter: String(retryAfter) }),
    }
  }
}

function lineOf({ method, path }: BatchItem): { method: string; path: string } {
  return { method, path: path.split('?', 1)[0]! }
}

function nodeUser(node: string): UserInfo {
  return {
    name: `system:node:${node}`,
    uid: '',
    groups: ['system:nodes', 'system:authenticated'],
    extra: {},
    tenant: SYSTEM_TENANT,
  }
}

function toItemAnswer({ code, headers, body }: MemoryAnswer): BatchItemAnswer {
  const retryAfter = headers['retry-after']
  return {
    status: code,
    contentType: String(headers['content-type'] ?? 'application/json'),
    body: Buffer.from(body).toString('base64'),
    ...(retryAfter === undefined ? {} : { retryAfter: String(retryAfter) }),
  }
}

interface AskedItem extends Caller {
  /** In the view of nodes: names are qualified. */
  readonly info: RequestInfo
  readonly body: Uint8Array
}

/** Throws unless the item is about this partition's tenants and, where it is about a pod, about one on a node of the caller. */
function checkItem({ core, membership }: Tools, item: BatchItem, { info, caller, body }: AskedItem): void {
  if (!info.isResourceRequest) throw forbidden({ group: '', resource: '' }, '', 'only objects can be written so')
  const { reader } = core
  const view = { tenant: NODES_VIEW }
  const { resource, namespace, name } = info
  const owner =
    namespace === ''
      ? resource === 'persistentvolumes'
        ? reader.get(persistentvolumes, { name }, view)
        : undefined
      : reader.get(namespaces, { name: namespace }, view)
  const { [TENANT_ANNOTATION]: tenant = SYSTEM_TENANT, [RESOURCE_PARTITION_ANNOTATION]: place } =
    owner?.metadata.annotations ?? {}
  if (resource === 'persistentvolumes' && place !== undefined && place !== caller) {
    throw forbidden({ group: '', resource }, name, 'it is a folder of another partition’s node')
  }
  if (!membership.hosts(tenant)) throw elsewhere()
  const pod = podOf(info, { body, contentType: item.contentType })
  if (pod === undefined) {
    if (item.node !== undefined) return
    throw forbidden({ group: info.group, resource }, name, 'partitions change pods on their nodes, and nothing else')
  }
  const found = reader.get(pods, { namespace, name: pod }, view)
  // the last news of a pod may come when it is gone
  if (found === undefined && resource === 'events') return
  const isCallers = found?.metadata.annotations?.[RESOURCE_PARTITION_ANNOTATION] === caller
  if (!isCallers) throw notFound({ group: '', resource: 'pods' }, pod)
}

/** Name of the pod that the item is about, in the item's namespace; undefined when it is not about one. */
function podOf(info: RequestInfo, body: SentBody): string | undefined {
  const { group, resource, subresource, name, verb } = info
  if (group === '' && resource === 'pods') return name
  if (group === '' && resource === 'serviceaccounts' && subresource === 'token') {
    const spec = memberOf(
      decodeBody(body, { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' }),
      'spec',
    )
    return textOf(memberOf(memberOf(spec, 'boundObjectRef'), 'name')) ?? ''
  }
  return resource === 'events' && verb === 'create' ? podOfEvent(info, body) : undefined
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** The caller's registry is behind, or a move is under way. */
function elsewhere(): StatusError {
  return new StatusError({
    reason: 'ServiceUnavailable',
    message: 'the tenant is served elsewhere; please try again',
    details: { retryAfterSeconds: RETRY_AFTER_SECONDS },
  })
}
