import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { countPossibleCpus } from '../dataplane/open-programs.ts'
import { BpfMap } from '../kernel/bpf-map.ts'
import { openPinned } from '../kernel/bpf-syscall.ts'
import { CLOCK_SHIFT, shaperCounter } from '../layouts/shaping.ts'

/** In a clock's record. */
const FLOWS_OFFSET = 16
const TRIES = 100

export interface MeterLook {
  /** What was let pass so far, on the wire. */
  readonly bytes: number
  readonly drops: number
  readonly marks: number
  /** When all of it will have left, by the clock of `process.hrtime`; now, if it has. */
  readonly endNs: number
}

/**
 * How much of a rate is used: of what was let pass, by when it will have left. A machine that is late has no part in it, unless it is so late that nothing waits any
 * more.
 */
export class ShaperMeter {
  readonly #clocks: BpfMap
  readonly #counters: BpfMap
  readonly #key = Buffer.alloc(4)

  /** `tables`: folder of pinned tables. */
  constructor(tables: string, kind: 'level' | 'shaper', index: number) {
    const open = (name: string): BpfMap => {
      const fd = openPinned(join(tables, name))
      if (fd === undefined) throw new Error(`There is no table ${name} in ${tables}`)
      return new BpfMap(basename(name), fd, countPossibleCpus())
    }
    this.#clocks = open(`${kind}_clocks`)
    this.#counters = open(`${kind}_counters`)
    this.#key.writeUInt32LE(index)
  }

  look(): MeterLook {
    const nowNs = Number(process.hrtime.bigint())
    let next = this.#readClock()
    let counters = this.#counters.get(this.#key)!
    // of one moment: nothing was charged in between
    for (let seen = this.#readClock(), tries = 0; seen !== next && tries < TRIES; seen = this.#readClock(), tries++) {
      next = seen
      counters = this.#counters.get(this.#key)!
    }
    const nextNs = Number(next >> BigInt(CLOCK_SHIFT))
    const sum = { bytes: 0, drops: 0, marks: 0 }
    for (let offset = 0; offset < counters.length; offset += shaperCounter.size) {
      const one = shaperCounter.decode(counters.subarray(offset, offset + shaperCounter.size))
      sum.bytes += Number(one.bytes)
      sum.drops += Number(one.drops)
      sum.marks += Number(one.marks)
    }
    return { ...sum, endNs: Math.max(nowNs, nextNs) }
  }

  /** Of a rate, bits a second, the part that was used since. */
  static part(from: MeterLook, to: MeterLook, rate: number): number {
    return ((to.bytes - from.bytes) * 8e9) / rate / (to.endNs - from.endNs)
  }

  /** The part of the rate that was used in each of so many windows, the largest first. */
  async measure(rate: number, windows: { readonly count: number; readonly ms: number }): Promise<number[]> {
    const parts: number[] = []
    for (let from = this.look(); parts.length < windows.count;) {
      await sleep(windows.ms)
      const to = this.look()
      parts.push(ShaperMeter.part(from, to, rate))
      from = to
    }
    return parts.sort((a, b) => b - a)
  }

  #readClock(): bigint {
    return this.#clocks.get(this.#key)!.readBigUInt64LE(0)
  }

  /** Of 32 clocks by which flows are told apart, those that were ever used. */
  countFlows(): number {
    const clock = this.#clocks.get(this.#key)!
    let count = 0
    for (let offset = FLOWS_OFFSET; offset < clock.length; offset += 8)
      if (clock.readBigUInt64LE(offset) !== 0n) count++
    return count
  }
}
