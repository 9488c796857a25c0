import { readGoAliases, readGoStructs, type GoField, type GoStruct } from './go-structs.ts'
import { definitionOfMessage, importDir, packageDir } from './modules.ts'
import type { GroupVersionKind, OpenApiDocument, OpenApiSchema, OpenApiV3Document, OpenApiV3Schema } from './openapi.ts'
import { readProtoMessages, type ProtoField } from './proto-messages.ts'

/** Everything the runtime knows of one struct of the API. */
export interface DefinitionFacts {
  /** OpenAPI's name, such as `io.k8s.api.core.v1.PodSpec`. */
  readonly name: string
  /** In the order of the Go struct, which is the order in which upstream writes JSON. */
  readonly fields: readonly FieldFacts[]
  /** Whether the published description has it; the others are only written and read. */
  readonly published: boolean
  readonly mapType: 'atomic' | 'granular' | undefined
  readonly unions: unknown
  readonly kinds: readonly GroupVersionKind[]
}

export interface FieldFacts {
  /** Empty: the fields of `type` stand beside those of this struct. */
  readonly json: string
  readonly number: number | undefined
  /** See `packages/api/src/schema/facts.ts` for the codes. */
  readonly type: string
  readonly pointer: boolean
  readonly omitEmpty: boolean
  readonly omitZero: boolean
  /** The published properties, when the struct or one that inlines it is published. */
  readonly v2: OpenApiSchema | undefined
  readonly v3: OpenApiV3Schema | undefined
  readonly required: boolean
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const EXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1'

/** Types with a JSON form of their own. */
const WIRE_CODES: Readonly<Record<string, string>> = {
  string: 's',
  int32: 'i',
  int64: 'l',
  double: 'd',
  bool: 'b',
  bytes: 'y',
  [`${META}.Time`]: 't',
  [`${META}.MicroTime`]: 'T',
  [`${META}.Duration`]: 'u',
  'io.k8s.apimachinery.pkg.api.resource.Quantity': 'q',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': 'n',
  'io.k8s.apimachinery.pkg.runtime.RawExtension': 'x',
  [`${META}.FieldsV1`]: 'f',
  [`${EXTENSIONS}.JSON`]: 'j',
  [`${EXTENSIONS}.JSONSchemaPropsOrArray`]: 'A',
  [`${EXTENSIONS}.JSONSchemaPropsOrBool`]: 'B',
  [`${EXTENSIONS}.JSONSchemaPropsOrStringArray`]: 'C',
}

/** Kinds that are not in the published description and that clients exchange all the same. */
const EXTRA_PACKAGES: Readonly<Record<string, { group: string; version: string }>> = {
  'io.k8s.api.admission.v1': { group: 'admission.k8s.io', version: 'v1' },
  'io.k8s.api.apidiscovery.v2': { group: 'apidiscovery.k8s.io', version: 'v2' },
  [META]: { group: '', version: 'v1' },
}

interface Sources {
  readonly v2: OpenApiDocument
  readonly v3: ReadonlyMap<string, OpenApiV3Schema>
  readonly drafts: Map<string, Draft>
}

interface Draft {
  readonly name: string
  readonly struct: GoStruct
  readonly messages: Map<number, ProtoField>
  readonly fields: Mutable<FieldFacts>[]
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Facts of every published definition and of what they refer to, ordered by name. Throws when the sources disagree. */
export function collectDefinitions(
  v2: OpenApiDocument,
  v3Documents: ReadonlyMap<string, OpenApiV3Document>,
): DefinitionFacts[] {
  const v3 = new Map<string, OpenApiV3Schema>()
  for (const document of v3Documents.values()) {
    for (const [name, schema] of Object.entries(document.components.schemas ?? {})) v3.set(name, schema)
  }
  const sources: Sources = { v2, v3, drafts: new Map() }
  const groupVersions = groupVersionsOfPackages(v2)
  const names = new Set(Object.keys(v2.definitions))
  for (const name of [...names, ...extraKinds(groupVersions)]) addDraft(sources, name)
  for (const [name, schema] of Object.entries(v2.definitions)) {
    const draft = sources.drafts.get(name)
    if (draft !== undefined) publish(sources, draft, { schema, v3: v3.get(name) })
  }
  return [...sources.drafts.values()]
    .map((draft) => toFacts(draft, { schema: v2.definitions[draft.name], groupVersions }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function toFacts(
  draft: Draft,
  {
    schema,
    groupVersions,
  }: { schema: OpenApiSchema | undefined; groupVersions: ReadonlyMap<string, { group: string; version: string }> },
): DefinitionFacts {
  const [packageName, kind] = splitName(draft.name)
  let kinds: GroupVersionKind[] = schema?.['x-kubernetes-group-version-kind'] ?? []
  if (schema === undefined && draft.struct.isKind) kinds = [{ ...groupVersions.get(packageName)!, kind }]
  if (packageName === META && kind.startsWith('PartialObjectMetadata')) {
    kinds = [{ group: 'meta.k8s.io', version: 'v1', kind }]
  }
  return {
    name: draft.name,
    fields: draft.fields,
    published: schema !== undefined,
    mapType: schema?.['x-kubernetes-map-type'],
    unions: schema?.['x-kubernetes-unions'],
    kinds,
  }
}

function groupVersionsOfPackages(v2: OpenApiDocument): Map<string, { group: string; version: string }> {
  const result = new Map(Object.entries(EXTRA_PACKAGES))
  for (const [name, schema] of Object.entries(v2.definitions)) {
    const gvk = schema['x-kubernetes-group-version-kind']?.[0]
    const [packageName] = splitName(name)
    if (gvk !== undefined && !result.has(packageName)) result.set(packageName, gvk)
  }
  for (const [packageName, { group, version }] of result) result.set(packageName, { group, version })
  return result
}

/** Definitions of the kinds in the packages' sources; those without a .proto message are left out. */
function extraKinds(groupVersions: ReadonlyMap<string, unknown>): string[] {
  const names: string[] = []
  for (const packageName of groupVersions.keys()) {
    const directory = packageDir(`${packageName}.X`)
    if (directory === undefined) continue
    const messages = readProtoMessages(directory)
    for (const struct of readGoStructs(directory).values()) {
      if (struct.isKind && messages.has(struct.name)) names.push(`${packageName}.${struct.name}`)
    }
  }
  return names
}

function splitName(definition: string): [packageName: string, name: string] {
  const dot = definition.lastIndexOf('.')
  return [definition.slice(0, dot), definition.slice(dot + 1)]
}

/** Whether upstream wraps a named list of strings (ExtraValue, Verbs) in a message, since protobuf has no such maps. */
function isStringList(definition: string): boolean {
  const source = readPackage(definition)
  const [, type] = splitName(definition)
  const items = source?.messages.get(type)?.get(1)
  return source?.structs.has(type) === false && items?.label === 'repeated' && items.type === 'string'
}

function lettersOf(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}

interface Package {
  readonly structs: Map<string, GoStruct>
  readonly messages: ReturnType<typeof readProtoMessages>
}

const packages = new Map<string, Package>()

function readPackage(definition: string): Package | undefined {
  const directory = packageDir(definition)
  if (directory === undefined) return undefined
  let source = packages.get(directory)
  if (source === undefined) {
    source = { structs: readGoStructs(directory), messages: readProtoMessages(directory) }
    for (const { name, path, target } of readGoAliases(directory)) {
      const imported = source.messages.has(name) ? importDir(path) : undefined
      const struct = imported === undefined ? undefined : readGoStructs(imported).get(target)
      if (struct !== undefined) source.structs.set(name, struct)
    }
    packages.set(directory, source)
  }
  return source
}

function addDraft(sources: Sources, name: string): void {
  if (sources.drafts.has(name) || WIRE_CODES[name] !== undefined) return
  const source = readPackage(name)
  const [, type] = splitName(name)
  const struct = source?.structs.get(type)
  if (source === undefined || struct === undefined) return
  const draft: Draft = { name, struct, messages: source.messages.get(type) ?? new Map(), fields: [] }
  sources.drafts.set(name, draft)
  if (struct.isKind) draft.fields.push(typeMetaField('kind'), typeMetaField('apiVersion'))
  for (const field of struct.fields) addField(sources, draft, field)
}

function typeMetaField(json: string): Mutable<FieldFacts> {
  return {
    json,
    number: undefined,
    type: 's',
    pointer: false,
    omitEmpty: true,
    omitZero: false,
    v2: undefined,
    v3: undefined,
    required: false,
  }
}

function addField(sources: Sources, draft: Draft, field: GoField): void {
  const proto = field.number === undefined ? undefined : draft.messages.get(field.number)
  if (proto !== undefined && field.json !== '' && lettersOf(proto.name) !== lettersOf(field.json)) {
    throw new Error(`Cannot read ${draft.name}: field ${field.json} is ${proto.name} in the .proto file`)
  }
  const type = proto === undefined ? '' : typeCode(sources, proto)
  const { json, pointer, omitEmpty, omitZero, number } = field
  draft.fields.push({
    json,
    number: proto === undefined ? undefined : number,
    type,
    pointer,
    omitEmpty,
    omitZero,
    v2: undefined,
    v3: undefined,
    required: false,
  })
}

function typeCode(sources: Sources, proto: ProtoField): string {
  const definition = definitionOfMessage(proto.type)
  const wire = WIRE_CODES[definition] ?? (isStringList(definition) ? 'v' : undefined)
  if (wire === undefined) addDraft(sources, definition)
  const item = wire ?? `$${definition}`
  return proto.label === 'repeated' ? `[${item}` : proto.label === 'map' ? `{${item}` : item
}

/** Adds what the published description says of each field, also to the fields of inlined structs. */
function publish(
  sources: Sources,
  draft: Draft,
  { schema, v3, partial = false }: { schema: OpenApiSchema; v3: OpenApiV3Schema | undefined; partial?: boolean },
): Set<string> {
  const seen = new Set<string>()
  for (const field of draft.fields) {
    if (field.json === '') {
      const inlined = sources.drafts.get(field.type.slice(1))!
      for (const name of publish(sources, inlined, { schema, v3, partial: true })) seen.add(name)
      continue
    }
    seen.add(field.json)
    const property = schema.properties?.[field.json]
    if (property === undefined) throw new Error(`Cannot match ${draft.name}: ${field.json} is not published`)
    field.v2 = property
    field.v3 = v3?.properties?.[field.json]
    field.required = schema.required?.includes(field.json) ?? false
    const published = publishedCode(property)
    if (field.type === '') field.type = published
    if (generalized(field.type) !== generalized(published)) {
      throw new Error(
        `Cannot match ${draft.name}.${field.json}: ${field.type} in the .proto file, ${published} published`,
      )
    }
  }
  const extra = Object.keys(schema.properties ?? {}).filter((name) => !seen.has(name))
  if (!partial && extra.length > 0)
    throw new Error(`Cannot match ${draft.name}: ${extra.join(', ')} not in the Go struct`)
  return seen
}

/** What both sources can tell: ExtraValue is published as a list of strings, Duration as a string. */
function generalized(code: string): string {
  return code.replace('v', '[s').replace('u', 's')
}

const PUBLISHED_CODES: Readonly<Record<string, string>> = {
  'string/': 's',
  'string/byte': 'y',
  'integer/int32': 'i',
  'integer/int64': 'l',
  'number/double': 'd',
  'boolean/': 'b',
}

function publishedCode(schema: OpenApiSchema): string {
  if (schema.$ref !== undefined) {
    const definition = schema.$ref.slice('#/definitions/'.length)
    return WIRE_CODES[definition] ?? `$${definition}`
  }
  if (schema.type === 'array') return `[${publishedCode(schema.items ?? {})}`
  if (schema.type === 'object') return `{${publishedCode(schema.additionalProperties ?? {})}`
  const code = PUBLISHED_CODES[`${schema.type}/${schema.format ?? ''}`]
  if (code === undefined) throw new Error(`Cannot name the type ${JSON.stringify(schema)}`)
  return code
}
