/** Latencies from 0.05 ms to 40 min, in buckets that are 5 % wide. */
const LOWEST_MS = 0.05
const GROWTH = 1.05
const BUCKETS = 360
const LOG_GROWTH = Math.log(GROWTH)

/** Counts of one kind of thing, by how long it took. Errs by 5 % at most, costs 30 ns a value, and adds up across processes. */
export class Histogram {
  readonly #counts: Float64Array
  #count = 0
  #sumMs = 0
  #maxMs = 0

  constructor() {
    this.#counts = new Float64Array(BUCKETS)
  }

  get count(): number {
    return this.#count
  }

  get meanMs(): number {
    return this.#count === 0 ? Number.NaN : this.#sumMs / this.#count
  }

  get maxMs(): number {
    return this.#maxMs
  }

  observe(ms: number): void {
    const bucket = ms <= LOWEST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / LOWEST_MS) / LOG_GROWTH))
    this.#counts[bucket]!++
    this.#count++
    this.#sumMs += ms
    if (ms > this.#maxMs) this.#maxMs = ms
  }

  /** Upper bound in ms of what `part` (0 to 1) of the values do not exceed; NaN for none. */
  percentile(part: number): number {
    if (this.#count === 0) return Number.NaN
    const rank = Math.ceil(this.#count * part)
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!
      if (seen >= rank) return Math.min(this.#maxMs, LOWEST_MS * GROWTH ** bucket)
    }
    return this.#maxMs
  }

  /** Takes in what another process counted. */
  add(other: HistogramData): void {
    for (const [bucket, count] of other.counts) this.#counts[bucket]! += count
    this.#count += other.count
    this.#sumMs += other.sumMs
    this.#maxMs = Math.max(this.#maxMs, other.maxMs)
  }

  /** For another process, or a file. */
  toJSON(): HistogramData {
    const counts: [number, number][] = []
    for (const [bucket, count] of this.#counts.entries()) if (count > 0) counts.push([bucket, count])
    return { counts, count: this.#count, sumMs: this.#sumMs, maxMs: this.#maxMs }
  }
}

export interface HistogramData {
  /** Bucket and count, where there is one. */
  readonly counts: readonly (readonly [bucket: number, count: number])[]
  readonly count: number
  readonly sumMs: number
  readonly maxMs: number
}

/** What was counted after `before` was taken. Its maximum is the upper bound of its highest bucket. */
export function subtractHistogram(after: HistogramData, before: HistogramData | undefined): HistogramData {
  const known = new Map(before?.counts ?? [])
  const counts = after.counts
    .map(([bucket, count]) => [bucket, count - (known.get(bucket) ?? 0)] as const)
    .filter(([, count]) => count > 0)
  const highest = counts.reduce((max, [bucket]) => Math.max(max, bucket), 0)
  return {
    counts,
    count: after.count - (before?.count ?? 0),
    sumMs: after.sumMs - (before?.sumMs ?? 0),
    maxMs: Math.min(after.maxMs, LOWEST_MS * GROWTH ** highest),
  }
}

/** Histograms by name, such as `PUT leases`. */
export class Histograms {
  readonly #byName = new Map<string, Histogram>()

  get(name: string): Histogram {
    let histogram = this.#byName.get(name)
    if (histogram === undefined) this.#byName.set(name, (histogram = new Histogram()))
    return histogram
  }

  entries(): IterableIterator<[string, Histogram]> {
    return this.#byName.entries()
  }

  add(other: Readonly<Record<string, HistogramData>>): void {
    for (const [name, data] of Object.entries(other)) this.get(name).add(data)
  }

  toJSON(): Record<string, HistogramData> {
    return Object.fromEntries(Array.from(this.#byName, ([name, histogram]) => [name, histogram.toJSON()]))
  }
}
