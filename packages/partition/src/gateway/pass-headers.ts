import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Caller } from './caller.ts'
import { IDENTITY_HEADER_PREFIX } from './caller.ts'
import type { AnswerHeaders, FrontRequest } from './front-request.ts'

/** What belongs to one connection, and not to the request. Source: RFC 9110, section 7.6.1. */
const HOP_HEADERS = new Set([
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

export type PassedHeaders = Record<string, string | readonly string[]>

/** The headers for the partition: the client's own without what only the gateway may say, and who the client is. */
export function passRequestHeaders({ headers }: FrontRequest, { identity }: Caller): PassedHeaders {
  const passed: PassedHeaders = {}
  const dropped = namedByConnection(headers)
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || isOwn(name) || dropped?.has(name) === true) continue
    passed[name] = value
  }
  if (identity !== undefined) {
    delete passed['authorization']
    Object.assign(passed, identity)
  }
  passed['audit-id'] ??= randomUUID()
  return passed
}

/** The same for a request of the gateway's own that has no body and whose answer must be readable. */
export function bareHeaders(request: FrontRequest, caller: Caller): PassedHeaders {
  const headers = passRequestHeaders(request, caller)
  for (const name of ['accept-encoding', 'content-length', 'content-type']) delete headers[name]
  return headers
}

/** The headers for the client. */
export function passAnswerHeaders(headers: IncomingHttpHeaders): AnswerHeaders {
  const passed: Record<string, string | string[] | undefined> = {}
  for (const name in headers) if (name.charCodeAt(0) !== COLON && !HOP_HEADERS.has(name)) passed[name] = headers[name]
  return passed
}

const COLON = 0x3a

function isOwn(name: string): boolean {
  return name.charCodeAt(0) === COLON || HOP_HEADERS.has(name) || name.startsWith(IDENTITY_HEADER_PREFIX)
}

function namedByConnection({ connection }: IncomingHttpHeaders): Set<string> | undefined {
  if (connection === undefined || connection === 'keep-alive') return undefined
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()))
}
