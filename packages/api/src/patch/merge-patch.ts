import { deepClone, defineMember, isRecord } from '../meta/values.ts'

/**
 * Applies a merge patch (RFC 7386): members of `patch` replace, `null` removes, objects merge. `target` is not changed and shares
 * with the result what the patch does not touch; the result shares nothing with `patch`.
 */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return deepClone(patch)
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {}
  for (const key of Object.keys(patch)) {
    const value = patch[key]
    if (value === null) delete result[key]
    else {
      const merged = applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value)
      if (key === '__proto__') defineMember(result, key, merged)
      else result[key] = merged
    }
  }
  return result
}

/** The merge patch that makes `modified` of `original`. Members that are `null` in `modified` can't be expressed. */
export function createMergePatch(
  original: Readonly<Record<string, unknown>>,
  modified: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const patch: Record<string, unknown> = {}
  for (const key of Object.keys(original)) if (modified[key] === undefined) defineMember(patch, key, null)
  for (const key of Object.keys(modified)) {
    const before = Object.hasOwn(original, key) ? original[key] : undefined
    const after = modified[key]
    if (after === undefined || (before !== undefined && isSame(before, after))) continue
    if (isRecord(before) && isRecord(after)) {
      const inner = createMergePatch(before, after)
      if (Object.keys(inner).length > 0) defineMember(patch, key, inner)
    } else defineMember(patch, key, after)
  }
  return patch
}

/** Exact, unlike semantic equality: an empty list is not an absent one. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
