import { isRecord } from '../meta/values.ts'
import type { StructSchema, ValueSchema } from '../schema/schema.ts'
import { isAssociative } from './path-element.ts'

/** A value of which nothing is known: maps merge by member, lists are one thing. Source: structured-merge-diff deduced types. */
export const DEDUCED: StructSchema = { name: '', fields: new Map(), preserveUnknownFields: true }
export const DEDUCED_VALUE: ValueSchema = { type: 'struct', struct: () => DEDUCED }

/**
 * Stands where a struct, map or list lost its last member: it is still there for whoever owns it, and gone in the end.
 * Upstream has a null there, which its typed objects then forget.
 */
export const EMPTIED: unique symbol = Symbol('emptied')

/** How the walkers treat a value. */
export type Granularity = 'leaf' | 'members' | 'items'

/** True for what is owned by member, owned by item, or owned as a whole. `value` decides only for deduced types. */
export function granularityOf(schema: ValueSchema, value: unknown): Granularity {
  switch (schema.type) {
    case 'struct':
      if (schema.mapType === 'atomic') return 'leaf'
      return value === null || value === undefined || value === EMPTIED || isRecord(value) ? 'members' : 'leaf'
    case 'map':
      return schema.mapType === 'atomic' ? 'leaf' : 'members'
    case 'list':
      return isAssociative(schema) ? 'items' : 'leaf'
    default:
      return 'leaf'
  }
}

/** Schema of a member of a struct or map; a field that a struct does not know is deduced. */
export function memberSchema(schema: ValueSchema, key: string): ValueSchema {
  if (schema.type === 'struct') return schema.struct().fields.get(key)?.value ?? DEDUCED_VALUE
  return schema.type === 'map' ? schema.values : DEDUCED_VALUE
}

/** True when `key` is a declared field, and not merely a key of a map. */
export function isDeclared(schema: ValueSchema, key: string): boolean {
  return schema.type === 'struct' && schema.struct().fields.has(key)
}

export function membersOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {}
}

export function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}

/** A copy without what was emptied; shares the rest. */
export function withoutEmptied(value: unknown): unknown {
  if (Array.isArray(value)) return (value as unknown[]).map(withoutEmptied)
  if (!isRecord(value)) return value
  const kept = Object.entries(value).filter(([, member]) => member !== EMPTIED)
  return Object.fromEntries(kept.map(([key, member]) => [key, withoutEmptied(member)]))
}
