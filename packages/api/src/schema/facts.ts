/**
 * Reads the committed field tables. They are one text, so that a process which uses twenty kinds pays for twenty kinds: the
 * text costs its length in memory, the index one map entry a struct, and a struct is taken apart when somebody asks for it.
 *
 * A struct: `=NAME FLAGS [UNIONS]`, where NAME lacks `io.k8s.`; flag `u`: not in the published OpenAPI, `a`: an
 * atomic map, `g`: a granular one.
 * A field: `JSON NUMBER TYPE FLAGS [l:LISTTYPE[:KEYS]] [m:MAPTYPE] [p:STRATEGY] [k:MERGEKEY] [d:DEFAULT]`, where JSON `~`
 * means that the fields of TYPE stand beside those of the struct, NUMBER 0 that protobuf does not have it, and flags are `*` a
 * Go pointer, `o` omitempty, `z` omitzero, `r` required. A DEFAULT that follows from the Go type (zero value) is left out.
 * A type: `[` a list of, `{` a map to; `$X` a struct, X in the same package when it has no dot; or a {@link ValueCode}.
 */
import { DEFINITIONS } from '../generated/definitions.ts'

/**
 * `s` string, `i` int32, `l` int64, `d` double, `b` bool, `y` bytes, `t` Time, `T` MicroTime, `u` Duration, `q` Quantity,
 * `n` IntOrString, `x` raw JSON (in the text `x` RawExtension, `f` FieldsV1, `j` JSON, all the same on the wire), `v` a list of strings that protobuf wraps in a message, `A`/`B`/`C`
 * JSONSchemaPropsOrArray/OrBool/OrStringArray, `$` struct.
 */
export type ValueCode =
  | 's'
  | 'i'
  | 'l'
  | 'd'
  | 'b'
  | 'y'
  | 't'
  | 'T'
  | 'u'
  | 'q'
  | 'n'
  | 'x'
  | 'v'
  | 'A'
  | 'B'
  | 'C'
  | '$'

export interface DefinitionFacts {
  /** Full name, such as `io.k8s.api.core.v1.PodSpec`. */
  readonly name: string
  readonly published: boolean
  readonly mapType: 'atomic' | 'granular' | undefined
  /** Value of `x-kubernetes-unions`. */
  readonly unions: unknown
  readonly fields: readonly FieldFacts[]
}

export interface FieldFacts {
  /** Empty for an inlined struct. */
  readonly json: string
  readonly number: number
  readonly container: '' | '[' | '{'
  readonly code: ValueCode
  /** Full name of the struct when `code` is `$`, of the definition when it is one of the wire types; else empty. */
  readonly ref: string
  readonly pointer: boolean
  readonly omitEmpty: boolean
  readonly omitZero: boolean
  readonly required: boolean
  readonly listType: 'atomic' | 'set' | 'map' | undefined
  readonly listMapKeys: readonly string[] | undefined
  readonly mapType: 'atomic' | 'granular' | undefined
  readonly patchStrategy: string | undefined
  readonly patchMergeKey: string | undefined
  /** Undefined when the published default is the zero value of the Go type, or there is none. */
  readonly default: unknown
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const EXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1'

/** Definitions without fields, by their letter in the text. */
export const WIRE_DEFINITIONS: Readonly<Record<string, string>> = {
  t: `${META}.Time`,
  T: `${META}.MicroTime`,
  q: 'io.k8s.apimachinery.pkg.api.resource.Quantity',
  n: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
  x: 'io.k8s.apimachinery.pkg.runtime.RawExtension',
  f: `${META}.FieldsV1`,
  j: `${EXTENSIONS}.JSON`,
  A: `${EXTENSIONS}.JSONSchemaPropsOrArray`,
  B: `${EXTENSIONS}.JSONSchemaPropsOrBool`,
  C: `${EXTENSIONS}.JSONSchemaPropsOrStringArray`,
}

const PREFIX = 'io.k8s.'

/** Where each struct's header begins, by its short name. */
let index: Map<string, number> | undefined

function offsets(): Map<string, number> {
  if (index !== undefined) return index
  index = new Map()
  for (let at = DEFINITIONS.indexOf('\n='); at >= 0; at = DEFINITIONS.indexOf('\n=', at + 1)) {
    index.set(DEFINITIONS.slice(at + 2, DEFINITIONS.indexOf(' ', at)), at + 2)
  }
  return index
}

/** Names of all structs, ordered. */
export function definitionNames(): string[] {
  return [...offsets().keys()].map((name) => PREFIX + name)
}

/** Takes the facts of one struct out of the text; undefined when there is none. Not cached: the callers keep what they make. */
export function readDefinition(name: string): DefinitionFacts | undefined {
  if (!name.startsWith(PREFIX)) return undefined
  const start = offsets().get(name.slice(PREFIX.length))
  if (start === undefined) return undefined
  const end = DEFINITIONS.indexOf('\n=', start)
  const lines = DEFINITIONS.slice(start, end < 0 ? DEFINITIONS.length - 1 : end).split('\n')
  const [header, ...rest] = lines
  const [, flags, ...union] = header!.split(' ')
  const packageName = name.slice(0, name.lastIndexOf('.') + 1)
  return {
    name,
    published: !flags!.includes('u'),
    mapType: flags!.includes('a') ? 'atomic' : flags!.includes('g') ? 'granular' : undefined,
    unions: union.length === 0 ? undefined : JSON.parse(union.join(' ')),
    fields: rest.map((line) => parseField(line, packageName)),
  }
}

function parseField(line: string, packageName: string): FieldFacts {
  const [json, number, type, flags, ...attributes] = line.split(' ') as [string, string, string, string, ...string[]]
  const container = type[0] === '[' || type[0] === '{' ? type[0] : ''
  const item = type.slice(container.length)
  const find = (key: string): string | undefined => attributes.find((each) => each.startsWith(key))?.slice(2)
  const [listType, keys] = find('l:')?.split(':') ?? []
  const at = attributes.findIndex((each) => each.startsWith('d:'))
  return {
    json: json === '~' ? '' : json,
    number: Number(number),
    container,
    code: (item[0] === 'f' || item[0] === 'j' ? 'x' : item[0]) as ValueCode,
    ref: item[0] === '$' ? resolveName(item.slice(1), packageName) : (WIRE_DEFINITIONS[item[0]!] ?? ''),
    pointer: flags.includes('*'),
    omitEmpty: flags.includes('o'),
    omitZero: flags.includes('z'),
    required: flags.includes('r'),
    listType: listType as FieldFacts['listType'],
    listMapKeys: keys?.split(','),
    mapType: find('m:') as FieldFacts['mapType'],
    patchStrategy: find('p:'),
    patchMergeKey: find('k:'),
    default: at < 0 ? undefined : JSON.parse(attributes.slice(at).join(' ').slice(2)),
  }
}

function resolveName(name: string, packageName: string): string {
  return name.includes('.') ? PREFIX + name : packageName + name
}

/** Default that the Go type implies: what absent means to upstream once it has decoded the object. */
export function impliedDefault(field: FieldFacts): unknown {
  if (field.pointer || field.container !== '') return undefined
  if (field.code === '$') return {}
  if (field.omitEmpty) return undefined
  if (field.code === 's') return ''
  if (field.code === 'b') return false
  return field.code === 'i' || field.code === 'l' || field.code === 'd' ? 0 : undefined
}

/** What upstream's JSON encoder writes for the field when it was not set; undefined when it leaves it out. */
export function zeroOf(field: FieldFacts): unknown {
  const { pointer, container, code, omitEmpty, omitZero } = field
  if (pointer || omitZero) return undefined
  if (container !== '') return omitEmpty ? undefined : null
  // omitempty means nothing to Go's structs, and these are such
  if (code === '$') return {}
  if (code === 'q') return '0'
  if (code === 'n') return 0
  if (code === 't' || code === 'T') return null
  return omitEmpty ? undefined : impliedDefault(field)
}
