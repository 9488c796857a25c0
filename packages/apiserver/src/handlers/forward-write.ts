import { SYSTEM_TENANT, type KubeObject, type Stored } from '@centaurus/api'
import type { UserInfo } from '../request/request-info.ts'
import type { Exchange } from '../http/exchange.ts'
import { REQUEST_BODY_BYTES_MAX } from '../http/limits.ts'
import { isView } from '../views/view-names.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import { keyOf, type ResourceCall } from './call.ts'
import { podOfEvent } from './event-subject.ts'
import type { ServeDeps } from './serve-deps.ts'

/** What other partitions keep, and how to write it there. */
export interface WriteForwarder {
  /** Partition that keeps the tenant's object; undefined: this one. `copy` is what is here under its name, or what it is about. */
  ownerOf(tenant: string, copy: Stored<KubeObject> | undefined): string | undefined
  /** Has the owner do it. Throws ServiceUnavailable when that can't be reached; then it may or may not have been done. */
  send(owner: string, write: ForwardedWrite): Promise<ForwardedAnswer>
}

export interface ForwardedWrite {
  readonly user: UserInfo
  /** Whose object it is. */
  readonly tenant: string
  readonly method: string
  /** In the view over all tenants and without its prefix; with query. */
  readonly path: string
  readonly contentType: string | undefined
  readonly accept: string | undefined
  readonly body: Uint8Array
  /** What the caller may have read before it writes. */
  readonly copy: Stored<KubeObject> | undefined
  /** Store key of what is written; undefined when only its owner will know, as for what it names. */
  readonly storeKey: string | undefined
}

export interface ForwardedAnswer {
  readonly status: number
  readonly contentType: string
  readonly retryAfter?: string | undefined
  readonly body: Uint8Array
}

const READS: ReadonlySet<string> = new Set(['get', 'list', 'watch'])

/**
 * Has another partition do what was asked of a view, when the object is that one's. `asked` is the call before it found its place. The caller was
 * authorized here; the owner does so again. Returns false when it is this partition's.
 */
export async function forwardWrite(
  { writeForwarders: forwarders, cache }: Pick<ServeDeps, 'writeForwarders' | 'cache'>,
  asked: ResourceCall,
  placed: ResourceCall,
): Promise<boolean> {
  const { exchange, user, info } = placed
  if (forwarders.length === 0 || !isView(asked.info.tenant) || isView(info.tenant) || READS.has(info.verb)) return false
  const copy = placed.target.cache.get(keyOf(placed))?.object()
  const subject = copy ?? (await findSubject(placed, cache))
  for (const forwarder of forwarders) {
    const owner = forwarder.ownerOf(info.tenant, subject)
    if (owner === undefined) continue
    const answer = await forwarder.send(owner, {
      user,
      tenant: info.tenant,
      method: exchange.method,
      path: asked.info.path + (exchange.query.size === 0 ? '' : `?${exchange.query}`),
      contentType: exchange.headers['content-type'],
      accept: exchange.headers['accept'],
      body: await exchange.readBody(REQUEST_BODY_BYTES_MAX),
      copy,
      storeKey: info.name === '' ? undefined : placed.target.prefix + keyOf(placed),
    })
    respond(exchange, answer)
    return true
  }
  return false
}

/**
 * The pod that an event is about. Events of the operators' pods go where these are looked after, as a tenant's do; those of nodes stay. The other tenants'
 * are known by the tenant.
 */
async function findSubject(
  { exchange, info }: ResourceCall,
  cache: WatchCache,
): Promise<Stored<KubeObject> | undefined> {
  if (info.resource !== 'events' || info.tenant !== SYSTEM_TENANT) return undefined
  const body = info.verb === 'create' ? await exchange.readBody(REQUEST_BODY_BYTES_MAX) : new Uint8Array()
  const pod = podOfEvent(info, { body, contentType: exchange.headers['content-type'] })
  return pod === undefined ? undefined : cache.get(SYSTEM_TENANT, 'core/pods', `${info.namespace}/${pod}`)?.object()
}

function respond(exchange: Exchange, { status, contentType, retryAfter, body }: ForwardedAnswer): void {
  exchange.respond(
    status,
    {
      'content-type': contentType,
      'cache-control': 'no-cache, private',
      ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
    },
    body,
  )
}
