/**
 * Whether two values are equal as upstream compares objects: absent, null, and empty lists and maps are the same
 * (equality.Semantic.DeepEqual, apimachinery v0.37). Quantities must have the same text. Cost: linear in the smaller value.
 */
export function semanticEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (isEmpty(a) && isEmpty(b)) return true
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, i) => semanticEqual(item, b[i]))
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(b)) return false
  return sameFields(a as Record<string, unknown>, b as Record<string, unknown>)
}

function sameFields(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  for (const key of Object.keys(a)) {
    if (!semanticEqual(a[key], b[key])) return false
  }
  for (const key of Object.keys(b)) {
    if (!(key in a) && !isEmpty(b[key])) return false
  }
  return true
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (Array.isArray(value)) return value.length === 0
  // A pointer to an empty struct differs from none upstream, yet an empty map does not; JSON cannot tell them apart.
  return typeof value === 'object' && Object.keys(value).length === 0
}
