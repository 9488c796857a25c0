import { constants, type IncomingHttpHeaders } from 'node:http2'
import { StatusError } from '@centaurus/api'
import type { Exchange, UserInfo } from '@centaurus/apiserver'
import type { Backend, Incoming } from '../gateway/backend.ts'
import type { GatewayTls } from '../gateway/endpoint.ts'
import { LostAnswerError, lostAnswer, UnreachableError } from '../gateway/refusals.ts'
import { joinUpgraded, repeatUpgrade } from '../gateway/upgrade.ts'

/** A request that another partition has handed on: it is not handed on again, since both registries may be behind. */
export const FORWARDED_HEADER = 'x-centaurus-forwarded'
/** Largest body that is handed on. Source: the API server's own limit. */
const BODY_BYTES_MAX = 3 * 1024 * 1024
const RETRY_AFTER_SECONDS = 1
const DROPPED_HEADERS =
  /^(?::.*|connection|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|http2-settings|content-length|expect|x-remote-.*)$/
/** Requests that say nothing in a body, and change nothing. */
export const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Of a watch's query: what says where it begins. */
const BEGINNINGS = ['resourceVersionMatch', 'sendInitialEvents']

/** Whose request goes where. */
export interface Destination {
  readonly backend: Backend
  /** Of this partition, which is believed about `user`. */
  readonly tls: GatewayTls
  readonly user: UserInfo
}

/** Sends the request on and the answer back, as they are. Throws `StatusError` when there is no answer. */
export async function handOn(exchange: Exchange, destination: Destination): Promise<void> {
  try {
    if (exchange.upgrade !== undefined) return await handUpgradeOn(exchange, destination)
    const body = READS.has(exchange.method) ? undefined : await exchange.readBody(BODY_BYTES_MAX)
    const incoming = await send(exchange, destination, { query: exchange.query, body })
    exchange.startStream(incoming.status, answerHeaders(incoming.headers))
    await flow(incoming, exchange)
  } catch (error) {
    if (error instanceof UnreachableError) throw moving(error)
    if (error instanceof LostAnswerError) throw lostAnswer(error)
    if (error instanceof StatusError) throw error
    exchange.destroy() // the answer broke off: nobody may take it for the whole
  }
}

/**
 * Goes on with the answer to a watch, which has begun, by what happens there after `resourceVersion`. False when the partition does not; nothing was
 * written then.
 */
export async function handWatchOn(
  exchange: Exchange,
  destination: Destination,
  resourceVersion: string,
): Promise<boolean> {
  const query = new URLSearchParams(exchange.query)
  for (const name of BEGINNINGS) query.delete(name)
  query.set('resourceVersion', resourceVersion)
  let incoming: Incoming
  try {
    incoming = await send(exchange, destination, { query, drops: /^impersonate-/ })
  } catch {
    return false // it was reached too late or not at all: the client looks for itself
  }
  if (incoming.status !== 200) {
    incoming.stream.close(constants.NGHTTP2_CANCEL)
    return false
  }
  void flow(incoming, exchange).catch(() => exchange.destroy())
  return true
}

interface Sending {
  readonly query: URLSearchParams
  readonly body?: Uint8Array | undefined
  /** Headers that are left out when the user is told instead of who asked. */
  readonly drops?: RegExp | undefined
}

function send(exchange: Exchange, { backend, user }: Destination, { query, body, drops }: Sending): Promise<Incoming> {
  const { headers, credentials } = credentialsOf(exchange, user, drops)
  return backend.send({
    method: exchange.method,
    path: pathOf(exchange, query),
    headers,
    credentials,
    body,
    onStream: (opened) => exchange.onClose(() => opened.close(constants.NGHTTP2_CANCEL)),
  })
}

/** Bearer tokens are handed on; of a certificate, which was checked here, it says whose it was. */
function credentialsOf(
  exchange: Exchange,
  user: UserInfo,
  drops?: RegExp,
): { readonly headers: Record<string, string | readonly string[]>; readonly credentials: 'none' | 'gateway' } {
  const hasToken = exchange.clientCertificate === undefined && exchange.headers['authorization'] !== undefined
  const passed = { ...passedHeaders(exchange, hasToken ? undefined : drops), [FORWARDED_HEADER]: '1' }
  if (hasToken) return { headers: passed, credentials: 'none' }
  return { headers: { ...passed, ...identityOf(user) }, credentials: 'gateway' }
}

async function handUpgradeOn(exchange: Exchange, { backend, tls, user }: Destination): Promise<void> {
  const { headers, credentials } = credentialsOf(exchange, user)
  const { connection = 'Upgrade', upgrade = '' } = exchange.headers
  const answer = await repeatUpgrade(backend, {
    method: exchange.method,
    path: pathOf(exchange, exchange.query),
    headers: { ...headers, connection, upgrade },
    tls: credentials === 'none' ? { ca: tls.ca } : tls,
    onClose: (listener) => exchange.onClose(listener),
  })
  if (answer.type === 'refused') {
    const { response, body } = answer
    return exchange.respond(response.statusCode ?? 502, answerHeaders(response.headers), body)
  }
  if (exchange.closed) return void answer.socket.destroy()
  joinUpgraded(exchange.upgrade!(), answer)
}

function pathOf({ path }: Exchange, query: URLSearchParams): string {
  return query.size === 0 ? path : `${path}?${query}`
}

async function flow({ stream }: Incoming, exchange: Exchange): Promise<void> {
  let isWhole = false
  stream.once('end', () => (isWhole = stream.rstCode === constants.NGHTTP2_NO_ERROR))
  for await (const chunk of stream) {
    if (exchange.closed) break
    exchange.write(chunk as Buffer)
    await exchange.drained()
  }
  if (isWhole) exchange.end()
  else exchange.destroy()
}

function passedHeaders({ headers }: Exchange, drops: RegExp | undefined): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined && !DROPPED_HEADERS.test(name) && drops?.test(name) !== true) passed[name] = value
  }
  return passed
}

/** Instead of the certificate. Lists are sent as repeated headers. */
function identityOf({ name, uid, groups, extra, tenant }: UserInfo): Record<string, string | readonly string[]> {
  const headers: Record<string, string | readonly string[]> = { 'x-remote-user': name, 'x-remote-tenant': tenant }
  if (uid !== '') headers['x-remote-uid'] = uid
  if (groups.length > 0) headers['x-remote-group'] = groups
  for (const [key, values] of Object.entries(extra)) {
    headers[`x-remote-extra-${encodeURIComponent(key).toLowerCase()}`] = values
  }
  return headers
}

function answerHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || DROPPED_HEADERS.test(name) || name === 'audit-id') continue
    passed[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return passed
}

/** The words are those of a cluster that is its tenant's alone. */
export function moving(cause?: unknown): StatusError {
  return new StatusError({
    reason: 'ServiceUnavailable',
    message: 'the server is moving; please try again',
    details: { retryAfterSeconds: RETRY_AFTER_SECONDS },
    cause,
  })
}
