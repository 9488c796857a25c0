import { defineMember } from '../meta/values.ts'
import type { StructSchema, ValueSchema } from '../schema/schema.ts'
import { granularityOf, itemsOf, memberSchema, membersOf } from './node-schema.ts'
import { FieldTypeError, itemElement, type ListSchema } from './path-element.ts'

/**
 * `live` with everything that `config` sets. Neither is changed; the result shares with both.
 * Throws `FieldTypeError` when `config` names an item twice. Source: structured-merge-diff/v6 typed/merge.go.
 */
export function mergeObjects(
  live: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>>,
  schema: StructSchema,
): Record<string, unknown> {
  return mergeMembers(live, config, { type: 'struct', struct: () => schema })
}

function mergeValues(live: unknown, config: unknown, schema: ValueSchema): unknown {
  if (config === undefined) return live
  if (live === undefined || granularityOf(schema, live) !== granularityOf(schema, config)) return config
  switch (granularityOf(schema, config)) {
    case 'leaf':
      return config
    case 'members':
      return config === null && live === null ? null : mergeMembers(membersOf(live), membersOf(config), schema)
    case 'items':
      return mergeItems(itemsOf(live), itemsOf(config), schema as ListSchema)
  }
}

function mergeMembers(
  live: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>>,
  schema: ValueSchema,
): Record<string, unknown> {
  const result: Record<string, unknown> = { ...live }
  for (const key of Object.keys(config)) {
    const before = Object.hasOwn(live, key) ? live[key] : undefined
    const merged = mergeValues(before, config[key], memberSchema(schema, key))
    if (key === '__proto__') defineMember(result, key, merged)
    else result[key] = merged
  }
  return result
}

/**
 * Items of both lists: those of `config` keep its order, those only in `live` stay near their neighbours. A live item whose name
 * occurs twice is replaced by config's.
 */
function mergeItems(live: readonly unknown[], config: readonly unknown[], schema: ListSchema): unknown[] {
  const liveNames = live.map((item) => itemElement(schema, item))
  const configNames = config.map((item) => itemElement(schema, item))
  const liveByName = indexUnique(liveNames, live)
  const configByName = new Map(configNames.map((name, i) => [name, config[i]]))
  if (configByName.size !== configNames.length) {
    const twice = configNames.find((name, i) => configNames.indexOf(name) !== i)!
    throw new FieldTypeError(`duplicate entries for key ${twice}`)
  }
  const shared = configNames.filter((name) => liveByName.has(name))
  const merged = new Set<string>()
  const out: unknown[] = []
  const take = (name: string): void => {
    merged.add(name)
    out.push(mergeValues(liveByName.get(name), configByName.get(name), schema.items))
  }
  let nextShared = 0
  let l = 0
  let c = 0
  while (l < live.length || c < config.length) {
    const liveName = liveNames[l]
    const configName = configNames[c]
    if (liveName !== undefined && liveName === configName) {
      take(liveName)
      l++
      c++
      nextShared++
    } else if (
      liveName !== undefined &&
      configName !== undefined &&
      configByName.has(liveName) &&
      shared[nextShared] !== undefined &&
      shared[nextShared] !== liveName
    ) {
      l++ // it comes later, where config has it
    } else if (liveName !== undefined && !configByName.has(liveName)) {
      out.push(live[l])
      l++
    } else {
      if (liveName !== undefined && merged.has(liveName)) l++
      if (configName === undefined) continue
      take(configName)
      c++
      if (shared[nextShared] === configName) nextShared++
    }
  }
  return out
}

/** Names that occur more than once map to nothing: such items can't be merged. */
function indexUnique(names: readonly string[], items: readonly unknown[]): Map<string, unknown> {
  const index = new Map<string, unknown>()
  for (const [i, name] of names.entries()) index.set(name, index.has(name) ? undefined : items[i])
  return index
}
