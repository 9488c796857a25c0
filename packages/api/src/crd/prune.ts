import type { JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import { isRecord } from '../meta/values.ts'

const RESOURCE_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata'])

/**
 * Removes from `object` (changed in place) the fields that its structural schema does not have.
 * Returns their paths, such as `spec.foo`, in the order of the object, for field validation.
 * Source: apiextensions-apiserver pkg/apiserver/schema/pruning.
 */
export function pruneObject(object: Record<string, unknown>, schema: JSONSchemaProps): string[] {
  const pruned: string[] = []
  pruneMembers(object, schema, { path: '', isResource: true, pruned })
  return pruned
}

interface PruneState {
  readonly path: string
  readonly isResource: boolean
  readonly pruned: string[]
}

function pruneValue(value: unknown, schema: JSONSchemaProps, path: string, pruned: string[]): void {
  if (Array.isArray(value)) {
    const items = schema.items
    const itemSchema = items === undefined || Array.isArray(items) ? undefined : items
    for (const [i, item] of (value as unknown[]).entries()) {
      if (itemSchema !== undefined) pruneValue(item, itemSchema, `${path}[${i}]`, pruned)
      else if (schema['x-kubernetes-preserve-unknown-fields'] !== true) pruneValue(item, {}, `${path}[${i}]`, pruned)
    }
  } else if (isRecord(value)) {
    pruneMembers(value, schema, { path, isResource: schema['x-kubernetes-embedded-resource'] === true, pruned })
  }
}

function pruneMembers(members: Record<string, unknown>, schema: JSONSchemaProps, state: PruneState): void {
  const additional = schema.additionalProperties
  for (const key of Object.keys(members)) {
    const path = state.path === '' ? key : `${state.path}.${key}`
    if (state.isResource && RESOURCE_FIELDS.has(key)) continue
    const property = Object.hasOwn(schema.properties ?? {}, key) ? schema.properties?.[key] : undefined
    if (property !== undefined) pruneValue(members[key], property, path, state.pruned)
    else if (isRecord(additional)) pruneValue(members[key], additional as JSONSchemaProps, path, state.pruned)
    else if (additional !== true && schema['x-kubernetes-preserve-unknown-fields'] !== true) {
      delete members[key]
      state.pruned.push(path)
    }
  }
}
