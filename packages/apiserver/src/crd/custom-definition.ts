import {
  convertCustomResource,
  defaultObject,
  evaluateJsonPath,
  findResource,
  formatAge,
  printerColumnValue,
  pruneObject,
  toStructSchema,
  validateCustomResource,
  type CustomResourceDescription,
  type KindBehavior,
  type KubeObject,
  type ResourceInfo,
  type StructSchema,
  type SubresourceInfo,
  type TableColumn,
} from '@centaurus/api'
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinition,
  CustomResourceDefinitionVersion,
  JSONSchemaProps,
} from '@centaurus/api/apiextensions/v1'
import type { ResourceDefinition, StorageForm } from '../resource/registry.ts'
import { isConditionTrue } from './naming.ts'

const VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch']
const SUBRESOURCE_VERBS = ['get', 'patch', 'update']
/** Upstream's column when a version names none. */
const AGE_COLUMN: CustomResourceColumnDefinition = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description:
    'CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.',
}
const NAME_COLUMN: TableColumn = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace.',
  priority: 0,
}

type AnyObject = Record<string, unknown>

/** What the server serves for a definition: each served version. Those of one definition share their objects in the store. */
export function customDefinitions(crd: Readonly<CustomResourceDefinition>): ResourceDefinition[] {
  const storage = storageForm(crd)
  return crd.spec.versions.filter((version) => version.served).map((version) => defineVersion(crd, version, storage))
}

/** The same for kinds of the cluster itself, of which no CustomResourceDefinition tells OpenAPI. */
export function ownDefinitions(crd: Readonly<CustomResourceDefinition>): ResourceDefinition[] {
  const descriptions = describeCustomResources(crd)
  return customDefinitions(crd).map((definition) => {
    const description = descriptions.find(({ version }) => version === definition.info.version)
    return description === undefined ? definition : { ...definition, description }
  })
}

/** What OpenAPI says about each served version. */
export function describeCustomResources(crd: Readonly<CustomResourceDefinition>): CustomResourceDescription[] {
  return crd.spec.versions
    .filter((version) => version.served)
    .map((version) => ({
      group: crd.spec.group,
      version: version.name,
      resource: crd.spec.names.plural,
      kind: crd.spec.names.kind,
      listKind: listKindOf(crd),
      namespaced: crd.spec.scope === 'Namespaced',
      subresources: subresourcesOf(crd, version).map(({ name }) => name),
      schema: version.schema?.openAPIV3Schema as CustomResourceDescription['schema'],
    }))
}

function storageForm({ spec }: Readonly<CustomResourceDefinition>): StorageForm {
  const { group, names, scope, versions } = spec
  const version = versions.find((entry) => entry.storage)?.name ?? ''
  return {
    group,
    resource: names.plural,
    version,
    kind: names.kind,
    keyGroup: group,
    namespaced: scope === 'Namespaced',
  }
}

function defineVersion(
  crd: Readonly<CustomResourceDefinition>,
  version: CustomResourceDefinitionVersion,
  storage: StorageForm,
): ResourceDefinition {
  const schema = version.schema?.openAPIV3Schema ?? {}
  const apiVersion = `${storage.group}/${version.name}`
  const scale = version.subresources?.scale
  return {
    info: describeInfo(crd, version, storage),
    behavior: defineBehavior(version),
    storage,
    prune(object) {
      const dropped = pruneObject(object as unknown as AnyObject, schema)
      defaultObject(object as unknown as AnyObject, schema)
      return dropped
    },
    validateSchema: (object, old) =>
      validateCustomResource(object as unknown as AnyObject, schema, { old: old as AnyObject | undefined }),
    ...(scale === undefined ? {} : { scale }),
    ...(version.deprecated === true
      ? { deprecation: describeDeprecation(version, { apiVersion, kind: storage.kind }) }
      : {}),
    ...(needsReading(crd, version, schema)
      ? { fromStorage: (object: KubeObject) => readStored(object, apiVersion, schema) }
      : {}),
    ...(version.name === storage.version
      ? {}
      : { toStorage: (object: KubeObject) => convertCustomResource(object, `${storage.group}/${storage.version}`) }),
  }
}

/** Source: apiextensions-apiserver pkg/apiserver/customresource_handler.go, v0.37. */
function describeDeprecation(
  { deprecationWarning }: CustomResourceDefinitionVersion,
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
): string {
  return deprecationWarning ?? `${apiVersion} ${kind} is deprecated`
}

/** True when what the store holds may not be what clients of this version should see. */
function needsReading(
  crd: Readonly<CustomResourceDefinition>,
  version: CustomResourceDefinitionVersion,
  schema: JSONSchemaProps,
): boolean {
  const stored = crd.status?.storedVersions ?? []
  return !version.storage || stored.some((name) => name !== version.name) || hasDefaults(schema)
}

/** An object may have been stored under an older schema: it is pruned and defaulted when it is read, as upstream does. */
function readStored(object: KubeObject, apiVersion: string, schema: JSONSchemaProps): KubeObject {
  const converted = convertCustomResource(object, apiVersion)
  pruneObject(converted as unknown as AnyObject, schema)
  defaultObject(converted as unknown as AnyObject, schema)
  return converted
}

function hasDefaults(schema: unknown): boolean {
  if (Array.isArray(schema)) return schema.some(hasDefaults)
  if (typeof schema !== 'object' || schema === null) return false
  const { default: value, properties, items, additionalProperties } = schema as JSONSchemaProps
  return (
    value !== undefined ||
    Object.values(properties ?? {}).some(hasDefaults) ||
    hasDefaults(items) ||
    hasDefaults(additionalProperties)
  )
}

function describeInfo(
  crd: Readonly<CustomResourceDefinition>,
  version: CustomResourceDefinitionVersion,
  storage: StorageForm,
): ResourceInfo {
  const { spec, status } = crd
  const names = status?.acceptedNames ?? spec.names
  const isTerminating = isConditionTrue(status ?? {}, 'Terminating') || crd.metadata.deletionTimestamp !== undefined
  return {
    group: spec.group,
    version: version.name,
    resource: spec.names.plural,
    singular: spec.names.singular ?? spec.names.kind.toLowerCase(),
    kind: spec.names.kind,
    listKind: listKindOf(crd),
    namespaced: storage.namespaced,
    verbs: isTerminating ? VERBS.filter((verb) => verb !== 'create') : VERBS,
    returnsDeleted: false,
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    subresources: subresourcesOf(crd, version),
    storageVersion: storage.version,
    storageGroup: storage.group,
    schema: structOf(version),
  }
}

function structOf(version: CustomResourceDefinitionVersion): () => StructSchema {
  let struct: StructSchema | undefined
  return () => (struct ??= toStructSchema(version.schema?.openAPIV3Schema ?? {}, { objectMeta: objectMetaStruct }))
}

function objectMetaStruct(): StructSchema {
  const metadata = findResource('', 'v1', 'configmaps')?.schema().fields.get('metadata')?.value
  if (metadata?.type !== 'struct') throw new TypeError('ConfigMap has no metadata')
  return metadata.struct()
}

function subresourcesOf(
  { spec }: Readonly<CustomResourceDefinition>,
  { name, subresources }: CustomResourceDefinitionVersion,
): SubresourceInfo[] {
  const found: SubresourceInfo[] = []
  if (subresources?.status !== undefined) {
    found.push({ name: 'status', group: spec.group, version: name, kind: spec.names.kind, verbs: SUBRESOURCE_VERBS })
  }
  if (subresources?.scale !== undefined) {
    found.push({ name: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: SUBRESOURCE_VERBS })
  }
  return found
}

/** Source: apiextensions-apiserver pkg/registry/customresource/tableconvertor (v0.37). */
function defineBehavior({
  additionalPrinterColumns = [],
  selectableFields = [],
}: CustomResourceDefinitionVersion): KindBehavior {
  const extra = additionalPrinterColumns.length === 0 ? [AGE_COLUMN] : additionalPrinterColumns
  const columns = extra.map(({ name, type, format, description, priority }): TableColumn => {
    const shown = {
      name,
      type: type as TableColumn['type'],
      description: description ?? '',
      priority: (priority ?? 0) as 0 | 1,
    }
    return { ...shown, format: (format ?? '') as TableColumn['format'] }
  })
  const fields = selectableFields.map(({ jsonPath }) => ({ name: jsonPath.replace(/^\./, ''), jsonPath }))
  return {
    allowUnconditionalUpdate: false,
    columns: [NAME_COLUMN, ...columns],
    row: (object, nowMs) => [object.metadata.name, ...extra.map((column) => cellOf(column, object, nowMs))],
    selectableFieldNames: fields.map(({ name }) => name),
    selectableFields: (object) =>
      Object.fromEntries(fields.map(({ name, jsonPath }) => [name, fieldText(jsonPath, object)])),
  }
}

function cellOf(column: CustomResourceColumnDefinition, object: KubeObject, nowMs: number): unknown {
  const value = printerColumnValue(column, object)
  return column.type === 'date' && typeof value === 'string' ? formatAge(value, nowMs) : value
}

function fieldText(jsonPath: string, object: KubeObject): string {
  const [value] = evaluateJsonPath(jsonPath, object)
  return value === undefined || value === null ? '' : String(value)
}

function listKindOf({ spec }: Readonly<CustomResourceDefinition>): string {
  return spec.names.listKind ?? `${spec.names.kind}List`
}
