import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One field of a Go struct that is read or written as JSON. */
export interface GoField {
  /** Name in JSON; empty when the fields of an embedded struct stand beside those of this one. */
  readonly json: string
  /** Go type as written, such as `*metav1.Time`. */
  readonly type: string
  readonly pointer: boolean
  readonly omitEmpty: boolean
  readonly omitZero: boolean
  /** Protobuf field number; undefined when the field has no protobuf form. */
  readonly number: number | undefined
}

export interface GoStruct {
  readonly name: string
  readonly fields: readonly GoField[]
  /** Embeds TypeMeta: the struct is a kind. */
  readonly isKind: boolean
}

/** A type that takes over the fields of a struct of another package: `type MatchCondition v1.MatchCondition`. */
export interface GoAlias {
  readonly name: string
  /** Import path, such as `k8s.io/api/admissionregistration/v1`. */
  readonly path: string
  readonly target: string
}

const STRUCT_START = /^type (\w+) struct \{$/
const EMPTY_STRUCT = /^type (\w+) struct ?\{\s*\}$/
const ALIAS = /^type (\w+) (\w+)\.(\w+)$/
const FIELD = /^\t(?:(\w+)\s+)?([^\s`]\S*)\s*`(.*)`/
const JSON_TAG = /json:"([^"]*)"/
const PROTOBUF_TAG = /protobuf:"[a-z0-9]+,(\d+),/

/**
 * Structs of the Go package in `dir`, by name. Reads gofmt'd sources line by line, which is all that API types need: no
 * nested anonymous structs, one field a line.
 */
export function readGoStructs(dir: string): Map<string, GoStruct> {
  const structs = new Map<string, GoStruct>()
  for (const source of readSources(dir)) {
    for (const struct of parseGoStructs(source)) structs.set(struct.name, struct)
  }
  return structs
}

export function readGoAliases(dir: string): GoAlias[] {
  return readSources(dir).flatMap((source) => parseGoAliases(source))
}

function readSources(dir: string): string[] {
  return readdirSync(dir)
    .filter((file) => file.endsWith('.go') && !file.endsWith('_test.go') && !/generated/.test(file))
    .map((file) => readFileSync(join(dir, file), 'utf8'))
}

export function parseGoAliases(source: string): GoAlias[] {
  const imports = new Map<string, string>()
  for (const [, alias, path] of source.matchAll(/^\t(?:(\w+) )?"([\w./-]+)"$/gm)) {
    imports.set(alias ?? path!.slice(path!.lastIndexOf('/') + 1), path!)
  }
  return source.split('\n').flatMap((line) => {
    const [, name, alias, target] = ALIAS.exec(line) ?? []
    const path = imports.get(alias ?? '')
    return path === undefined ? [] : [{ name: name!, path, target: target! }]
  })
}

export function parseGoStructs(source: string): GoStruct[] {
  const structs: GoStruct[] = []
  let open: { name: string; fields: GoField[]; isKind: boolean } | undefined
  for (const line of source.split('\n')) {
    const empty = EMPTY_STRUCT.exec(line)
    if (empty !== null) structs.push({ name: empty[1]!, fields: [], isKind: false })
    const start = STRUCT_START.exec(line)
    if (start !== null) open = { name: start[1]!, fields: [], isKind: false }
    if (open === undefined) continue
    if (line === '}') {
      structs.push(open)
      open = undefined
      continue
    }
    const match = FIELD.exec(line)
    if (match === null || line.startsWith('\t//')) continue
    if (match[1] === undefined && /^(?:\w+\.)?TypeMeta$/.test(match[2]!)) open.isKind = true
    else addField(open.fields, { type: match[2]!, tag: match[3]! })
  }
  return structs
}

function addField(fields: GoField[], { type, tag }: { type: string; tag: string }): void {
  const json = JSON_TAG.exec(tag)?.[1]
  if (json === undefined || json === '-') return
  const [name, ...options] = json.split(',')
  const number = PROTOBUF_TAG.exec(tag)?.[1]
  fields.push({
    json: options.includes('inline') ? '' : name!,
    type,
    pointer: type.startsWith('*'),
    omitEmpty: options.includes('omitempty'),
    omitZero: options.includes('omitzero'),
    number: number === undefined ? undefined : Number(number),
  })
}
