import { sendOrder, type Delivery, type Sender } from './senders.ts'
import type { TestDataplane } from './test-dataplane.ts'
import { shaperClock } from '../layouts/shaping.ts'
import { fromPod, udpPacket } from './test-world.ts'

/** Clocks of programs must not start at 0: that is the kernel's own clock's. */
const START_NS = 1_000_000_000
const FLOWS_MAX = 32

/** A packet that the program let pass, or dropped. */
export interface Passed {
  readonly sender: string
  readonly atNs: number
  /** When fq lets it go; undefined: dropped. */
  readonly departureNs: number | undefined
  /** On the wire. */
  readonly bytes: number
  readonly isMarked: boolean
}

/**
 * An uplink in virtual time: senders hand packets to the real program, whose clock is theirs, and hear when each departs. `overheadBytes` of the shaping count.
 */
export class ShapedUplink {
  readonly #host: TestDataplane
  readonly #ports: readonly number[]
  readonly passed: Passed[] = []
  #nowNs: number

  constructor(host: TestDataplane) {
    this.#host = host
    this.#ports = findPorts(host)
    this.#nowNs = START_NS
  }

  /** Where its clock is. */
  get nowNs(): number {
    return this.#nowNs
  }

  /** Lets the senders run for so long. What they sent before stays in the clocks. */
  run(senders: readonly Sender[], durationNs: number): readonly Passed[] {
    const from = this.passed.length
    const overhead = this.#host.tables.readShaping().overheadBytes
    const end = this.#nowNs + durationNs
    for (const { sender, atNs } of sendOrder(senders, this.#nowNs, end)) {
      const { bytes, shaper, flow, name, canMark = false } = sender
      const segments = Math.ceil(bytes / 1514)
      const frame = this.#frame(flow, canMark)
      const {
        verdict,
        departureNs,
        frame: after,
      } = this.#host.run('to_uplink', frame, {
        ...(shaper === undefined ? {} : { shaper }),
        nowNs: BigInt(Math.round(atNs)),
        wireBytes: Math.max(bytes, frame.length),
        segments: segments === 1 ? 0 : segments,
        ...(segments === 1 ? {} : { segmentBytes: 1448 }),
      })
      const departs = Math.max(Number(departureNs), Math.round(atNs))
      const delivery: Delivery = {
        atNs,
        departureNs: verdict === 'drop' ? undefined : departs,
        isMarked: verdict !== 'drop' && (after[15]! & 3) === 3,
      }
      this.passed.push({ sender: name, bytes: bytes + segments * overhead, ...delivery })
      sender.hear(delivery)
    }
    this.#nowNs = end
    return this.passed.slice(from)
  }

  #frame(flow: number, canMark: boolean): Buffer {
    const sourcePort = this.#ports[flow % FLOWS_MAX]!
    return frameOf(sourcePort, canMark)
  }
}

function frameOf(sourcePort: number, canMark: boolean): Buffer {
  const payload = Buffer.alloc(18)
  return fromPod(
    udpPacket({ source: '10.244.1.2', destination: '10.244.2.9', sourcePort, payload, tos: canMark ? 2 : 0 }),
  )
}

/** A source port for each of the clocks that tell flows apart: the kernel's hash says which is whose. */
function findPorts(host: TestDataplane): number[] {
  const id = 4111
  host.tables.setShaper({ id, level: 0, egressBandwidth: 1e9 })
  const before = host.tables.readShaping()
  host.tables.setShaping({ mode: 'edt', rates: [], overheadBytes: 0 })
  const key = Buffer.alloc(4)
  key.writeUInt32LE(id)
  const ports = new Map<number, number>()
  for (let port = 1024; ports.size < FLOWS_MAX && port < 65_000; port++) {
    host.map('shaper_clocks').set(key, Buffer.alloc(shaperClock.size))
    host.run('to_uplink', frameOf(port, false), { shaper: id, nowNs: BigInt(START_NS) })
    const clock = host.map('shaper_clocks').get(key)!
    const index = Array.from({ length: FLOWS_MAX }, (_, i) => i).find((i) => clock.readBigUInt64LE(16 + 8 * i) !== 0n)
    if (index !== undefined && !ports.has(index)) ports.set(index, port)
  }
  host.tables.removeShaper(id)
  host.tables.setShaping(before)
  return Array.from({ length: FLOWS_MAX }, (_, i) => ports.get(i)!)
}
