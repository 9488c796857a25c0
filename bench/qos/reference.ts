import { type Passed, type Sender, sendOrder } from '@centaurus/network/testing'
import { FULL_BYTES, OVERHEAD_BYTES } from './shape.ts'

/** Models of what others do, in the virtual time of `ShapedUplink`; none of them is a program that somebody runs. */

const START_NS = 1e9

/** One clock for everybody: a packet waits for all before it, and is dropped if that would be longer than the horizon. */
export interface PlainClock {
  /** Bits a second. */
  readonly bandwidth: number
  /** 0: a policer, which drops whatever would have to wait. */
  readonly horizonNs: number
}

/** What becomes of all that the senders send, from the start of virtual time. */
export function runPlainClock(
  { bandwidth, horizonNs }: PlainClock,
  senders: readonly Sender[],
  durationNs: number,
): Passed[] {
  const passed: Passed[] = []
  let next = START_NS
  for (const { sender, atNs } of sendOrder(senders, START_NS, START_NS + durationNs)) {
    const bytes = sender.bytes + Math.ceil(sender.bytes / FULL_BYTES) * OVERHEAD_BYTES
    const departureNs = next - atNs > horizonNs ? undefined : Math.max(next, atNs)
    if (departureNs !== undefined) next = departureNs + (bytes * 8e9) / bandwidth
    const delivery = { atNs, departureNs, isMarked: false }
    passed.push({ sender: sender.name, bytes, ...delivery })
    sender.hear(delivery)
  }
  return passed
}

/** A link behind queues that give packets to it in order of their band and then of time, and lose none: when each packet is sent. */
export function serveLink(
  packets: readonly { readonly atNs: number; readonly bytes: number; readonly band: number }[],
  bandwidth: number,
): number[] {
  const sent = packets.map(() => 0)
  const arrivals = packets.map((_, i) => i).sort((a, b) => packets[a]!.atNs - packets[b]!.atNs)
  const bands = [...new Set(packets.map(({ band }) => band))].sort((a, b) => a - b)
  const queues = new Map(bands.map((band) => [band, { waiting: [] as number[], first: 0 }]))
  let now = 0
  let arrived = 0
  for (let served = 0; served < packets.length;) {
    const queue = [...queues.values()].find(({ waiting, first }) => first < waiting.length)
    if (queue === undefined) now = Math.max(now, packets[arrivals[arrived]!]!.atNs)
    else {
      const packet = queue.waiting[queue.first++]!
      sent[packet] = now
      now += (packets[packet]!.bytes * 8e9) / bandwidth
      served++
    }
    for (; arrived < arrivals.length && packets[arrivals[arrived]!]!.atNs <= now; arrived++) {
      const packet = arrivals[arrived]!
      queues.get(packets[packet]!.band)!.waiting.push(packet)
    }
  }
  return sent
}
