/**
 * Strategic merge patch: a merge patch in which lists may merge item by item, and which can say more by directives.
 * Observable behaviour of apimachinery pkg/util/strategicpatch, v0.37; the algorithm works on private copies and changes them.
 */
import { deepClone, deepEqual, isRecord } from '../meta/values.ts'
import type { FieldSchema, StructSchema, ValueSchema } from '../schema/schema.ts'
import { badRequest, StatusError } from '../status/status-error.ts'
import { arrangeItems, findItem, splitByPresence } from './list-order.ts'

export const PATCH_DIRECTIVE = '$patch'
export const RETAIN_KEYS_DIRECTIVE = '$retainKeys'
export const DELETE_PREFIX = '$deleteFromPrimitiveList/'
export const ORDER_PREFIX = '$setElementOrder/'

type Members = Record<string, unknown>

/**
 * Applies `patch` to a built-in object of `schema`. Neither argument is changed; the result shares nothing with them.
 * Throws BadRequest (or Invalid for a patch that contradicts its `$retainKeys`) with upstream's words. Where upstream answers 500
 * to a malformed patch, this answers 400.
 */
export function applyStrategicMergePatch(
  original: Readonly<Members>,
  patch: Readonly<Members>,
  schema: StructSchema,
): Members {
  return mergeMembers(deepClone(original), deepClone(patch), schema)
}

function mergeMembers(original: Members, patch: Members, schema: StructSchema | undefined): Members {
  if (Object.hasOwn(patch, PATCH_DIRECTIVE)) return applyMapDirective(patch)
  retainKeys(original, patch)
  for (const key of Object.keys(patch))
    if (key.startsWith(ORDER_PREFIX)) mergeOrderedList(original, patch, { key, schema })
  for (const key of Object.keys(patch)) {
    if (key.startsWith(DELETE_PREFIX)) deletePrimitives(original, key.slice(DELETE_PREFIX.length), patch[key])
    else mergeMember(original, key, { value: patch[key], field: schema?.fields.get(key) })
  }
  return original
}

function applyMapDirective(patch: Members): Members {
  const directive = patch[PATCH_DIRECTIVE]
  if (directive === 'delete') return {}
  if (directive === 'replace') {
    delete patch[PATCH_DIRECTIVE]
    return patch
  }
  throw badRequest(`unknown patch type: ${String(directive)} in map: ${formatGo(patch)}`)
}

function retainKeys(original: Members, patch: Members): void {
  if (!Object.hasOwn(patch, RETAIN_KEYS_DIRECTIVE)) return
  const list = patch[RETAIN_KEYS_DIRECTIVE]
  delete patch[RETAIN_KEYS_DIRECTIVE]
  if (!Array.isArray(list)) throw badRequest('invalid patch format of retainKeys')
  const kept = new Set<unknown>(list)
  for (const key of Object.keys(patch)) {
    const isDirective = key.startsWith(DELETE_PREFIX) || key.startsWith(ORDER_PREFIX)
    if (patch[key] !== null && !isDirective && !kept.has(key)) throw badRequest('invalid patch format of retainKeys')
  }
  for (const key of Object.keys(original)) if (!kept.has(key)) delete original[key]
}

function mergeMember(
  original: Members,
  key: string,
  { value, field }: { value: unknown; field: FieldSchema | undefined },
): void {
  if (value === null) {
    delete original[key]
    return
  }
  const before = Object.hasOwn(original, key) ? original[key] : undefined
  if (isRecord(before) && isRecord(value)) {
    const merged = strategyOf(field) === 'replace' ? value : mergeMembers(before, value, structOf(field?.value))
    original[key] = merged
  } else if (Array.isArray(before) && Array.isArray(value)) {
    original[key] = mergeList(before, value, field)
  } else {
    dropNulls(value)
    const cleaned = dropDirectives(value)
    if (cleaned === undefined) delete original[key]
    else original[key] = cleaned
  }
}

function deletePrimitives(original: Members, key: string, value: unknown): void {
  const before = original[key]
  if (!Array.isArray(before)) return
  if (!Array.isArray(value)) throw badRequest('invalid patch format of primitive list')
  const gone = new Set<unknown>(value)
  original[key] = before.filter((item) => !gone.has(item))
}

function mergeList(original: unknown[], patch: unknown[], field: FieldSchema | undefined): unknown[] {
  if (strategyOf(field) !== 'merge') return patch
  if (original.length === 0 && patch.length === 0) return original
  const first = original[0] ?? patch[0]
  if (Array.isArray(first)) throw new StatusError({ reason: 'Invalid', message: 'lists of lists are not supported' })
  if (!isRecord(first)) {
    const merged = [...new Set([...original, ...patch])]
    const { present, absent } = splitByPresence(merged, patch, undefined)
    return arrangeItems({
      patchItems: present,
      serverItems: absent,
      patchOrder: patch,
      serverOrder: original,
      mergeKey: undefined,
    })
  }
  const mergeKey = field?.patchMergeKey
  if (mergeKey === undefined) throw badRequest('cannot merge lists without merge key for struct')
  return mergeItems(asMaps(original), asMaps(patch), { mergeKey, schema: itemStructOf(field) })
}

function mergeItems(
  original: Members[],
  patch: Members[],
  { mergeKey, schema }: { mergeKey: string; schema: StructSchema | undefined },
): unknown[] {
  const plain: Members[] = []
  let list = original
  let isReplaced = false
  for (const item of patch) {
    if (!Object.hasOwn(item, PATCH_DIRECTIVE)) plain.push(item)
    else if (item[PATCH_DIRECTIVE] === 'replace') isReplaced = true
    else if (item[PATCH_DIRECTIVE] === 'delete') {
      const key = requireKey(item, mergeKey)
      list = list.filter((candidate) => candidate[mergeKey] !== key)
    } else if (item[PATCH_DIRECTIVE] === 'merge') throw badRequest('merging lists cannot yet be specified in the patch')
    else throw badRequest(`unknown patch type: ${String(item[PATCH_DIRECTIVE])} in map: ${formatGo(item)}`)
  }
  if (isReplaced) return plain
  const merged = [...list]
  for (const item of plain) {
    const at = findItem(merged, mergeKey, requireKey(item, mergeKey))
    if (at >= 0) merged[at] = mergeMembers(merged[at]!, item, schema)
    else merged.push(item)
  }
  const { present, absent } = splitByPresence(merged, plain, mergeKey)
  return arrangeItems({ patchItems: present, serverItems: absent, patchOrder: plain, serverOrder: list, mergeKey })
}

/** `$setElementOrder/x`: merges list `x` now, then puts it in the order that the client saw. */
function mergeOrderedList(
  original: Members,
  patch: Members,
  { key, schema }: { key: string; schema: StructSchema | undefined },
): void {
  const name = key.slice(ORDER_PREFIX.length)
  const order = patch[key]
  delete patch[key]
  if (!Array.isArray(order)) throw badRequest('invalid patch format of setElementOrder list')
  const field = schema?.fields.get(name)
  const before = listOrNothing(original[name])
  const change = listOrNothing(patch[name])
  if (before === undefined && change === undefined) return
  const mergeKey = field?.patchMergeKey
  checkOrder(change ?? [], order, mergeKey)
  const merged =
    before === undefined
      ? dropDirectives(change)
      : change === undefined
        ? before
        : mergeList([...before], change, field)
  delete patch[name]
  if (!Array.isArray(merged)) return
  const { present, absent } = splitByPresence(merged, order, mergeKey)
  original[name] = arrangeItems({
    patchItems: present,
    serverItems: absent,
    patchOrder: order,
    serverOrder: before ?? [],
    mergeKey,
  })
}

function listOrNothing(value: unknown): unknown[] | undefined {
  if (value === undefined || Array.isArray(value)) return value
  throw badRequest(
    `expected a []interface {}, but received a ${isRecord(value) ? 'map[string]interface {}' : typeof value}`,
  )
}

/** The items of the patch must stand in the order that the directive gives. */
function checkOrder(patch: readonly unknown[], order: readonly unknown[], mergeKey: string | undefined): void {
  if (patch.length === 0 || order.length === 0) return
  const keyOf = (item: unknown): unknown =>
    mergeKey === undefined ? item : isRecord(item) ? item[mergeKey] : undefined
  const items = patch.filter((item) => !isRecord(item) || !Object.hasOwn(item, PATCH_DIRECTIVE))
  let at = 0
  for (const place of order) if (at < items.length && deepEqual(keyOf(items[at]), keyOf(place))) at++
  if (at < items.length) {
    throw badRequest(
      `The order in patch list:\n${formatGo(patch)}\n doesn't match $setElementOrder list:\n${formatGo(order)}\n`,
    )
  }
}

function requireKey(item: Members, mergeKey: string): unknown {
  const key = item[mergeKey]
  if (key === undefined) throw badRequest(`map: ${formatGo(item)} does not contain declared merge key: ${mergeKey}`)
  return key
}

function asMaps(list: readonly unknown[]): Members[] {
  for (const item of list)
    if (!isRecord(item)) throw badRequest(`list element types are not identical: ${formatGo(list)}`)
  return list as Members[]
}

function strategyOf(field: FieldSchema | undefined): 'merge' | 'replace' | undefined {
  return field?.patchStrategy?.find((strategy) => strategy !== 'retainKeys') as 'merge' | 'replace' | undefined
}

function structOf(value: ValueSchema | undefined): StructSchema | undefined {
  return value?.type === 'struct' ? value.struct() : undefined
}

function itemStructOf(field: FieldSchema | undefined): StructSchema | undefined {
  return field?.value.type === 'list' ? structOf(field.value.items) : undefined
}

function dropNulls(value: unknown): void {
  if (Array.isArray(value)) for (const item of value) dropNulls(item)
  else if (isRecord(value)) {
    for (const key of Object.keys(value)) {
      if (value[key] === null) delete value[key]
      else dropNulls(value[key])
    }
  }
}

/** What is left of a patch that meets nothing to merge with; undefined when it only said how to change something. */
function dropDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dropDirectives).filter((item) => item !== undefined)
  if (!isRecord(value)) return value
  if (Object.hasOwn(value, PATCH_DIRECTIVE)) return undefined
  for (const key of Object.keys(value)) {
    const isDirective = key === RETAIN_KEYS_DIRECTIVE || key.startsWith(ORDER_PREFIX) || key.startsWith(DELETE_PREFIX)
    const cleaned = isDirective ? undefined : dropDirectives(value[key])
    if (cleaned === undefined) delete value[key]
    else value[key] = cleaned
  }
  return value
}

/** Values in messages. Upstream prints Go's form; JSON says the same to a person. */
function formatGo(value: unknown): string {
  return JSON.stringify(value)
}
