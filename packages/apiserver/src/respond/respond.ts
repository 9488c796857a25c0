import { gzip, constants } from 'node:zlib'
import { promisify } from 'node:util'
import { internalError, StatusError } from '@centaurus/api'
import type { Logger } from '@centaurus/base'
import type { Exchange, ResponseHeaders } from '../http/exchange.ts'
import type { ListResult } from '../handlers/list.ts'
import { formatApiVersion } from '../resource/built-in.ts'
import { storeStatus } from '../storage/store-status.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import { CONTENT_TYPES, PLAIN_JSON, type Representation } from './accept.ts'
import { encodeObject, encodeValue, isVerbatim, toServed, type EncoderOptions } from './encoder.ts'
import { createTable, partialMetadata } from './table.ts'
import { createTurns } from './turns.ts'

/** Answers beyond this are compressed when the client asks for it. Source: apiserver's defaultGzipThresholdBytes. */
const GZIP_BYTES_MIN = 128 * 1024
/** Up to here a list is compressed as a whole, beyond it is sent as it is. */
const GZIP_WHOLE_BYTES_MAX = 1024 * 1024
/** Longer lists are sent in chunks of this size, each made when the one before is on its way. */
const LIST_CHUNK_BYTES = 64 * 1024

const gzipAsync = promisify(gzip)

/** Of all long lists of the process: their chunks are made and encrypted one in a turn, so that others have theirs in between. */
const takeTurn = createTurns({ nextTurn: setImmediate, nowMs: () => performance.now() })

/** The only place where an exception becomes HTTP. Unknown errors are logged here, once, and told to nobody in detail. */
export function respondError(exchange: Exchange, error: unknown, logger: Logger): void {
  const status = toStatusError(error, exchange, logger)
  const headers: Record<string, string | number> = { 'content-type': 'application/json', ...NO_CACHE }
  const retryAfter = status.details?.retryAfterSeconds
  if (retryAfter !== undefined && retryAfter > 0) headers['retry-after'] = retryAfter
  exchange.respond(status.code, headers, JSON.stringify(status.toStatus()))
}

function toStatusError(error: unknown, exchange: Exchange, logger: Logger): StatusError {
  if (error instanceof StatusError) return error
  const status = storeStatus(error)
  if (status !== undefined) {
    if (!exchange.closed)
      logger.warn('Could not use the store', { method: exchange.method, path: exchange.path, error })
    return status
  }
  if (!exchange.closed)
    logger.error('Could not handle a request', { method: exchange.method, path: exchange.path, error })
  return internalError(new Error('the server met an unexpected condition; see its log'))
}

const NO_CACHE: ResponseHeaders = { 'cache-control': 'no-cache, private' }

/** Answers with any API value. */
export function respondValue(
  exchange: Exchange,
  code: number,
  { value, representation = PLAIN_JSON }: { readonly value: object; readonly representation?: Representation },
): void {
  const body = encodeValue(value, representation)
  exchange.respond(code, headersFor(representation, body.byteLength), body)
}

/** Answers with one object. */
export function respondObject(
  exchange: Exchange,
  code: number,
  options: EncoderOptions & { readonly object: CachedObject },
): void {
  const body = encodeObject(options.object, options)
  exchange.respond(code, headersFor(options.representation, body.byteLength), body)
}

function headersFor({ media }: Representation, bytes: number): ResponseHeaders {
  return { 'content-type': CONTENT_TYPES[media], 'content-length': bytes, ...NO_CACHE }
}

/** Answers with a list; a long one in chunks, so that it never stands in memory as a whole. */
export async function respondList(exchange: Exchange, list: ListResult, options: EncoderOptions): Promise<void> {
  if (!isVerbatim(options)) {
    const body = encodeValue(shapeList(list, options), options.representation)
    return sendBody(exchange, body, options.representation)
  }
  const bytes = list.objects.reduce((sum, object) => sum + object.servedBytes + 1, 0)
  if (bytes <= GZIP_BYTES_MIN || (bytes <= GZIP_WHOLE_BYTES_MAX && acceptsGzip(exchange))) {
    const [body] = Array.from(encodeListChunks(list, options, { chunkBytes: bytes + LIST_HEAD_BYTES_MAX }))
    return sendBody(exchange, body!, options.representation)
  }
  exchange.startStream(200, { 'content-type': CONTENT_TYPES.json, ...NO_CACHE })
  let untilMs = 0
  for (const chunk of encodeListChunks(list, options, { chunkBytes: LIST_CHUNK_BYTES })) {
    exchange.write(chunk)
    await exchange.drained()
    if (performance.now() >= untilMs) untilMs = await takeTurn()
    if (exchange.closed) return
  }
  exchange.end()
}

async function sendBody(exchange: Exchange, body: Uint8Array, { media }: Representation): Promise<void> {
  const headers: Record<string, string | number> = { 'content-type': CONTENT_TYPES[media], ...NO_CACHE }
  if (body.byteLength <= GZIP_BYTES_MIN || !acceptsGzip(exchange)) {
    exchange.respond(200, { ...headers, 'content-length': body.byteLength }, body)
    return
  }
  const compressed = await gzipAsync(body, { level: constants.Z_BEST_SPEED })
  const encoding = { 'content-encoding': 'gzip', vary: 'Accept-Encoding', 'content-length': compressed.byteLength }
  exchange.respond(200, { ...headers, ...encoding }, compressed)
}

function acceptsGzip(exchange: Exchange): boolean {
  return exchange.headers['accept-encoding']?.includes('gzip') === true
}

const LIST_HEAD_BYTES_MAX = 16 * 1024
const LIST_TAIL = ']}\n'

function* encodeListChunks(
  list: ListResult,
  { definition }: EncoderOptions,
  { chunkBytes }: { readonly chunkBytes: number },
): Generator<Uint8Array, void> {
  const { info } = definition
  const head = `{"kind":"${info.listKind}","apiVersion":"${formatApiVersion(info)}","metadata":${JSON.stringify(listMetadata(list))},"items":[`
  let chunk = Buffer.allocUnsafe(Math.max(chunkBytes, head.length * 4))
  let used = chunk.write(head)
  let isFirst = true
  for (const object of list.objects) {
    const need = object.servedBytes + LIST_TAIL.length + 1
    if (used + need > chunk.length) {
      yield chunk.subarray(0, used)
      chunk = Buffer.allocUnsafe(Math.max(chunkBytes, need))
      used = 0
    }
    if (!isFirst) used += chunk.write(',', used, 'latin1')
    isFirst = false
    used = object.writeTo(chunk, used)
  }
  if (used + LIST_TAIL.length > chunk.length) {
    yield chunk.subarray(0, used)
    chunk = Buffer.allocUnsafe(LIST_TAIL.length)
    used = 0
  }
  used += chunk.write(LIST_TAIL, used, 'latin1')
  yield chunk.subarray(0, used)
}

function listMetadata({ revision, continueToken, remaining }: ListResult): {
  resourceVersion: string
  continue?: string
  remainingItemCount?: number
} {
  return {
    resourceVersion: String(revision),
    ...(continueToken === '' ? {} : { continue: continueToken }),
    ...(remaining === undefined ? {} : { remainingItemCount: remaining }),
  }
}

/** A list as a value, in the form that was asked for. */
export function shapeList(list: ListResult, options: EncoderOptions): object {
  const { definition, representation } = options
  const served = list.objects.map((object) => toServed(definition, object.object()))
  const metadata = listMetadata(list)
  switch (representation.as) {
    case 'Table': {
      const objects = served.map((object, i) => ({ stored: list.objects[i]!.object(), served: object }))
      return createTable(definition, objects, {
        includeObject: options.includeObject,
        version: representation.asVersion,
        nowMs: options.nowMs,
        withColumns: true,
        metadata,
      })
    }
    case 'PartialObjectMetadata':
    case 'PartialObjectMetadataList': {
      const items = served.map((object) => partialMetadata(object, representation.asVersion))
      return {
        kind: 'PartialObjectMetadataList',
        apiVersion: `meta.k8s.io/${representation.asVersion}`,
        metadata,
        items,
      }
    }
    default:
      return { kind: definition.info.listKind, apiVersion: formatApiVersion(definition.info), metadata, items: served }
  }
}
