import { badRequest, isRecord } from '@centaurus/api'

/** Where a tenant partition takes what nodes of a resource partition write. */
export const BATCH_PATH = '/partition/v1/batch'
/** Writes of one batch. */
export const BATCH_ITEMS_MAX = 256
/** Bytes of one batch's bodies, unless one item has more. */
export const BATCH_BYTES_MAX = 2 * 1024 * 1024

/** One request of a node agent, as it came: in the view over all tenants, without its prefix. */
export interface BatchItem {
  /** Absent: the resource partition itself asks, about a pod on one of its nodes. */
  readonly node?: string | undefined
  readonly method: string
  readonly path: string
  readonly contentType?: string | undefined
  readonly accept?: string | undefined
  /** base64. */
  readonly body: string
}

export interface BatchRequest {
  readonly items: readonly BatchItem[]
}

export interface BatchItemAnswer {
  readonly status: number
  readonly contentType: string
  readonly retryAfter?: string | undefined
  /** base64. */
  readonly body: string
}

/** In the order of the request's items. */
export interface BatchAnswer {
  readonly items: readonly BatchItemAnswer[]
}

/** Reads the body of a batch. Throws BadRequest. */
export function parseBatchRequest(body: Uint8Array): BatchRequest {
  const value = parse(body)
  const items = isRecord(value) ? value['items'] : undefined
  if (!Array.isArray(items) || items.length > BATCH_ITEMS_MAX) {
    throw badRequest(`items: must be a list of at most ${BATCH_ITEMS_MAX}`)
  }
  return { items: items.map(parseItem) }
}

/** Reads the answer of `count` items; undefined when it is none. */
export function parseBatchAnswer(value: unknown, count: number): BatchAnswer | undefined {
  const items = isRecord(value) ? value['items'] : undefined
  if (!Array.isArray(items) || items.length !== count) return undefined
  const isAnswer = (item: unknown): item is BatchItemAnswer =>
    isRecord(item) && typeof item['status'] === 'number' && typeof item['body'] === 'string'
  return items.every(isAnswer) ? { items } : undefined
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    throw badRequest('the body is not JSON')
  }
}

function parseItem(value: unknown): BatchItem {
  if (!isRecord(value)) throw badRequest('items: each must be an object')
  const { node, method, path, contentType, accept, body } = value
  const isText = (text: unknown): boolean => typeof text === 'string'
  const isWhole = isText(method) && isText(path) && isText(body) && [node, contentType, accept].every(isTextOrAbsent)
  if (!isWhole)
    throw badRequest('items: method, path and body must be text; node, contentType and accept text or absent')
  return value as unknown as BatchItem
}

function isTextOrAbsent(value: unknown): boolean {
  return value === undefined || typeof value === 'string'
}
