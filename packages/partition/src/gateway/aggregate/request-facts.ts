import { decodeProtobuf, isProtobuf } from '@centaurus/api'
import { parseVersion } from './composite-version.ts'
import { decodePage } from './page-token.ts'

/** Whether nothing in the query came from a merged answer: then a single partition can answer as it is. */
export function mergesNothing(query: URLSearchParams): boolean {
  const token = query.get('continue') ?? ''
  const version = query.get('resourceVersion') ?? ''
  return parseVersion(version) === undefined && (token === '' || decodePage(token) === undefined)
}

/** `metadata.name` of an object that is to be created; undefined when it has none or can't be read: the partition will say so. */
export function nameInBody(body: Uint8Array, contentType: string | undefined): string | undefined {
  try {
    const isBinary = isProtobuf(body)
    if (!isBinary && contentType !== undefined && !contentType.startsWith('application/json')) return undefined
    const object = (isBinary ? decodeProtobuf(body) : JSON.parse(Buffer.from(body).toString('utf8'))) as {
      readonly metadata?: { readonly name?: unknown }
    }
    const name = object.metadata?.name
    return typeof name === 'string' && name !== '' ? name : undefined
  } catch {
    return undefined
  }
}
