import { isRecord } from '../meta/values.ts'
import type { StructSchema, ValueSchema } from '../schema/schema.ts'
import { EMPTY_SET, isEmptySet, MEMBER, SELF, type FieldSet, type MutableFieldSet } from './field-set.ts'
import { EMPTIED, granularityOf, isDeclared, itemsOf, memberSchema, membersOf } from './node-schema.ts'
import { itemElement, type ListSchema } from './path-element.ts'

/**
 * The fields that an object sets: leaves, items of lists, keys of maps; a struct counts only by its fields, unless it is empty.
 * Throws `FieldTypeError`. Source: structured-merge-diff/v6 typed/tofieldset.go.
 */
export function fieldSetOf(object: Readonly<Record<string, unknown>>, schema: StructSchema): FieldSet {
  return describeMembers(object, { type: 'struct', struct: () => schema })
}

function describeMembers(members: Readonly<Record<string, unknown>>, schema: ValueSchema): FieldSet {
  const set: MutableFieldSet = {}
  for (const key in members) {
    const value = members[key]
    if (value === undefined) continue
    const isSelfMember = value === null || value === EMPTIED || isEmptyRecord(value) || !isDeclared(schema, key)
    const node = describe(value, memberSchema(schema, key), isSelfMember)
    if (node !== undefined) set[`f:${key}`] = node
  }
  return set
}

function isEmptyRecord(value: unknown): boolean {
  return isRecord(value) && isEmptySet(value as FieldSet)
}

/** Undefined when the value sets nothing, as an empty list. */
function describe(value: unknown, schema: ValueSchema, isSelfMember: boolean): FieldSet | undefined {
  const granularity = granularityOf(schema, value)
  if (granularity === 'leaf') return MEMBER
  const children =
    granularity === 'items'
      ? describeItems(itemsOf(value), schema as ListSchema)
      : describeMembers(membersOf(value), schema)
  if (isEmptySet(children)) return isSelfMember ? MEMBER : undefined
  return isSelfMember ? { [SELF]: MEMBER, ...children } : children
}

function describeItems(items: readonly unknown[], schema: ListSchema): FieldSet {
  if (items.length === 0) return EMPTY_SET
  const set: MutableFieldSet = {}
  for (const item of items) {
    const element = itemElement(schema, item)
    // Items that share a name are owned together, without their fields.
    set[element] = Object.hasOwn(set, element) ? MEMBER : (describe(item, schema.items, true) ?? MEMBER)
  }
  return set
}

/**
 * Adds to a set every declared field that has children in it, so that removing what is below also accounts for the field.
 * Source: structured-merge-diff/v6 fieldpath EnsureNamedFieldsAreMembers.
 */
export function withDeclaredParents(set: FieldSet, schema: ValueSchema): FieldSet {
  const result: MutableFieldSet = {}
  for (const element in set) {
    if (element === SELF) {
      result[element] = MEMBER
      continue
    }
    const node = set[element]!
    const isField = element.startsWith('f:')
    const key = element.slice(2)
    const childSchema = isField ? memberSchema(schema, key) : schema.type === 'list' ? schema.items : schema
    const inner = isEmptySet(node) ? node : withDeclaredParents(node, childSchema)
    const isAdded = isField && isDeclared(schema, key) && !isEmptySet(inner) && !(SELF in inner)
    result[element] = isAdded ? { [SELF]: MEMBER, ...inner } : inner
  }
  return result
}
