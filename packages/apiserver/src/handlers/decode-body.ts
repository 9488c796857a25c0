import {
  badRequest,
  decodeObject,
  schemaOfKind,
  unsupportedMediaType,
  type GroupVersionKind,
  type KubeObject,
  type StructSchema,
} from '@centaurus/api'
import type { DeleteOptions } from '@centaurus/api/meta/v1'
import type { Exchange } from '../http/exchange.ts'
import { REQUEST_BODY_BYTES_MAX } from '../http/limits.ts'
import { CONTENT_TYPES, type MediaType } from '../respond/accept.ts'
import type { ResourceDefinition } from '../resource/registry.ts'

export interface DecodeBodyOptions {
  readonly expected: GroupVersionKind
  readonly schema: StructSchema
  readonly fieldValidation: 'Strict' | 'Warn' | 'Ignore'
}

export interface DecodedBody {
  /** The caller's own. */
  readonly object: KubeObject
  readonly warnings: readonly string[]
}

/** Reads and decodes the body. Throws BadRequest, UnsupportedMediaType, RequestEntityTooLarge. */
export async function readObject(exchange: Exchange, options: DecodeBodyOptions): Promise<DecodedBody> {
  const media = readContentType(exchange.headers['content-type'])
  return decodeBytes(await exchange.readBody(REQUEST_BODY_BYTES_MAX), media, options)
}

/** The body's media type; JSON when none is given. */
export function readContentType(header: string | undefined): MediaType {
  const type = (header ?? '').split(';', 1)[0]!.trim().toLowerCase()
  if (type === '' || type === 'application/json' || type === '*/*') return 'json'
  if (type === 'application/yaml') return 'yaml'
  if (type === 'application/vnd.kubernetes.protobuf') return 'protobuf'
  throw unsupportedMediaType(Object.values(CONTENT_TYPES))
}

export function decodeBytes(bytes: Uint8Array, media: MediaType, options: DecodeBodyOptions): DecodedBody {
  const { expected, schema, fieldValidation } = options
  if (media === 'protobuf') throw unsupportedMediaType([CONTENT_TYPES.json, CONTENT_TYPES.yaml])
  return decodeObject(bytes, schema, { expected, fieldValidation, format: media })
}

/** What a definition's own objects are decoded as. */
export function expectedKind({ info }: ResourceDefinition): GroupVersionKind {
  return { group: info.group, version: info.version, kind: info.kind }
}

/** The schema of a kind that is no resource, such as Scale or DeleteOptions. */
export function requireSchema({ group, version, kind }: GroupVersionKind): StructSchema {
  const schema = schemaOfKind(group, version, kind)
  if (schema === undefined)
    throw badRequest(`no kind ${JSON.stringify(kind)} is registered for version "${group}/${version}"`)
  return schema
}

/** Fills in defaults and turns the served form into the stored one. `object` may be changed. */
export function toStored(definition: ResourceDefinition, object: KubeObject): KubeObject {
  definition.behavior.setDefaults?.(object)
  return definition.toStorage === undefined ? object : definition.toStorage(object)
}

/** Options of a delete, from the body where there is one, else from the query. */
export async function readDeleteOptions(exchange: Exchange): Promise<DeleteOptions> {
  const bytes = await exchange.readBody(REQUEST_BODY_BYTES_MAX)
  if (bytes.byteLength === 0) return deleteOptionsFromQuery(exchange.query)
  const media = readContentType(exchange.headers['content-type'])
  const expected = { group: '', version: 'v1', kind: 'DeleteOptions' }
  const schema = requireSchema({ group: 'meta.k8s.io', version: 'v1', kind: 'DeleteOptions' })
  const { object } = decodeBytes(withoutKind(bytes, media), media, { expected, schema, fieldValidation: 'Ignore' })
  return object as unknown as DeleteOptions
}

/** DeleteOptions belong to every group version, so whichever one the body names is fine. */
function withoutKind(bytes: Uint8Array, media: MediaType): Uint8Array {
  if (media !== 'json') return bytes
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return bytes // decoding says what is wrong
  }
  if (typeof value !== 'object' || value === null) return bytes
  return Buffer.from(JSON.stringify({ ...value, apiVersion: 'v1', kind: 'DeleteOptions' }))
}

function deleteOptionsFromQuery(query: URLSearchParams): DeleteOptions {
  const options: DeleteOptions = {}
  const grace = query.get('gracePeriodSeconds')
  if (grace !== null && grace !== '') {
    const seconds = Number(grace)
    if (!Number.isSafeInteger(seconds)) throw badRequest(`gracePeriodSeconds: ${JSON.stringify(grace)} is not a number`)
    options.gracePeriodSeconds = seconds
  }
  const policy = query.get('propagationPolicy')
  if (policy !== null && policy !== '') options.propagationPolicy = policy
  const orphan = query.get('orphanDependents')
  if (orphan !== null && orphan !== '') options.orphanDependents = orphan === 'true' || orphan === '1'
  const dryRun = query.getAll('dryRun')
  if (dryRun.length > 0) options.dryRun = dryRun
  return options
}
