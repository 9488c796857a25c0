import {
  badRequest,
  internalError,
  methodNotAllowed,
  requestEntityTooLarge,
  RESOURCE_PARTITION_ANNOTATION,
  StatusError,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
} from '@centaurus/api'
import type { Listener, TlsMaterial } from '@centaurus/apiserver'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { AggregateContext } from './aggregate/fan-out.ts'
import { Locations } from './aggregate/locations.ts'
import { broadcastDelete, mergeList } from './aggregate/merge-list.ts'
import { mergeWatch } from './aggregate/merge-watch.ts'
import type { KeepItem } from './aggregate/merged-list.ts'
import { mergesNothing, nameInBody } from './aggregate/request-facts.ts'
import { serveMetrics } from './aggregate/serve-metrics.ts'
import type { Backend } from './backend.ts'
import { createCallerReader, type Caller, type ReadCaller } from './caller.ts'
import type { GatewayTls } from './endpoint.ts'
import { openFront } from './front.ts'
import type { FrontRequest } from './front-request.ts'
import { notThere, serveHealth } from './health.ts'
import { BODY_BYTES_MAX } from './limits.ts'
import { Membership } from './membership.ts'
import { bareHeaders, passRequestHeaders } from './pass-headers.ts'
import { credentialsOf, pass, readAll, relayAnswer, sendFor, sendOnBehalf } from './pass.ts'
import { isTrue, pathOf, queryOf } from './query.ts'
import { LostAnswerError, lostAnswer, refuse, unreachable, UnreachableError } from './refusals.ts'
import { chooseRoute, type Route } from './route.ts'
import { splice } from './splice.ts'
import { parseTarget, type Target } from './target.ts'

export interface GatewayOptions {
  /** Addresses of API servers of any partitions, to begin with; the registry names the rest. */
  readonly endpoints: readonly string[]
  /** Serving certificate, and the cluster's authority for the certificates of clients. */
  readonly serving: TlsMaterial
  /** The gateway's own client certificate (`CN=system:gateway, O=system:gateways`), and the authority of the API servers. */
  readonly tls: GatewayTls
  /** 0: any free port. */
  readonly port: number
  /** Address to listen on; absent: all. */
  readonly host?: string | undefined
  /** Names of JWT claims that tell a token's tenant; default that of service-account tokens. */
  readonly tenantClaims?: readonly string[] | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** One address for all partitions of a cluster. Keeps nothing: several can run, and any may be restarted. */
export interface Gateway {
  readonly port: number
  /** Resolves when the registry of partitions and tenants has been read once; requests are refused with 503 until then. */
  whenKnown(signal?: AbortSignal): Promise<void>
  replaceTls(serving: TlsMaterial): void
  /** Takes no new requests, and lets open ones end for a while. */
  close(): Promise<void>
}

/** Starts listening. Throws when the port can't be had. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { clock, logger } = options
  const membership = new Membership(options)
  const backendOf = (partition: string): Backend | undefined => membership.backend(partition)
  const parts: Parts = {
    membership,
    backendOf,
    tls: options.tls,
    logger,
    locations: new Locations({ backendOf, logger }),
    readCaller: createCallerReader(clock, options.tenantClaims),
    watches: new Set(),
  }
  let front: Listener
  try {
    const handle = (request: FrontRequest): void => void serve(parts, request)
    front = await openFront({ tls: options.serving, host: options.host, port: options.port }, { clock, logger, handle })
  } catch (error) {
    await membership.close()
    throw error
  }
  return {
    port: front.port,
    whenKnown: (signal) => membership.whenKnown(signal),
    replaceTls: (serving) => front.replaceTls(serving),
    async close() {
      const closed = front.close()
      for (const watch of parts.watches) watch.abort() // it resumes elsewhere
      await closed
      await membership.close()
    },
  }
}

interface Parts {
  readonly membership: Membership
  readonly backendOf: (partition: string) => Backend | undefined
  readonly tls: GatewayTls
  readonly logger: Logger
  readonly locations: Locations
  readonly readCaller: ReadCaller
  /** Open requests that would not end by themselves. */
  readonly watches: Set<FrontRequest>
}

interface Asked {
  readonly request: FrontRequest
  readonly caller: Caller
  readonly target: Target
}

/** Others have no meaning in the API. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

async function serve(parts: Parts, request: FrontRequest): Promise<void> {
  let caller: Caller | undefined
  let route: Route | undefined
  try {
    if (!METHODS.has(request.method)) throw methodNotAllowed()
    caller = parts.readCaller({ certificate: request.peer.certificate, authorization: request.headers.authorization })
    const target = parseTarget(pathOf(request.target))
    const { map } = parts.membership
    if (request.target.includes('watch=') || target.isLegacyWatch) noteWatch(parts, request)
    route = chooseRoute(map, { method: request.method, target, callerTenant: caller.tenant })
    await follow(parts, route, { request, caller, target })
  } catch (error) {
    fail(parts, request, { error, caller, route })
  }
}

function noteWatch({ watches }: Parts, request: FrontRequest): void {
  watches.add(request)
  request.onClose(() => watches.delete(request))
}

function follow(parts: Parts, route: Route, asked: Asked): void | Promise<void> {
  switch (route.type) {
    case 'pass':
      return passTo(parts, route.partition, asked)
    case 'locate':
      return locate(parts, route, asked)
    case 'place':
      return place(parts, route, asked)
    case 'merge':
      return merge(parts, route, asked)
    case 'broadcast':
      return broadcast(parts, route.partitions, asked)
    case 'metrics':
      return serveMetrics(contextOf(parts, asked), {
        partitions: route.partitions,
        readsHome: parts.membership.readsHome,
      })
    case 'health':
      return serveHealth(asked.request, parts.membership)
    case 'absent':
      return notThere(asked.request)
    case 'method-not-allowed':
      throw methodNotAllowed()
    case 'unknown':
      throw unreachable([])
  }
}

function requireBackend({ backendOf }: Parts, partition: string): Backend {
  const backend = backendOf(partition)
  if (backend === undefined) throw new UnreachableError(`Partition ${partition} is not known`)
  return backend
}

function contextOf({ backendOf }: Parts, { request, caller }: Asked): AggregateContext {
  return { request, caller, backendOf }
}

function passTo(parts: Parts, partition: string, { request, caller }: Asked): Promise<void> {
  const backend = requireBackend(parts, partition)
  if (request.upgrade !== undefined) return splice(request, caller, { backend, tls: parts.tls })
  return pass(request, caller, backend)
}

/** What changes nothing may go where the object was seen last; when it is not there, all are asked. */
async function locate(parts: Parts, route: Extract<Route, { type: 'locate' }>, asked: Asked): Promise<void> {
  const { request, caller, target } = asked
  const { partitions, fallback } = route
  // what tenants have is looked for by who may see it
  const as = route.asCaller ? { headers: bareHeaders(request, caller), credentials: credentialsOf(caller) } : undefined
  const isRead = (request.method === 'GET' || request.method === 'HEAD') && request.upgrade === undefined
  if (!isRead) {
    const found = await parts.locations.find(target, { partitions, trust: 'checked', as })
    return passTo(parts, found ?? fallback, asked)
  }
  const found = await parts.locations.find(target, { partitions, trust: 'remembered', as })
  const incoming = await sendOnBehalf(request, caller, requireBackend(parts, found ?? fallback))
  if (incoming.status !== 404 || found === undefined) return relayAnswer(request, incoming)
  parts.locations.forget(target)
  const moved = await parts.locations.find(target, { partitions, trust: 'checked', as })
  if (moved === undefined || moved === found) return relayAnswer(request, incoming)
  incoming.stream.close()
  return passTo(parts, moved, asked)
}

/** No two partitions may have an object of the same name. */
async function place(parts: Parts, route: Extract<Route, { type: 'place' }>, asked: Asked): Promise<void> {
  const { request, caller, target } = asked
  const body = await readBody(request)
  const name = nameInBody(body, request.headers['content-type'])
  const { partitions } = route
  const found =
    name === undefined ? undefined : await parts.locations.find({ ...target, name }, { partitions, trust: 'checked' })
  const incoming = await sendFor(request, requireBackend(parts, found ?? route.fallback), {
    method: request.method,
    path: request.target,
    headers: passRequestHeaders(request, caller),
    credentials: credentialsOf(caller),
    body,
  })
  relayAnswer(request, incoming)
}

async function readBody(request: FrontRequest): Promise<Buffer> {
  if (request.body === undefined) return Buffer.alloc(0)
  const body = await readAll(request.body, BODY_BYTES_MAX)
  if (body === undefined) throw requestEntityTooLarge(`limit is ${BODY_BYTES_MAX}`)
  return body
}

function merge(parts: Parts, route: Extract<Route, { type: 'merge' }>, asked: Asked): Promise<void> {
  const { request, target } = asked
  const { partitions } = route
  const query = queryOf(request.target)
  const [only] = partitions
  if (only === undefined) throw unreachable([])
  if (request.method === 'HEAD' || (partitions.length === 1 && mergesNothing(query))) return passTo(parts, only, asked)
  // rows must say whose they are
  if (route.shows !== 'everything' && query.get('includeObject') === 'None') query.set('includeObject', 'Metadata')
  const keep = keeperOf(parts.membership, route)
  const context = contextOf(parts, asked)
  if (!target.isLegacyWatch && !isTrue(query.get('watch'))) return mergeList(context, { partitions, query, keep })
  const onPartitionsChange = (listener: () => void): (() => void) =>
    parts.membership.onPartitionsChange(() => {
      const now = chooseRoute(parts.membership.map, { method: 'GET', target, callerTenant: SYSTEM_TENANT })
      if (now.type !== 'merge' || now.partitions.join() !== partitions.join()) listener()
    })
  // what of a tenant was sent by which of its partitions is not known in the moment when it moves
  const onContentChange =
    keep === undefined ? undefined : (listener: () => void) => parts.membership.onTenantMove(listener)
  return mergeWatch(context, { partitions, query, keep, onPartitionsChange, onContentChange })
}

function keeperOf(
  membership: Membership,
  { shows, partitions: [first] }: Extract<Route, { type: 'merge' }>,
): KeepItem | undefined {
  if (shows === 'everything') return undefined
  if (shows === 'copies')
    return (partition, object) => partition === first || object.annotation(RESOURCE_PARTITION_ANNOTATION) === first
  return (partition, object) => {
    const { map } = membership
    const tenant = object.annotation(TENANT_ANNOTATION)
    if (tenant === undefined) return shows === 'originals' || partition === map.home
    return (map.partitionOf(tenant) ?? partition) === partition
  }
}

async function broadcast(parts: Parts, partitions: readonly string[], asked: Asked): Promise<void> {
  const { request } = asked
  const query = queryOf(request.target)
  if ((query.get('continue') ?? '') !== '') throw badRequest('continue is not for deleting')
  const body = await readBody(request)
  try {
    await broadcastDelete(contextOf(parts, asked), { partitions, query, body })
  } catch (error) {
    // some of them may have done it: nobody must repeat it unseen
    if (error instanceof StatusError && error.reason !== 'ServiceUnavailable') throw error
    throw new LostAnswerError('A partition did not answer a deletion', { cause: error })
  }
}

interface Failure {
  readonly error: unknown
  readonly caller: Caller | undefined
  readonly route: Route | undefined
}

/** The only place where an error becomes an answer. */
function fail({ logger }: Parts, request: FrontRequest, { error, caller, route }: Failure): void {
  if (request.settled) return request.abort()
  if (error instanceof StatusError) return refuse(request, error)
  if (error instanceof LostAnswerError) return refuse(request, lostAnswer(error))
  if (error instanceof UnreachableError) {
    const isOperator = caller?.identity !== undefined && caller.tenant === SYSTEM_TENANT
    return refuse(request, unreachable(isOperator && route?.type === 'pass' ? [route.partition] : [], error))
  }
  logger.warn('Could not serve a request', { method: request.method, error })
  refuse(request, internalError(new Error('the gateway could not serve the request')))
}
