import type { DescribedResource } from './operations.ts'
import { refPrefix, type CustomResourceDescription, type Dialect, type SchemaJson } from './types.ts'

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

/**
 * What v2 cannot say; kubectl before 1.27 reads v2 and refuses what it does not know. Source: apiextensions-apiserver
 * pkg/controller/openapi/v2/conversion.go (ToStructuralOpenAPIV2), v0.37.2.
 */
const NOT_IN_V2 = new Set(['nullable', 'oneOf', 'anyOf', 'allOf', 'not', 'default', 'x-kubernetes-validations'])

/** Such as `com.example.v1.Widget`: the group backwards. Source: kube-openapi util.ToRESTFriendlyName. */
function definitionName(group: string, version: string, kind: string): string {
  return [...group.split('.').reverse(), version, kind].join('.')
}

export function describeCustomResource(description: CustomResourceDescription): DescribedResource {
  const { group, version, resource, kind, listKind, namespaced } = description
  const subresources = description.subresources.map((name) => {
    const verbs = ['get', 'patch', 'update']
    if (name === 'scale') return { name, group: 'autoscaling', version: 'v1', kind: 'Scale', verbs }
    return { name, group, version, kind, verbs }
  })
  return {
    group,
    version,
    resource,
    kind,
    listKind,
    namespaced,
    verbs: description.verbs ?? VERBS,
    subresources,
    returnsDeleted: false,
    definition: definitionName(group, version, kind),
    listDefinition: definitionName(group, version, listKind),
    hasProtobuf: false,
  }
}

/** Definitions of a custom resource and its list, by name. */
export function customDefinitions(description: CustomResourceDescription, dialect: Dialect): Map<string, SchemaJson> {
  const { group, version, kind, listKind } = description
  const { definition, listDefinition } = describeCustomResource(description)
  const ref = (name: string): SchemaJson => ({ $ref: refPrefix(dialect) + name })
  const typeMeta = { apiVersion: { type: 'string' }, kind: { type: 'string' } }
  const schema = convertSchema(
    description.schema ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    dialect,
  )
  const object = {
    ...schema,
    type: 'object',
    properties: {
      ...(schema['properties'] as SchemaJson | undefined),
      ...typeMeta,
      metadata: ref(`${META}.ObjectMeta`),
    },
    'x-kubernetes-group-version-kind': [{ group, kind, version }],
  }
  const list = {
    description: `${listKind} is a list of ${kind}`,
    type: 'object',
    required: ['items'],
    properties: { ...typeMeta, metadata: ref(`${META}.ListMeta`), items: { type: 'array', items: ref(definition) } },
    'x-kubernetes-group-version-kind': [{ group, kind: listKind, version }],
  }
  return new Map<string, SchemaJson>([
    [definition, object],
    [listDefinition, list],
  ])
}

/** References of custom definitions to built-in ones. */
export const CUSTOM_REFERENCES: readonly string[] = [`${META}.ObjectMeta`, `${META}.ListMeta`]

function convertSchema(schema: SchemaJson, dialect: Dialect): SchemaJson {
  if (dialect === 'v3') return schema
  // An open object says nothing to a client that would prune by it, so v2 leaves its fields out.
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true
  const isUntyped = schema['x-kubernetes-int-or-string'] === true || schema['nullable'] === true
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(schema)) {
    if (NOT_IN_V2.has(key) || (isUntyped && (key === 'type' || key === 'items'))) continue
    if (isOpen && (key === 'properties' || key === 'items' || key === 'required' || key === 'additionalProperties'))
      continue
    result[key] = convertMember(key, value)
  }
  if (isUntyped) delete result['properties']
  return result
}

function convertMember(key: string, value: unknown): unknown {
  if (key === 'items' || (key === 'additionalProperties' && typeof value === 'object')) {
    return convertSchema(value as SchemaJson, 'v2')
  }
  if (key !== 'properties') return value
  return Object.fromEntries(
    Object.entries(value as SchemaJson).map(([name, child]) => [name, convertSchema(child as SchemaJson, 'v2')]),
  )
}
