import assert from 'node:assert/strict'
import type { OctetReading, PodSockets } from './pod-sockets.ts'

/** Of a limit, what gets through at least while something waits all the time: the rest is headers of tunnels. */
const LEAST_PART = 0.8
export const LARGEST_PACKET_BYTES = 65_536

export interface RateWindow {
  readonly octets: number
  /** It lasted no less, and no more. */
  readonly shortestMs: number
  readonly longestMs: number
}

export interface RateBounds {
  /** Bits a second. */
  readonly bandwidth: number
  /** What may come at once, on top of that. */
  readonly burstBytes: number
  /** Of the bandwidth, what gets through at least. */
  readonly leastPart?: number
}

export function windowBetween(first: OctetReading, last: OctetReading): RateWindow {
  return {
    octets: last.octets - first.octets,
    shortestMs: last.beforeMs - first.afterMs,
    longestMs: last.afterMs - first.beforeMs,
  }
}

/** What comes to a pod in so long. */
export async function watch(receiver: PodSockets, durationMs: number): Promise<RateWindow> {
  const first = await receiver.octets()
  await new Promise((resolve) => setTimeout(resolve, durationMs))
  return windowBetween(first, await receiver.octets())
}

/** More than a limit lets through, whatever the load of the machine. */
export function isAbove({ octets, longestMs }: RateWindow, { bandwidth, burstBytes }: RateBounds): boolean {
  return octets > (bandwidth * longestMs) / 8e3 + burstBytes
}

/** Less than what waits all the time could have sent, but for one large packet that the end of the window cuts off. */
export function isBelow(
  { octets, shortestMs }: RateWindow,
  { bandwidth, leastPart = LEAST_PART }: RateBounds,
): boolean {
  return octets + LARGEST_PACKET_BYTES < (leastPart * bandwidth * shortestMs) / 8e3
}

export function assertHolds(seen: RateWindow, bounds: RateBounds, what: string): void {
  const words = `${what}: ${describeWindow(seen)}, of ${bounds.bandwidth / 1e6}`
  process.stderr.write(`# ${words}\n`)
  assert.equal(isAbove(seen, bounds), false, `too much, ${words}`)
  assert.equal(isBelow(seen, bounds), false, `too little, ${words}`)
}

export function describeWindow({ octets, longestMs }: RateWindow): string {
  return `${((octets * 8) / longestMs / 1e3).toFixed(2)} Mbit/s in ${(longestMs / 1e3).toFixed(2)} s`
}
