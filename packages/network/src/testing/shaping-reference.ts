import type { Passed } from './shaped-uplink.ts'

/** What each sender gets of a link that a fair queue serves: no more than it wants, and else as much as any other (max-min). Bits a second. */
export function fairShares(wanted: ReadonlyMap<string, number>, bandwidth: number): Map<string, number> {
  const shares = new Map<string, number>()
  let left = bandwidth
  const byWish = [...wanted].sort(([, a], [, b]) => a - b)
  for (const [i, [name, want]] of byWish.entries()) {
    const share = Math.min(want, left / (byWish.length - i))
    shares.set(name, share)
    left -= share
  }
  return shares
}

/** 1: all have the same; 1/n: one has everything. */
export function jainIndex(values: readonly number[]): number {
  const sum = values.reduce((a, b) => a + b, 0)
  return sum ** 2 / (values.length * values.reduce((a, b) => a + b * b, 0))
}

/** Bits a second that departed from one time to another, by sender and in sum. `passed` must have what came in before, too. */
export function measure(
  passed: readonly Passed[],
  { fromNs, toNs }: { readonly fromNs: number; readonly toNs: number },
): { readonly rates: ReadonlyMap<string, number>; readonly total: number } {
  const rates = new Map<string, number>()
  let total = 0
  for (const { sender, departureNs, bytes } of passed) {
    if (departureNs === undefined || departureNs < fromNs || departureNs >= toNs) continue
    const rate = (bytes * 8e9) / (toNs - fromNs)
    rates.set(sender, (rates.get(sender) ?? 0) + rate)
    total += rate
  }
  return { rates, total }
}

/** The most that departs beyond the rate in any stretch of time, bytes. */
export function largestBurst(passed: readonly Passed[], bandwidth: number): number {
  const departed = passed
    .filter(({ departureNs }) => departureNs !== undefined)
    .toSorted((a, b) => a.departureNs! - b.departureNs!)
  let level = 0
  let most = 0
  let before = departed[0]?.departureNs ?? 0
  for (const { departureNs, bytes } of departed) {
    level = Math.max(0, level - ((departureNs! - before) * bandwidth) / 8e9) + bytes
    most = Math.max(most, level)
    before = departureNs!
  }
  return most
}
