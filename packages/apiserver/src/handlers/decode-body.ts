import {
  badRequest,
  decodeObject,
  decodePatched,
  decodeProtobuf,
  deepClone,
  FieldPath,
  invalid,
  invalidObject,
  isRecord,
  ProtobufError,
  schemaOfDefinition,
  schemaOfKind,
  unsupportedMediaType,
  type GroupVersionKind,
  type KubeObject,
  type StructSchema,
} from '@centaurus/api'
import type { DeleteOptions } from '@centaurus/api/meta/v1'
import type { Exchange } from '../http/exchange.ts'
import { REQUEST_BODY_BYTES_MAX } from '../http/limits.ts'
import { readFieldValidation } from '../request/query.ts'
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
  if (media === 'protobuf') return decodeObject(parseProtobuf(bytes, expected), schema, { expected, fieldValidation })
  return decodeObject(bytes, schema, { expected, fieldValidation, format: media })
}

export function parseProtobuf(bytes: Uint8Array, expected: GroupVersionKind): Record<string, unknown> {
  try {
    return decodeProtobuf(bytes, { defaultKind: expected }) as Record<string, unknown>
  } catch (cause) {
    if (!(cause instanceof ProtobufError)) throw cause
    throw badRequest(`the object provided is unrecognized (must be of type ${expected.kind}): ${cause.message}`)
  }
}

/** Reads the body as an object of the definition. */
export async function readDefined(exchange: Exchange, definition: ResourceDefinition): Promise<DecodedBody> {
  return decodeDefined(exchange, definition, await exchange.readBody(REQUEST_BODY_BYTES_MAX))
}

/** The body that was read as an object of the definition. */
export function decodeDefined(exchange: Exchange, definition: ResourceDefinition, body: Uint8Array): DecodedBody {
  const media = readContentType(exchange.headers['content-type'])
  const fieldValidation = readFieldValidation(exchange.query)
  const schema = definition.prune === undefined ? definition.info.schema() : UNPRUNED
  const decoded = decodeBytes(body, media, { expected: expectedKind(definition), schema, fieldValidation })
  if (definition.prune === undefined) return decoded
  const dropped = describeDropped(definition.prune(decoded.object))
  if (fieldValidation === 'Strict' && dropped.length > 0) {
    const { kind, version } = definition.info
    const why = `strict decoding error: ${dropped.join(', ')}`
    throw badRequest(`${kind} in version ${JSON.stringify(version)} cannot be handled as a ${kind}: ${why}`)
  }
  return { object: decoded.object, warnings: fieldValidation === 'Warn' ? [...decoded.warnings, ...dropped] : [] }
}

/** Gives a patched object of the definition its served form, as a body would have it. */
export function decodeChanged(
  definition: ResourceDefinition,
  patched: Record<string, unknown>,
  options: { readonly fieldValidation: DecodeBodyOptions['fieldValidation']; readonly patchErrors: readonly string[] },
): DecodedBody {
  const schema = definition.prune === undefined ? definition.info.schema() : UNPRUNED
  const decoded = decodePatched(patched, schema, options)
  if (definition.prune === undefined) return decoded
  const object = deepClone(decoded.object)
  const dropped = describeDropped(definition.prune(object))
  if (options.fieldValidation !== 'Strict' || dropped.length === 0) {
    return { object, warnings: options.fieldValidation === 'Warn' ? [...decoded.warnings, ...dropped] : [] }
  }
  const why = `strict decoding error: ${dropped.join(', ')}`
  throw invalidObject({ group: '', kind: '' }, '', [invalid(new FieldPath('patch'), JSON.stringify(patched), why)])
}

function describeDropped(paths: readonly string[]): string[] {
  return paths.map((path) => `unknown field ${JSON.stringify(path)}`)
}

/** Custom resources: only metadata has a shape that is known here; the definition's own pruning sees to the rest. */
const UNPRUNED: StructSchema = {
  name: '',
  preserveUnknownFields: true,
  fields: new Map([
    ['apiVersion', { value: { type: 'string' as const } }],
    ['kind', { value: { type: 'string' as const } }],
    ['metadata', { value: { type: 'struct' as const, struct: requireMetadataSchema } }],
  ]),
}

function requireMetadataSchema(): StructSchema {
  return schemaOfDefinition('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta')!
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

/** Turns the served form into the stored one, which is what behaviors know, and fills in defaults. `object` may be changed. */
export function toStored(definition: ResourceDefinition, object: KubeObject): KubeObject {
  // Upstream's spec is no pointer: an object without one has an empty one, for conversions and defaults too.
  const members = object as KubeObject & { spec?: unknown }
  if (definition.prune === undefined && isRecord(definition.info.schema().fields.get('spec')?.zero)) members.spec ??= {}
  const converted = definition.toStorage === undefined ? object : definition.toStorage(object)
  const stored = definition.view === undefined ? converted : definition.view.take(converted)
  definition.behavior.setDefaults?.(stored)
  return stored
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
