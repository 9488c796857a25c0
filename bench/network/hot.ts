import { type BpfObject, BpfMap, countPossibleCpus, type ProgramName } from '@centaurus/network/testing'
import { median } from '../harness/measure.ts'
import { loadBenchObject } from './bench-object.ts'
import { runProgram, skBuffFrom } from './run-program.ts'

/** As in hot.bpf.c: packets of one run. */
const ROUNDS = 100
const REPEAT = 10
/** Together with the others: fewer packets than there are ports, so that each can be of a new flow. */
const RUNS = 50
const PORTS = 60_000
const HEAD_BYTES = 32
const FRAME_BYTES = 128
const BASELINE_OFFSET = 12
const WRONG_OFFSET = 20
const GROWTH_OFFSET = 28

export interface HotPacket {
  readonly frame: Buffer
  /** That it is said to have come in by. */
  readonly device: number
  readonly verdict: number
  /** Where a port is that makes every packet another flow's. */
  readonly portOffset?: number
  /** Bytes by which the program makes the frame longer, or shorter. */
  readonly growth?: number
}

/** One of the data plane's programs on the same packet again and again, everything in the caches. */
export class HotProgram {
  readonly #object: BpfObject
  readonly #map: BpfMap
  readonly #isXdp: boolean

  constructor(name: ProgramName, options: { readonly directory: string; readonly maps: ReadonlyMap<string, number> }) {
    this.#isXdp = name === 'from_uplink_xdp'
    this.#object = loadBenchObject('hot', { ...options, calls: { name } })
    this.#map = new BpfMap('hot_map', this.#object.maps.get('hot_map')!, countPossibleCpus())
  }

  /** Nanoseconds of one packet: the median of many runs, without what the bench itself does to the frame. */
  measure(packet: HotPacket): number {
    this.#write(packet)
    const growth = packet.growth ?? 0
    const medianOf = (baseline: boolean, growthBytes: number): number => {
      this.#set(BASELINE_OFFSET, baseline ? 1 : 0)
      this.#set(GROWTH_OFFSET, growthBytes)
      return median(Array.from({ length: RUNS }, () => this.#run(packet))) / ROUNDS
    }
    const measured = medianOf(false, growth)
    // the bench takes the program's change of length back: half of what change and return cost together
    const bench = (medianOf(true, 0) + medianOf(true, growth)) / 2
    return measured - bench
  }

  #run({ frame, device }: HotPacket): number {
    const context = skBuffFrom(device)
    const programFd = this.#object.programs.get('hot')!
    const { durationNs } = runProgram({ programFd, frame, repeat: REPEAT, ...(this.#isXdp ? {} : { context }) })
    const wrong = this.#map.get(Buffer.alloc(4))!.readUInt32LE(WRONG_OFFSET)
    if (wrong > 0) throw new Error(`${wrong} packets were not answered as they should`)
    return durationNs
  }

  #write({ frame, verdict, portOffset = 0 }: HotPacket): void {
    const value = Buffer.alloc(HEAD_BYTES + FRAME_BYTES)
    value.writeUInt32LE(frame.length, 0)
    value.writeUInt32LE(portOffset, 4)
    value.writeUInt32LE(PORTS, 8)
    value.writeInt32LE(verdict, 16)
    frame.copy(value, HEAD_BYTES)
    this.#map.set(Buffer.alloc(4), value)
  }

  #set(offset: number, value: number): void {
    const current = this.#map.get(Buffer.alloc(4))!
    current.writeInt32LE(value, offset)
    this.#map.set(Buffer.alloc(4), current)
  }

  close(): void {
    this.#object.close()
  }
}
