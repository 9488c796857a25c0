import { isRecord } from '../meta/values.ts'
import type { StructSchema, ValueSchema } from './schema.ts'

/** What an absent field of a struct becomes, and which fields hold more structs. Made once a struct. */
interface Plan {
  /** Structs are made anew by a function. */
  readonly zeros: readonly (readonly [field: string, value: unknown])[]
  readonly inner: ReadonlyMap<string, ValueSchema>
}

const plans = new WeakMap<StructSchema, Plan>()

/**
 * `object` with the fields that upstream's encoder always writes: structs that are no pointers (`status: {}`) and scalars without
 * omitempty (`replicas: 0`), which clients with typed models insist on. Lists and times that upstream writes as `null` are left
 * out. Changes nothing: what has to be added is added to copies, and where nothing has to be, the same value comes back. Parts
 * that `like` (an object that was filled before) has too (`===`) are not looked at.
 * Source: encoding/json's omitempty, by the Go types of k8s.io/api v0.37.
 */
export function fillZeros<T extends object>(object: T, schema: StructSchema, like?: object): T {
  return fillStruct(object as Record<string, unknown>, schema, like) as T
}

function fillStruct(object: Record<string, unknown>, schema: StructSchema, like: unknown): Record<string, unknown> {
  const { zeros, inner } = planOf(schema)
  const known = isRecord(like) ? like : undefined
  let result = object
  const set = (field: string, value: unknown): void => {
    if (result === object) result = { ...object }
    result[field] = value
  }
  for (const field in object) {
    const value = object[field]
    if (typeof value !== 'object' || value === null || value === known?.[field]) continue
    const below = inner.get(field)
    if (below === undefined) continue
    const filled = fillValue(value, below, known?.[field])
    if (filled !== value) set(field, filled)
  }
  for (const [field, zero] of zeros) {
    // `null` is what a list or a pointer may be, but not what these can be
    // a struct of its own, since behaviours write into what they find
    if (object[field] === undefined || object[field] === null) {
      set(field, typeof zero === 'function' ? (zero as () => unknown)() : zero)
    }
  }
  return result
}

function fillValue(value: object, schema: ValueSchema, like: unknown): unknown {
  if (schema.type === 'struct') return isRecord(value) ? fillStruct(value, schema.struct(), like) : value
  if (schema.type === 'list') return Array.isArray(value) ? fillItems(value, schema.items, like) : value
  if (schema.type !== 'map' || !isRecord(value)) return value
  let result = value
  for (const key in value) {
    const item = value[key]
    if (!isRecord(item)) continue
    const filled = fillValue(item, schema.values, isRecord(like) ? like[key] : undefined)
    if (filled === item) continue
    if (result === value) result = { ...value }
    result[key] = filled
  }
  return result
}

function fillItems(items: readonly unknown[], schema: ValueSchema, like: unknown): readonly unknown[] {
  const known = Array.isArray(like) ? like : []
  let result: unknown[] | undefined
  for (let i = 0; i < items.length; i++) {
    const item = items[i]
    if (typeof item !== 'object' || item === null || item === known[i]) continue
    const filled = fillValue(item, schema, known[i])
    if (filled !== item) (result ??= [...items])[i] = filled
  }
  return result ?? items
}

/** Schemas refer to themselves (JSONSchemaProps), always through something that may be absent: this ends. */
function planOf(schema: StructSchema): Plan {
  const known = plans.get(schema)
  if (known !== undefined) return known
  const zeros: [string, unknown][] = []
  const inner = new Map<string, ValueSchema>()
  for (const [name, { value, zero }] of schema.fields) {
    if (leadsToStruct(value)) inner.set(name, value)
    if (zero === undefined || zero === null) continue
    zeros.push([name, value.type === 'struct' ? () => fillStruct({}, value.struct(), undefined) : zero])
  }
  const plan = { zeros, inner }
  plans.set(schema, plan)
  return plan
}

function leadsToStruct(value: ValueSchema): boolean {
  if (value.type === 'list') return leadsToStruct(value.items)
  if (value.type === 'map') return leadsToStruct(value.values)
  return value.type === 'struct'
}

const empties = new WeakMap<StructSchema, Record<string, unknown>>()

/**
 * What upstream's encoder makes of an object of which nothing was set, with empty lists and maps where it writes `null`: what a
 * new object is compared with to see who owns what. Shared: do not change it.
 */
export function emptyObject(schema: StructSchema): Readonly<Record<string, unknown>> {
  const known = empties.get(schema)
  if (known !== undefined) return known
  const empty: Record<string, unknown> = {}
  for (const [name, { value, zero }] of schema.fields) {
    if (zero === undefined) continue
    if (value.type === 'struct') empty[name] = emptyObject(value.struct())
    else if (value.type === 'list') empty[name] = []
    else if (value.type === 'map') empty[name] = {}
    else empty[name] = zero
  }
  empties.set(schema, empty)
  return empty
}
