/** What is shared among levels: less than the link, so that packets wait in the host, where they are put in order, and not in the device. */
const USABLE_SHARE = 0.98
/** Of the usable rate, what a level is given although levels before it want everything. By level; the host's own is last in the table and first in order. */
const LEAST_SHARES = [0, 0.02, 0.02, 0.05, 0.02, 0.02, 0.05, 0.03, 0.02, 0.02]
/** What a level that uses less than it may is expected to use until the next look. */
const GROWTH = 1.05
/** Looks over which the largest use counts: what pauses for a moment gets its rate back at once. */
const REMEMBERED_LOOKS = 3
/** Levels that wait less than this, in nanoseconds, or less than it takes the link to send so much, do not ask for more: bursts are no queue. As bpf/shape.h, MARK_BYTES_SHIFT. */
const WAITING_NS = 1_000_000
const WAITING_BYTES = 32_768

/** Order in which levels are served: the host's own first, then premium high to best-effort low. */
export const LEVEL_ORDER: readonly number[] = [9, 0, 1, 2, 3, 4, 5, 6, 7, 8]

/** What one level did since the look before. */
export interface LevelUse {
  /** Sent, bits a second. */
  readonly bandwidth: number
  /** How far its clock is ahead of now. */
  readonly backlogNs: number
  /** Packets that found its queue full. */
  readonly drops: number
}

/** What the controller remembers: the last uses of each level, newest first. */
export type RateHistory = readonly (readonly number[])[]

export interface RatePlan {
  /** By level, bits a second. */
  readonly rates: readonly number[]
  readonly history: RateHistory
  /** Something waits, or most of the link is in use: the next look should be soon. */
  readonly isBusy: boolean
}

/**
 * Rates at which the levels of one link may send until the next look. Each level may have all that the levels before it do not use; what these want goes first,
 * except for a small share that keeps the others alive. What a level does not use is everybody's. Pure.
 *
 * `uses` by level; `bandwidth`: of the link, bits a second.
 */
export function planRates(history: RateHistory, uses: readonly LevelUse[], bandwidth: number): RatePlan {
  const usable = bandwidth * USABLE_SHARE
  const remembered = uses.map((use, level) => [use.bandwidth, ...(history[level] ?? [])].slice(0, REMEMBERED_LOOKS))
  const waitingNs = Math.max(WAITING_NS, (WAITING_BYTES * 8e9) / usable)
  const wanted = uses.map(({ backlogNs, drops }, level) =>
    backlogNs > waitingNs || drops > 0 ? Infinity : Math.max(...(remembered[level] ?? [0])) * GROWTH,
  )
  const least = wanted.map((want, level) => Math.min(want, usable * (LEAST_SHARES[level] ?? 0)))
  const rates = uses.map(() => 0)
  let left = usable
  let reserved = least.reduce((sum, each) => sum + each, 0)
  for (const level of LEVEL_ORDER) {
    const own = least[level] ?? 0
    reserved -= own
    // a level that wants nothing now may begin at once: it has the rate that the next ones have as well
    const rate = Math.max(left - reserved, usable * (LEAST_SHARES[level] ?? 0))
    rates[level] = rate
    left = Math.max(0, left - Math.min(wanted[level] ?? 0, rate))
  }
  const used = uses.reduce((sum, use) => sum + use.bandwidth, 0)
  const isBusy = used > bandwidth / 2 || wanted.includes(Infinity)
  return { rates, history: remembered, isBusy }
}
