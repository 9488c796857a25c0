import { deepEqual, isRecord } from '../meta/values.ts'
import type { StructSchema, ValueSchema } from '../schema/schema.ts'
import {
  EMPTY_SET,
  isEmptySet,
  MEMBER,
  SELF,
  subtractSubtrees,
  type FieldSet,
  type MutableFieldSet,
} from './field-set.ts'
import { granularityOf, itemsOf, memberSchema, membersOf } from './node-schema.ts'
import { itemElement, type ListSchema } from './path-element.ts'

/** How two objects differ, field by field. */
export interface Comparison {
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

/**
 * Compares two versions of an object. Subtrees that are the same value (`===`) cost nothing.
 * Source: structured-merge-diff/v6 typed/compare.go.
 */
export function compareObjects(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  schema: StructSchema,
): Comparison {
  return compareMembers(before, after, { type: 'struct', struct: () => schema }) ?? NO_CHANGE
}

/** Leaves out what a request may not set anyway, such as `status` on the main resource. */
export function withoutFields(comparison: Comparison, fields: FieldSet | undefined): Comparison {
  if (fields === undefined || isEmptySet(fields)) return comparison
  return {
    added: subtractSubtrees(comparison.added, fields),
    modified: subtractSubtrees(comparison.modified, fields),
    removed: subtractSubtrees(comparison.removed, fields),
  }
}

const NO_CHANGE: Comparison = { added: EMPTY_SET, modified: EMPTY_SET, removed: EMPTY_SET }

/** Nodes of one element in the three sets; undefined parts hold nothing. */
interface NodeComparison {
  readonly added?: FieldSet | undefined
  readonly modified?: FieldSet | undefined
  readonly removed?: FieldSet | undefined
}

function compareValues(before: unknown, after: unknown, schema: ValueSchema): NodeComparison | undefined {
  if (before === after) return undefined
  if (before === undefined) return { added: describeWhole(after, schema) }
  if (after === undefined) return { removed: describeWhole(before, schema) }
  const granularity = granularityOf(schema, after)
  const isSameKind = granularityOf(schema, before) === granularity
  if (granularity === 'leaf' || !isSameKind || (isHollow(before) && isHollow(after))) {
    return deepEqual(before, after) && isRecord(before) === isRecord(after) ? undefined : { modified: MEMBER }
  }
  if (granularity === 'items') return asNode(compareItems(itemsOf(before), itemsOf(after), schema as ListSchema))
  return asNode(compareMembers(membersOf(before), membersOf(after), schema))
}

/** Nothing to descend into: upstream then treats the value as one leaf. */
function isHollow(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  if (!isRecord(value)) return true
  for (const _key in value) return false
  return true
}

function compareMembers(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  schema: ValueSchema,
): Comparison | undefined {
  let changes: ComparisonDraft | undefined
  for (const key in after) {
    const old = Object.hasOwn(before, key) ? before[key] : undefined
    if (old === after[key]) continue
    const node = compareValues(old, after[key], memberSchema(schema, key))
    if (node !== undefined) changes = record(changes, `f:${key}`, node)
  }
  for (const key in before) {
    if (before[key] === undefined || (Object.hasOwn(after, key) && after[key] !== undefined)) continue
    changes = record(changes, `f:${key}`, { removed: describeWhole(before[key], memberSchema(schema, key)) })
  }
  return changes
}

function compareItems(
  before: readonly unknown[],
  after: readonly unknown[],
  schema: ListSchema,
): Comparison | undefined {
  if (haveSameNames(before, after, schema)) return comparePairs(before, after, schema)
  const old = groupItems(before, schema)
  const now = groupItems(after, schema)
  let changes: ComparisonDraft | undefined
  for (const [element, items] of now) {
    const node = compareGroups(old.get(element), items, schema)
    if (node !== undefined) changes = record(changes, element, node)
  }
  for (const [element, items] of old) {
    if (!now.has(element)) changes = record(changes, element, { removed: describeWhole(items[0], schema.items) })
  }
  return changes
}

/** True when both lists hold the same items in the same order, which is how most writes leave most lists. */
function haveSameNames(before: readonly unknown[], after: readonly unknown[], schema: ListSchema): boolean {
  if (before.length !== after.length || schema.listMapKeys === undefined) return false
  for (let i = 0; i < before.length; i++) {
    const old = before[i]
    const now = after[i]
    if (old === now) continue
    if (!isRecord(old) || !isRecord(now)) return false
    for (const key of schema.listMapKeys) if (old[key] !== now[key]) return false
  }
  return true
}

function comparePairs(
  before: readonly unknown[],
  after: readonly unknown[],
  schema: ListSchema,
): Comparison | undefined {
  let changes: ComparisonDraft | undefined
  for (let i = 0; i < before.length; i++) {
    const node = compareValues(before[i], after[i], schema.items)
    if (node !== undefined) changes = record(changes, itemElement(schema, after[i]), node)
  }
  return changes
}

/** Items that share a name (only old objects have such) are compared as one. */
function compareGroups(old: unknown[] | undefined, now: unknown[], schema: ListSchema): NodeComparison | undefined {
  if (old === undefined) return { added: now.length > 1 ? MEMBER : describeWhole(now[0], schema.items) }
  if (old.length === 1 && now.length === 1) return compareValues(old[0], now[0], schema.items)
  return deepEqual(old, now) ? undefined : { modified: MEMBER }
}

function groupItems(items: readonly unknown[], schema: ListSchema): Map<string, unknown[]> {
  const groups = new Map<string, unknown[]>()
  for (const item of items) {
    const element = itemElement(schema, item)
    const group = groups.get(element)
    if (group === undefined) groups.set(element, [item])
    else group.push(item)
  }
  return groups
}

/** The set of a value that comes or goes as a whole: itself and everything below. */
function describeWhole(value: unknown, schema: ValueSchema): FieldSet {
  const granularity = granularityOf(schema, value)
  if (granularity === 'leaf' || isHollow(value)) return MEMBER
  const node: MutableFieldSet = { [SELF]: MEMBER }
  if (granularity === 'items') {
    const list = schema as ListSchema
    for (const [element, items] of groupItems(itemsOf(value), list)) {
      node[element] = items.length > 1 ? MEMBER : describeWhole(items[0], list.items)
    }
    return node
  }
  const members = membersOf(value)
  for (const key in members) {
    if (members[key] !== undefined) node[`f:${key}`] = describeWhole(members[key], memberSchema(schema, key))
  }
  return node
}

interface ComparisonDraft {
  added: MutableFieldSet
  modified: MutableFieldSet
  removed: MutableFieldSet
}

function record(draft: ComparisonDraft | undefined, element: string, node: NodeComparison): ComparisonDraft {
  const changes = draft ?? { added: {}, modified: {}, removed: {} }
  if (node.added !== undefined) changes.added[element] = node.added
  if (node.modified !== undefined) changes.modified[element] = node.modified
  if (node.removed !== undefined) changes.removed[element] = node.removed
  return changes
}

function asNode(comparison: Comparison | undefined): NodeComparison | undefined {
  if (comparison === undefined) return undefined
  const { added, modified, removed } = comparison
  return {
    added: isEmptySet(added) ? undefined : added,
    modified: isEmptySet(modified) ? undefined : modified,
    removed: isEmptySet(removed) ? undefined : removed,
  }
}
