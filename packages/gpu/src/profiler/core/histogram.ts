/** How often values were seen, in a few buckets. Pure; what is given is not changed. */

/** By bucket, from 0 on; buckets at the end that nothing was seen in are left out. */
export type Histogram = readonly number[]

/** With so many in all, the older count half: what a job does now is what matters. */
const SEEN_MAX = 86_400

export function observe(histogram: Histogram, bucket: number): Histogram {
  const next = Array.from({ length: Math.max(histogram.length, bucket + 1) }, (_, i) => histogram[i] ?? 0)
  next[bucket]! += 1
  return countOf(next) > SEEN_MAX ? next.map((count) => Math.floor(count / 2)) : next
}

export function countOf(histogram: Histogram): number {
  return histogram.reduce((sum, count) => sum + count, 0)
}

/** The first bucket that this part of all is in or below, 0 to 1; undefined: nothing was seen. */
export function percentileOf(histogram: Histogram, part: number): number | undefined {
  const needed = countOf(histogram) * part
  let sum = 0
  for (const [bucket, count] of histogram.entries()) {
    sum += count
    if (count > 0 && sum >= needed) return bucket
  }
  return undefined
}
