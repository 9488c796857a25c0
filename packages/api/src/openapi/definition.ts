import { definitionOfKind, kindsOfDefinition } from '../schema/builtin.ts'
import {
  impliedDefault,
  readDefinition,
  WIRE_DEFINITIONS,
  type DefinitionFacts,
  type FieldFacts,
  type ValueCode,
} from '../schema/facts.ts'
import { resources } from '../schema/catalog.ts'
import { refPrefix, type Descriptions, type Dialect, type SchemaJson } from './types.ts'

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
export const PATCH_DEFINITION = `${META}.Patch`

/** Definitions without fields, as each dialect has them. Source: the OpenAPIDefinition methods of the Go types, v0.37.2. */
const WIRE_SCHEMAS: Readonly<Record<string, { v2: SchemaJson; v3: SchemaJson }>> = {
  [WIRE_DEFINITIONS['t']!]: same({ type: 'string', format: 'date-time' }),
  [WIRE_DEFINITIONS['T']!]: same({ type: 'string', format: 'date-time' }),
  [WIRE_DEFINITIONS['x']!]: same({ type: 'object' }),
  [WIRE_DEFINITIONS['f']!]: same({ type: 'object' }),
  [PATCH_DEFINITION]: same({ type: 'object' }),
  [WIRE_DEFINITIONS['j']!]: same({}),
  [WIRE_DEFINITIONS['A']!]: same({}),
  [WIRE_DEFINITIONS['B']!]: same({}),
  [WIRE_DEFINITIONS['C']!]: same({}),
  [WIRE_DEFINITIONS['q']!]: { v2: { type: 'string' }, v3: { oneOf: [{ type: 'string' }, { type: 'number' }] } },
  [WIRE_DEFINITIONS['n']!]: {
    v2: { type: 'string', format: 'int-or-string' },
    v3: { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  },
}

const SCALAR_SCHEMAS: Readonly<Partial<Record<ValueCode, SchemaJson>>> = {
  s: { type: 'string' },
  u: { type: 'string' },
  i: { type: 'integer', format: 'int32' },
  l: { type: 'integer', format: 'int64' },
  d: { type: 'number', format: 'double' },
  b: { type: 'boolean' },
  y: { type: 'string', format: 'byte' },
  v: { type: 'array', items: { type: 'string' } },
}

function same(schema: SchemaJson): { v2: SchemaJson; v3: SchemaJson } {
  return { v2: schema, v3: schema }
}

/** What a definition refers to directly. */
export function referencesOf(name: string): string[] {
  const facts = readDefinition(name)
  if (facts === undefined) return []
  return fieldsOf(facts)
    .map((field) => field.ref)
    .filter((ref) => ref !== '')
}

/** Fields as JSON has them: those of inlined structs among the others. */
function fieldsOf(facts: DefinitionFacts): FieldFacts[] {
  return facts.fields.flatMap((field) => (field.json === '' ? fieldsOf(readDefinition(field.ref)!) : [field]))
}

/** Schema of a built-in definition; undefined for a name that is none. */
export function definitionSchema(
  name: string,
  { dialect, descriptions }: { dialect: Dialect; descriptions?: Descriptions | undefined },
): SchemaJson | undefined {
  const description = descriptions?.[name]?.description
  const wire = WIRE_SCHEMAS[name]?.[dialect]
  if (wire !== undefined) return description === undefined ? wire : { description, ...wire }
  const facts = readDefinition(name)
  if (facts === undefined) return undefined
  const fields = fieldsOf(facts).sort((a, b) => (a.json < b.json ? -1 : 1))
  const required = fields.filter((field) => field.required).map((field) => field.json)
  const kinds = kindsOf(name)
  return {
    ...(description === undefined ? undefined : { description }),
    type: 'object',
    ...(required.length > 0 ? { required } : undefined),
    ...(fields.length > 0 ? { properties: properties(fields, dialect, fieldTexts(name, descriptions)) } : undefined),
    ...(kinds.length > 0 ? { 'x-kubernetes-group-version-kind': kinds } : undefined),
    ...(facts.mapType === undefined ? undefined : { 'x-kubernetes-map-type': facts.mapType }),
    ...(facts.unions === undefined ? undefined : { 'x-kubernetes-unions': facts.unions }),
  }
}

/** Finds the text of a field: its own, or that of the definition it refers to. */
type FieldTexts = (field: FieldFacts) => string | undefined

function fieldTexts(name: string, descriptions: Descriptions | undefined): FieldTexts {
  const own = descriptions?.[name]?.fields
  return ({ json, ref }) => own?.[json] ?? descriptions?.[ref]?.description
}

function properties(fields: readonly FieldFacts[], dialect: Dialect, textOf: FieldTexts): SchemaJson {
  const result: Record<string, unknown> = {}
  for (const field of fields) result[field.json] = propertySchema(field, dialect, textOf(field))
  return result
}

function propertySchema(field: FieldFacts, dialect: Dialect, description: string | undefined): SchemaJson {
  const fallback = dialect === 'v3' ? (field.default ?? impliedDefault(field)) : undefined
  const attributes = {
    ...(description === undefined ? undefined : { description }),
    ...(fallback === undefined ? undefined : { default: fallback }),
    ...(field.listMapKeys === undefined ? undefined : { 'x-kubernetes-list-map-keys': field.listMapKeys }),
    ...(field.listType === undefined ? undefined : { 'x-kubernetes-list-type': field.listType }),
    ...(field.mapType === undefined ? undefined : { 'x-kubernetes-map-type': field.mapType }),
    ...(field.patchMergeKey === undefined ? undefined : { 'x-kubernetes-patch-merge-key': field.patchMergeKey }),
    ...(field.patchStrategy === undefined ? undefined : { 'x-kubernetes-patch-strategy': field.patchStrategy }),
  }
  const item = itemSchema(field, dialect)
  if (field.container === '[') return { ...attributes, type: 'array', items: item }
  if (field.container === '{') return { ...attributes, type: 'object', additionalProperties: item }
  // In v3 nothing may stand beside a $ref, so it is wrapped.
  const wrap = dialect === 'v3' && item['$ref'] !== undefined && Object.keys(attributes).length > 0
  return wrap ? { ...attributes, allOf: [item] } : { ...attributes, ...item }
}

function itemSchema(field: FieldFacts, dialect: Dialect): SchemaJson {
  return SCALAR_SCHEMAS[field.code] ?? { $ref: refPrefix(dialect) + field.ref }
}

/** Kinds of a definition. DeleteOptions and WatchEvent are kinds of every served group version. */
function kindsOf(name: string): readonly { group: string; kind: string; version: string }[] {
  const own = kindsOfDefinition(name)
  const [first] = own
  if (first === undefined || definitionOfKind('example.invalid', 'v0', first.kind) === undefined) return own
  return groupVersions().map(({ group, version }) => ({ group, kind: first.kind, version }))
}

/** Every served built-in group version, the core group first. */
export function groupVersions(): { group: string; version: string }[] {
  const seen = new Map<string, { group: string; version: string }>()
  for (const { group, version } of resources()) seen.set(`${group}/${version}`, { group, version })
  return [...seen.values()]
}
