import { encodeText } from '@centaurus/base'
import type { KubeObject } from '../kinds/behavior.ts'
import { isRecord } from '../meta/values.ts'
import type { StructSchema } from '../schema/schema.ts'
import { badRequest } from '../status/status-error.ts'
import { DecodeError, decodeStruct, type DecodeReport } from './decode-values.ts'
import { parseBody, type FieldValidation, type ParsedBody } from './parse-body.ts'

export interface DecodeOptions {
  /** Default `Strict`. */
  readonly fieldValidation?: FieldValidation | undefined
  /** What the path of the request stands for. A body that names no kind gets it; one that names another is refused. */
  readonly expected: GroupVersionKind
  /** Of a text body; default `json`. */
  readonly format?: 'json' | 'yaml' | undefined
}

export interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

export interface Decoded<T> {
  /** Fresh: the caller may change it. */
  readonly object: T
  /** For `Warning:` headers: what `Strict` would have refused. */
  readonly warnings: readonly string[]
}

/**
 * Reads the body of a create or an update of a built-in kind, or a value that was parsed already (of which `any` fields are
 * shared). Fields that the kind does not have are dropped, and reported as `fieldValidation` says.
 * Throws a BadRequest `StatusError` with upstream's structure: `Pod in version "v1" cannot be handled as a Pod: …`.
 * Weaker than upstream in three points: integers past 2^53 lose digits, `1.0` is taken as an integer, and the wording of a wrong time is not exact.
 * Source: apiserver pkg/endpoints/handlers/{create,rest}.go, sigs.k8s.io/json, v0.37.
 */
export function decodeObject<T = KubeObject>(
  body: string | Uint8Array | Record<string, unknown>,
  schema: StructSchema,
  options: DecodeOptions,
): Decoded<T> {
  const { expected } = options
  const parsed = parseOrExplain(body, options)
  if (!isRecord(parsed.value)) {
    const found = Array.isArray(parsed.value) ? 'array' : typeof parsed.value
    const why = `couldn't get version/kind; json parse error: json: cannot unmarshal ${found} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`
    throw badRequest(unrecognized(expected.kind, why, body))
  }
  const { kind, apiVersion } = readTypeMeta(parsed.value, options, body)
  const version = apiVersion.slice(apiVersion.lastIndexOf('/') + 1)
  const refuse = (why: string): Error =>
    badRequest(`${kind} in version "${version}" cannot be handled as a ${expected.kind}: ${why}`)
  const report: DecodeReport = { strictErrors: [] }
  const object = decodeOrExplain(parsed.value, { schema, report, refuse })
  const strictErrors = [...parsed.strictErrors, ...report.strictErrors]
  const validation = options.fieldValidation ?? 'Strict'
  if (validation === 'Strict' && strictErrors.length > 0)
    throw refuse(`strict decoding error: ${strictErrors.join(', ')}`)
  const wanted = formatGroupVersion(expected)
  if (apiVersion !== wanted) {
    throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${wanted})`)
  }
  if (kind !== expected.kind) {
    throw refuse(
      `converting (${version}.${kind}) to (${expected.group === '' ? 'core' : expected.group}.${expected.kind}): unknown conversion`,
    )
  }
  object['apiVersion'] = wanted
  object['kind'] = kind
  object['metadata'] ??= {}
  return { object: object as T, warnings: validation === 'Warn' ? strictErrors : [] }
}

/** `v1`, `apps/v1`. */
export function formatGroupVersion({ group, version }: Pick<GroupVersionKind, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`
}

/** Inverse of {@link formatGroupVersion}. */
export function parseGroupVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf('/')
  return slash < 0
    ? { group: '', version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) }
}

function parseOrExplain(body: string | Uint8Array | Record<string, unknown>, options: DecodeOptions): ParsedBody {
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return { value: body, strictErrors: [] }
  try {
    return parseBody(body, { format: options.format, findDuplicates: options.fieldValidation !== 'Ignore' })
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    const why =
      options.format === 'yaml' ? cause.message : `couldn't get version/kind; json parse error: ${cause.message}`
    throw badRequest(unrecognized(options.expected.kind, why, body))
  }
}

function readTypeMeta(
  value: Record<string, unknown>,
  { expected }: DecodeOptions,
  body: unknown,
): { kind: string; apiVersion: string } {
  const kind = value['kind'] ?? ''
  const apiVersion = value['apiVersion'] ?? ''
  if (typeof kind !== 'string' || typeof apiVersion !== 'string') {
    const field = typeof kind === 'string' ? 'apiVersion' : 'kind'
    const why = `couldn't get version/kind; json parse error: json: cannot unmarshal ${typeof value[field]} into Go struct field .${field} of type string`
    throw badRequest(unrecognized(expected.kind, why, body))
  }
  return {
    kind: kind === '' ? expected.kind : kind,
    apiVersion: apiVersion === '' ? formatGroupVersion(expected) : apiVersion,
  }
}

function decodeOrExplain(
  value: Record<string, unknown>,
  { schema, report, refuse }: { schema: StructSchema; report: DecodeReport; refuse: (why: string) => Error },
): Record<string, unknown> {
  try {
    return decodeStruct(value, schema, report)
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message)
    throw error
  }
}

const SUMMARY_BYTES = 30

function unrecognized(kind: string, why: string, body: unknown): string {
  return `the object provided is unrecognized (must be of type ${kind}): ${why} (${summarizeBody(body)})`
}

/** Source: apiserver handlers/rest.go summarizeData. */
function summarizeBody(body: unknown): string {
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return JSON.stringify(body).slice(0, SUMMARY_BYTES)
  const bytes = typeof body === 'string' ? encodeText(body.slice(0, SUMMARY_BYTES + 1)) : body
  if (bytes.length === 0) return '<empty>'
  const head = bytes.subarray(0, SUMMARY_BYTES)
  const isObject = head[0] === 0x7b
  const text = isObject
    ? new TextDecoder().decode(head)
    : [...head].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return bytes.length > SUMMARY_BYTES ? `${text} ...` : text
}
