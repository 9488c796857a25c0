import { isRecord } from '../meta/values.ts'
import type { StructSchema, ValueSchema } from '../schema/schema.ts'
import { isEmptySet, isMember, type FieldSet } from './field-set.ts'
import { EMPTIED, granularityOf, itemsOf, memberSchema } from './node-schema.ts'
import { itemElement, type ListSchema } from './path-element.ts'

/**
 * `object` without the members of `fields`; structs and lists that become empty are {@link EMPTIED}. Shares what
 * it keeps.
 * Source: structured-merge-diff/v6 typed/remove.go.
 */
export function removeFields(
  object: Readonly<Record<string, unknown>>,
  fields: FieldSet,
  schema: StructSchema,
): Record<string, unknown> {
  return removeMembers(object, fields, { type: 'struct', struct: () => schema })
}

function removeMembers(
  members: Readonly<Record<string, unknown>>,
  fields: FieldSet,
  schema: ValueSchema,
): Record<string, unknown> {
  const kept: Record<string, unknown> = { ...members }
  for (const element in fields) {
    const key = element.slice(2)
    if (!element.startsWith('f:') || !Object.hasOwn(kept, key)) continue
    const node = fields[element]!
    if (isMember(node)) delete kept[key]
    else kept[key] = removeBelow(kept[key], node, memberSchema(schema, key)) ?? EMPTIED
  }
  return kept
}

/** Undefined when nothing is left. */
function removeBelow(value: unknown, fields: FieldSet, schema: ValueSchema): unknown {
  const granularity = granularityOf(schema, value)
  if (granularity === 'members' && isRecord(value)) {
    const kept = removeMembers(value, fields, schema)
    return isEmptySet(kept as FieldSet) ? undefined : kept
  }
  if (granularity === 'items') {
    const kept = removeItems(itemsOf(value), fields, schema as ListSchema)
    return kept.length === 0 ? undefined : kept
  }
  return value
}

function removeItems(items: readonly unknown[], fields: FieldSet, schema: ListSchema): unknown[] {
  const kept: unknown[] = []
  for (const item of items) {
    const element = itemElement(schema, item)
    const node = Object.hasOwn(fields, element) ? fields[element] : undefined
    if (node === undefined) kept.push(item)
    else if (!isMember(node)) kept.push(removeBelow(item, node, schema.items) ?? {})
  }
  return kept
}
