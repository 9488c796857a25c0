/** Completion indexes as ordered, disjoint, not adjacent intervals: what `status.completedIndexes` holds as text. Both ends count. */
export interface Interval {
  readonly first: number
  readonly last: number
}

export type Intervals = readonly Interval[]

/**
 * Reads `0,2-5,9`. What lies at or above `completions` is cut off, and what can't be read is left out.
 * Source: parseIndexesFromString, pkg/controller/job/indexed_job_utils.go v1.37.
 */
export function parseIntervals(text: string | undefined, completions: number): Intervals {
  if (text === undefined || text === '') return []
  const found: Interval[] = []
  for (const part of text.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (match === null) continue
    const first = Number(match[1])
    if (first >= completions) break
    found.push({ first, last: Math.min(match[2] === undefined ? first : Number(match[2]), completions - 1) })
  }
  return mergeIntervals(found, [])
}

/** Two neighbours are written `1,2`, more are written `1-3`. */
export function formatIntervals(intervals: Intervals): string {
  return intervals
    .map(({ first, last }) => {
      if (first === last) return String(first)
      return last === first + 1 ? `${first},${last}` : `${first}-${last}`
    })
    .join(',')
}

export function countIndexes(intervals: Intervals): number {
  return intervals.reduce((count, { first, last }) => count + last - first + 1, 0)
}

/** All that is in either. */
export function mergeIntervals(a: Intervals, b: Intervals): Intervals {
  const merged: Interval[] = []
  for (const interval of [...a, ...b].toSorted((x, y) => x.first - y.first)) {
    const end = merged.at(-1)
    if (end === undefined || interval.first > end.last + 1) merged.push(interval)
    else if (interval.last > end.last) merged[merged.length - 1] = { first: end.first, last: interval.last }
  }
  return merged
}

/** The intervals with these indexes, in any order, added. */
export function withIndexes(intervals: Intervals, indexes: Iterable<number>): Intervals {
  return mergeIntervals(
    intervals,
    Array.from(indexes, (index) => ({ first: index, last: index })),
  )
}

/** Binary search. */
export function hasIndex(intervals: Intervals, index: number): boolean {
  let low = 0
  let high = intervals.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (intervals[middle]!.last >= index) high = middle
    else low = middle + 1
  }
  return low < intervals.length && intervals[low]!.first <= index
}

/** How many indexes are in both. */
export function countCommon(a: Intervals, b: Intervals): number {
  let common = 0
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const [left, right] = [a[i]!, b[j]!]
    common += Math.max(0, Math.min(left.last, right.last) - Math.max(left.first, right.first) + 1)
    if (left.last <= right.last) i++
    if (right.last <= left.last) j++
  }
  return common
}

/** The lowest `count` indexes below `completions` that are not in `taken`. Costs the intervals and the count, not the completions. */
export function firstFreeIndexes(
  taken: Intervals,
  { count, completions }: { count: number; completions: number },
): number[] {
  const free: number[] = []
  let candidate = 0
  for (const { first, last } of [...taken, { first: completions, last: completions }]) {
    for (; candidate < Math.min(first, completions) && free.length < count; candidate++) free.push(candidate)
    candidate = Math.max(candidate, last + 1)
  }
  return free
}
