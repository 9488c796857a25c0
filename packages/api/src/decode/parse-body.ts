import { decodeText } from '@centaurus/base'
import { CORE_SCHEMA, load, YAMLException } from 'js-yaml'
import { describeJsonError, findDuplicateFields } from './json-scanner.ts'

/** What to do with fields that a kind does not have, or that stand twice. Source: meta/v1 FieldValidation. */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore'

export interface ParseBodyOptions {
  /** Default `json`. */
  readonly format?: 'json' | 'yaml' | undefined
  /** Look for fields that stand twice; costs about as much as parsing. Default true. */
  readonly findDuplicates?: boolean | undefined
}

/** A body as plain values. */
export interface ParsedBody {
  readonly value: unknown
  /** `duplicate field "spec.x"`, one line a field. */
  readonly strictErrors: readonly string[]
}

/**
 * Values nested deeper are refused, so that code that walks objects may recurse. Upstream allows 10,000 levels; no kind has
 * more than a few dozen.
 */
export const DEPTH_MAX = 500
/** Values in one body; YAML aliases can make many out of few bytes. 3 MB of JSON, the largest body, holds fewer. */
export const VALUES_MAX = 2_000_000

/**
 * Parses the body of a request. Throws `SyntaxError` with upstream's words when it is not JSON (or YAML), too deep or too large.
 */
export function parseBody(body: string | Uint8Array, options: ParseBodyOptions = {}): ParsedBody {
  const text = typeof body === 'string' ? body : decodeUtf8(body)
  if (options.format === 'yaml') return parseYaml(text, options.findDuplicates ?? true)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new SyntaxError(describeJsonError(text.slice(0, ERROR_TEXT_MAX)) ?? 'unexpected end of JSON input', { cause })
  }
  const keys = countKeys(value)
  if (!(options.findDuplicates ?? true) || countKeyTokens(text) === keys) return { value, strictErrors: [] }
  return { value, strictErrors: findDuplicateFields(text).map((field) => `duplicate field ${JSON.stringify(field)}`) }
}

/** Characters that the slow scanner reads to find an error. */
const ERROR_TEXT_MAX = 4 * 1024 * 1024

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decodeText(bytes)
  } catch (cause) {
    throw new SyntaxError('invalid UTF-8 in body', { cause })
  }
}

function parseYaml(text: string, findDuplicates: boolean): ParsedBody {
  let value: unknown
  const strictErrors: string[] = []
  try {
    value = load(text, { schema: CORE_SCHEMA, json: true })
    if (findDuplicates) strictErrors.push(...findYamlDuplicates(text))
  } catch (cause) {
    const message =
      cause instanceof YAMLException ? `line ${(cause.mark?.line ?? 0) + 1}: ${cause.reason}` : String(cause)
    throw new SyntaxError(`error converting YAML to JSON: yaml: ${message}`, { cause })
  }
  countKeys(value)
  return { value, strictErrors }
}

/** The YAML library stops at the first field that stands twice, so only that one is named. */
function findYamlDuplicates(text: string): string[] {
  try {
    load(text, { schema: CORE_SCHEMA })
    return []
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error
    const line = error.mark?.line ?? 0
    const key = /^\s*(?:- )?"?([^":]*)"?\s*:/.exec(text.split('\n')[line] ?? '')?.[1] ?? ''
    return [`yaml: unmarshal errors:\n  line ${line + 1}: key ${JSON.stringify(key.trim())} already set in map`]
  }
}

/** Number of object members in a value; checks depth and size on the way. */
function countKeys(root: unknown): number {
  let values = 0
  let keys = 0
  const visit = (value: object, depth: number): void => {
    if (depth > DEPTH_MAX) throw new SyntaxError('exceeded max depth')
    if (Array.isArray(value)) {
      values += value.length
      for (const item of value) if (typeof item === 'object' && item !== null) visit(item as object, depth + 1)
    } else {
      for (const key in value) {
        keys++
        const member = (value as Record<string, unknown>)[key]
        if (typeof member === 'object' && member !== null) visit(member, depth + 1)
      }
    }
    if (values + keys > VALUES_MAX) throw new SyntaxError(`body holds more than ${VALUES_MAX} values`)
  }
  if (typeof root === 'object' && root !== null) visit(root, 1)
  return keys
}

/** Number of member names in a JSON text: strings that a colon follows. `text` must be JSON. */
function countKeyTokens(text: string): number {
  let keys = 0
  let at = text.indexOf('"')
  while (at >= 0) {
    let end = text.indexOf('"', at + 1)
    while (isEscaped(text, end)) end = text.indexOf('"', end + 1)
    let next = end + 1
    let code = text.charCodeAt(next)
    while (code === 32 || code === 10 || code === 13 || code === 9) code = text.charCodeAt(++next)
    if (code === 58) keys++
    at = text.indexOf('"', end + 1)
  }
  return keys
}

/** True when an odd number of backslashes stands before. */
function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(at - 1 - backslashes) === 92) backslashes++
  return backslashes % 2 === 1
}
