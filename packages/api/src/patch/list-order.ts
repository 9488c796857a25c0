import { isRecord } from '../meta/values.ts'

/** Index of the item whose `mergeKey` is `key`; -1 when there is none. */
export function findItem(list: readonly Record<string, unknown>[], mergeKey: string, key: unknown): number {
  return list.findIndex((item) => item[mergeKey] === key)
}

/** Splits `list` by whether an item (by its merge key, or by itself) stands in `others`. Keeps the order. */
export function splitByPresence(
  list: readonly unknown[],
  others: readonly unknown[],
  mergeKey: string | undefined,
): { present: unknown[]; absent: unknown[] } {
  const known = new Set(others.map((item) => identity(item, mergeKey)))
  const present = list.filter((item) => known.has(identity(item, mergeKey)))
  const absent = list.filter((item) => !known.has(identity(item, mergeKey)))
  return { present, absent }
}

export interface ListParts {
  /** Items that the patch names. */
  readonly patchItems: readonly unknown[]
  /** The other items. */
  readonly serverItems: readonly unknown[]
  readonly patchOrder: readonly unknown[]
  /** The list as it was before. */
  readonly serverOrder: readonly unknown[]
  readonly mergeKey: string | undefined
}

/**
 * One list of both parts: each part keeps its own order, and they interleave as the old list had them where it had both.
 * Source of the order: apimachinery strategicpatch normalizeElementOrder, mergeSortedSlice.
 */
export function arrangeItems({ patchItems, serverItems, patchOrder, serverOrder, mergeKey }: ListParts): unknown[] {
  const right = sortBy(patchItems, indexOf(patchOrder, mergeKey), mergeKey)
  const oldIndex = indexOf(serverOrder, mergeKey)
  const left = sortBy(serverItems, oldIndex, mergeKey)
  const all: unknown[] = []
  let i = 0
  let j = 0
  while (i < left.length || j < right.length) {
    if (i >= left.length) all.push(right[j++])
    else if (j >= right.length) all.push(left[i++])
    else {
      const leftAt = oldIndex.get(identity(left[i], mergeKey))
      const rightAt = oldIndex.get(identity(right[j], mergeKey))
      const isLeftFirst = leftAt !== undefined && rightAt !== undefined && leftAt < rightAt
      all.push(isLeftFirst ? left[i++] : right[j++])
    }
  }
  return all
}

function sortBy(
  items: readonly unknown[],
  order: ReadonlyMap<unknown, number>,
  mergeKey: string | undefined,
): unknown[] {
  const rank = (item: unknown): number => order.get(identity(item, mergeKey)) ?? -1
  return items.toSorted((a, b) => rank(a) - rank(b))
}

function indexOf(list: readonly unknown[], mergeKey: string | undefined): Map<unknown, number> {
  const index = new Map<unknown, number>()
  for (const [i, item] of list.entries()) {
    const key = identity(item, mergeKey)
    if (!index.has(key)) index.set(key, i)
  }
  return index
}

function identity(item: unknown, mergeKey: string | undefined): unknown {
  return mergeKey === undefined || !isRecord(item) ? item : item[mergeKey]
}
