import { deepEqual, isRecord } from '../meta/values.ts'
import type { FieldSchema, StructSchema } from '../schema/schema.ts'
import { findItem } from './list-order.ts'
import { DELETE_PREFIX, ORDER_PREFIX, PATCH_DIRECTIVE, RETAIN_KEYS_DIRECTIVE } from './strategic-merge-patch.ts'

type Members = Record<string, unknown>

/**
 * The strategic merge patch that makes `modified` of `original` (kubectl's two-way diff). Shares values with `modified`.
 * Source of the shape: apimachinery strategicpatch CreateTwoWayMergePatch.
 */
export function createStrategicMergePatch(
  original: Readonly<Members>,
  modified: Readonly<Members>,
  schema: StructSchema,
): Members {
  return diffMembers(original, modified, schema)
}

function diffMembers(
  original: Readonly<Members>,
  modified: Readonly<Members>,
  schema: StructSchema | undefined,
): Members {
  const patch: Members = {}
  for (const key of Object.keys(original)) if (modified[key] === undefined) patch[key] = null
  for (const key of Object.keys(modified)) {
    const before = original[key]
    const after = modified[key]
    if (after === undefined || deepEqual(before, after)) continue
    const field = schema?.fields.get(key)
    if (isRecord(before) && isRecord(after) && !field?.patchStrategy?.includes('replace')) {
      const inner = diffMembers(before, after, field?.value.type === 'struct' ? field.value.struct() : undefined)
      if (field?.patchStrategy?.includes('retainKeys')) inner[RETAIN_KEYS_DIRECTIVE] = Object.keys(after).toSorted()
      patch[key] = inner
    } else if (Array.isArray(before) && Array.isArray(after) && field?.patchStrategy?.includes('merge')) {
      diffList(patch, key, { before, after, field })
    } else patch[key] = after
  }
  return patch
}

function diffList(
  patch: Members,
  key: string,
  lists: { before: unknown[]; after: unknown[]; field: FieldSchema },
): void {
  const { before, after, field } = lists
  const mergeKey = field.patchMergeKey
  if (mergeKey === undefined) {
    const added = after.filter((item) => !before.includes(item))
    const removed = before.filter((item) => !after.includes(item))
    if (added.length > 0) patch[key] = added
    if (removed.length > 0) patch[DELETE_PREFIX + key] = removed
    patch[ORDER_PREFIX + key] = after
    return
  }
  const struct =
    field.value.type === 'list' && field.value.items.type === 'struct' ? field.value.items.struct() : undefined
  const items: Members[] = []
  for (const item of after as Members[]) {
    const at = findItem(before as Members[], mergeKey, item[mergeKey])
    if (at < 0) items.push(item)
    else if (!deepEqual(before[at], item)) {
      const inner = diffMembers(before[at] as Members, item, struct)
      if (field.patchStrategy?.includes('retainKeys')) inner[RETAIN_KEYS_DIRECTIVE] = Object.keys(item).toSorted()
      items.push({ ...inner, [mergeKey]: item[mergeKey] })
    }
  }
  for (const item of before as Members[]) {
    if (findItem(after as Members[], mergeKey, item[mergeKey]) >= 0) continue
    items.push({ [PATCH_DIRECTIVE]: 'delete', [mergeKey]: item[mergeKey] })
  }
  if (items.length > 0) patch[key] = items
  patch[ORDER_PREFIX + key] = after.map((item) => ({ [mergeKey]: (item as Members)[mergeKey] }))
}
