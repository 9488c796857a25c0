import { KINDS } from '../generated/definitions.ts'
import {
  impliedDefault,
  readDefinition,
  type DefinitionFacts,
  type FieldFacts,
  type ValueCode,
  zeroOf,
} from './facts.ts'
import type { FieldSchema, ScalarType, StructSchema, ValueSchema } from './schema.ts'

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'

/** Kinds that are registered in every group version. Source: meta/v1 AddToGroupVersion, v0.37.2. */
const UNIVERSAL_KINDS = new Set([
  'CreateOptions',
  'DeleteOptions',
  'GetOptions',
  'ListOptions',
  'PatchOptions',
  'UpdateOptions',
  'WatchEvent',
])

const SCALARS: Readonly<Partial<Record<ValueCode, ScalarType>>> = {
  s: 'string',
  i: 'int32',
  l: 'int64',
  d: 'double',
  b: 'boolean',
  y: 'bytes',
  t: 'time',
  T: 'microTime',
  u: 'duration',
  q: 'quantity',
  n: 'intOrString',
}

const STRING: ValueSchema = { type: 'string' }

const schemas = new Map<string, StructSchema>()
let definitionsOfKinds: Map<string, string> | undefined

/**
 * Definition of a built-in kind, such as `io.k8s.api.core.v1.Pod`; undefined when there is none. Knows lists, options,
 * Status, Scale and the like as well. `group` is `''` for the core group.
 */
export function definitionOfKind(group: string, version: string, kind: string): string | undefined {
  definitionsOfKinds ??= new Map(parseKinds())
  const definition = definitionsOfKinds.get(`${group}/${version}/${kind}`)
  if (definition !== undefined) return `io.k8s.${definition}`
  return UNIVERSAL_KINDS.has(kind) ? `${META}.${kind}` : undefined
}

function parseKinds(): [kind: string, definition: string][] {
  return KINDS.trim()
    .split('\n')
    .map((line) => line.split(' ') as [string, string])
}

interface GroupVersionKind {
  readonly group: string
  readonly kind: string
  readonly version: string
}

let kindsByDefinition: Map<string, GroupVersionKind[]> | undefined

/** The kinds that a definition is the shape of, such as `apps/v1 Deployment`; usually one or none. */
export function kindsOfDefinition(definition: string): readonly GroupVersionKind[] {
  kindsByDefinition ??= collectKinds()
  return kindsByDefinition.get(definition) ?? []
}

function collectKinds(): Map<string, GroupVersionKind[]> {
  const kinds = new Map<string, GroupVersionKind[]>()
  for (const [key, definition] of parseKinds()) {
    const [group, version, kind] = key.split('/') as [string, string, string]
    const name = `io.k8s.${definition}`
    kinds.set(name, [...(kinds.get(name) ?? []), { group, kind, version }])
  }
  return kinds
}

/** Fields of a built-in kind, also of one that is no resource (Scale, Eviction, DeleteOptions, Status, lists …). */
export function schemaOfKind(group: string, version: string, kind: string): StructSchema | undefined {
  const definition = definitionOfKind(group, version, kind)
  return definition === undefined ? undefined : schemaOfDefinition(definition)
}

/** Fields of a definition of the published OpenAPI. Built on first use and kept, so the same schema is always the same object. */
export function schemaOfDefinition(name: string): StructSchema | undefined {
  const known = schemas.get(name)
  if (known !== undefined) return known
  const facts = readDefinition(name)
  if (facts === undefined) return undefined
  const fields = new Map<string, FieldSchema>()
  addFields(fields, facts)
  const schema: StructSchema = { name, fields }
  schemas.set(name, schema)
  return schema
}

function addFields(fields: Map<string, FieldSchema>, facts: DefinitionFacts): void {
  for (const field of facts.fields) {
    if (field.json === '') addFields(fields, readDefinition(field.ref)!)
    else fields.set(field.json, toFieldSchema(field))
  }
}

function toFieldSchema(field: FieldFacts): FieldSchema {
  const { required, patchStrategy, patchMergeKey, number } = field
  const zero = zeroOf(field)
  return {
    value: toValueSchema(field),
    ...(required ? { required } : undefined),
    ...(patchStrategy === undefined
      ? undefined
      : { patchStrategy: patchStrategy.split(',') as NonNullable<FieldSchema['patchStrategy']> }),
    ...(patchMergeKey === undefined ? undefined : { patchMergeKey }),
    ...(field.default === undefined ? undefined : { default: field.default }),
    ...(zero === undefined ? undefined : { zero }),
    ...(number === 0 ? undefined : { protobuf: number }),
  }
}

function toValueSchema(field: FieldFacts): ValueSchema {
  const mapType = field.mapType === 'atomic' ? 'atomic' : undefined
  if (field.container === '') return toItemSchema(field, mapType)
  const items = toItemSchema(field, undefined)
  if (field.container === '{') return { type: 'map', values: items, mapType }
  const { listType, listMapKeys } = field
  if (listMapKeys === undefined) return { type: 'list', items, listType }
  return { type: 'list', items, listType, listMapKeys, listMapKeyDefaults: keyDefaults(field.ref, listMapKeys) }
}

function toItemSchema({ code, ref }: FieldFacts, mapType: 'atomic' | undefined): ValueSchema {
  const scalar = SCALARS[code]
  if (scalar !== undefined) return { type: scalar }
  if (code === 'v') return { type: 'list', items: STRING }
  if (code !== '$') return { type: 'any' }
  const atomic = mapType ?? (readDefinition(ref)?.mapType === 'atomic' ? 'atomic' : undefined)
  return { type: 'struct', struct: () => schemaOfDefinition(ref)!, mapType: atomic }
}

function keyDefaults(definition: string, keys: readonly string[]): Record<string, unknown> | undefined {
  const entries = flatten(readDefinition(definition))
    .filter((field) => keys.includes(field.json))
    .map((field) => [field.json, field.default ?? impliedDefault(field)] as const)
    .filter(([, value]) => value !== undefined)
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

function flatten(facts: DefinitionFacts | undefined): FieldFacts[] {
  return (facts?.fields ?? []).flatMap((field) => (field.json === '' ? flatten(readDefinition(field.ref)) : [field]))
}
