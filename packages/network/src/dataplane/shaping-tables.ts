import type { BpfMap } from '../kernel/bpf-map.ts'
import { DataplaneError } from '../kernel/dataplane-error.ts'
import { mapSharedMemory, type SharedMemory } from '../kernel/shared-memory.ts'
import {
  CLOCK_SHIFT,
  COST_SHIFT,
  levelConfig,
  POD_LEVELS,
  SHAPER_USED,
  shaperClock,
  shaperConfig,
  shaperCounter,
  SHAPERS_MAX,
  SHAPERS_RESERVED,
  SHAPING_CLASSES,
  SHAPING_NONE,
  SHAPING_STAMPS,
  shapingConfig,
  type ShaperConfigRecord,
} from '../layouts/shaping.ts'
import { LEVEL_DSCP, levelShaper, listLevels, priorityOf, type Level } from '../qos/levels.ts'
import type { Dataplane, Endpoint, Shaper, ShaperCounts, Shaping } from './dataplane.ts'

type ShapingCalls = Pick<
  Dataplane,
  'setShaper' | 'removeShaper' | 'listShapers' | 'setShaping' | 'readShaping' | 'readLevels' | 'readShapers'
>

/** As for pods' annotations; less would overflow the cost of a large packet. */
const BANDWIDTH_MIN = 1_000
const BANDWIDTH_MAX = Number.MAX_SAFE_INTEGER
const OVERHEAD_BYTES_MAX = 256
const NANOSECONDS_BITS = 8_000_000_000n
const MODES = { none: SHAPING_NONE, edt: SHAPING_STAMPS, htb: SHAPING_CLASSES } as const
const SHAPERS_OFFSET = offsetIn('shapers')
const LEVELS_OFFSET = offsetIn('levels')
const MODE_OFFSET = offsetIn('mode')
const OVERHEAD_OFFSET = offsetIn('overheadBytes')
const UNTIL_OFFSET = offsetIn('ratesUntil')
const NOBODY: ShaperConfigRecord = {
  egressCost: 0n,
  ingressCost: 0n,
  egressBandwidth: 0n,
  ingressBandwidth: 0n,
  level: 0,
  flags: 0,
}

/** What programs shape by, in memory that they share: each write is seen by the next packet. Clocks and counters are the programs' own. */
export class ShapingTables {
  readonly #map: (name: string) => BpfMap
  readonly #userOf: (id: number) => string | undefined
  readonly #memory: SharedMemory
  #view: DataView

  /** `userOf`: address of a pod that has a shaper. */
  constructor(map: (name: string) => BpfMap, userOf: (id: number) => string | undefined) {
    this.#map = map
    this.#userOf = userOf
    this.#memory = mapSharedMemory(map('.data.shaping').fd, shapingConfig.size)
    this.#view = new DataView(this.#memory.bytes)
    for (let level = 0; level < POD_LEVELS; level++)
      this.#write(levelShaper(level), { ...NOBODY, level, flags: SHAPER_USED })
    // code points and priorities are this version's; what was limited stays
    this.#writeShaping(this.readShaping())
  }

  /** The part of a data plane that is about shaping. */
  calls(): ShapingCalls {
    return {
      setShaper: (shaper) => this.set(shaper),
      removeShaper: (id) => this.remove(id),
      listShapers: () => this.list(),
      setShaping: (shaping) => this.setShaping(shaping),
      readShaping: () => this.readShaping(),
      readLevels: () => this.readLevels(),
      readShapers: () => this.readShapers(),
    }
  }

  /** Throws `DataplaneError` when the pod's shaper is not there. */
  require({ ip, shaper }: Pick<Endpoint, 'ip' | 'shaper'>): void {
    const isNumber = Number.isInteger(shaper) && shaper > 0 && shaper < SHAPERS_MAX
    if (!isNumber || (this.#read(shaper).flags & SHAPER_USED) === 0)
      throw new DataplaneError(`Cannot give pod ${ip} shaper ${shaper}: there is none`)
  }

  set({ id, level, egressBandwidth, ingressBandwidth }: Shaper): void {
    requireId(id)
    if (!Number.isInteger(level) || level < 0 || level >= POD_LEVELS)
      throw new DataplaneError(`Cannot give shaper ${id} level ${level}: levels of pods are 0 to ${POD_LEVELS - 1}`)
    this.#write(id, {
      egressCost: costOf(egressBandwidth),
      ingressCost: costOf(ingressBandwidth),
      egressBandwidth: BigInt(Math.round(egressBandwidth ?? 0)),
      ingressBandwidth: BigInt(Math.round(ingressBandwidth ?? 0)),
      level,
      flags: SHAPER_USED,
    })
  }

  /** What its pod sent is no matter of the next one that gets the number. */
  remove(id: number): void {
    requireId(id)
    const user = this.#userOf(id)
    if (user !== undefined) throw new DataplaneError(`Cannot remove shaper ${id}: pod ${user} has it`)
    this.#write(id, NOBODY)
    for (const table of [this.#map('shaper_clocks'), this.#map('shaper_counters')])
      table.set(keyOf(id), Buffer.alloc(table.get(keyOf(id))!.length))
  }

  list(): Shaper[] {
    return this.#listIds().map((id) => {
      const { level, egressBandwidth, ingressBandwidth } = this.#read(id)
      return {
        id,
        level,
        ...(egressBandwidth === 0n ? {} : { egressBandwidth: Number(egressBandwidth) }),
        ...(ingressBandwidth === 0n ? {} : { ingressBandwidth: Number(ingressBandwidth) }),
      }
    })
  }

  setShaping(shaping: Shaping): void {
    const { ratesHoldMs } = shaping
    this.#writeShaping(shaping)
    // the clock of bpf_ktime_get_ns
    const until = ratesHoldMs === undefined ? 0n : process.hrtime.bigint() + BigInt(Math.round(ratesHoldMs * 1e6))
    this.#view.setBigUint64(UNTIL_OFFSET, until, true)
  }

  #writeShaping({ mode, rates, overheadBytes }: Shaping): void {
    if (!Number.isInteger(overheadBytes) || overheadBytes < 0 || overheadBytes > OVERHEAD_BYTES_MAX)
      throw new DataplaneError(
        `A packet's overhead must be 0 to ${OVERHEAD_BYTES_MAX} bytes: ${overheadBytes} is not understood`,
      )
    const costs = listLevels().map((level) => costOf(rates[level]))
    for (const [level, cost] of costs.entries())
      levelConfig.write(this.#view, LEVELS_OFFSET + level * levelConfig.size, {
        cost,
        bandwidth: BigInt(Math.round(rates[level] ?? 0)),
        priority: priorityOf(level, mode),
        dscp: LEVEL_DSCP[level]!,
      })
    this.#view.setUint32(OVERHEAD_OFFSET, overheadBytes, true)
    this.#view.setUint32(MODE_OFFSET, MODES[mode], true)
  }

  readShaping(): Shaping {
    const number = this.#view.getUint32(MODE_OFFSET, true)
    const mode = (Object.keys(MODES) as (keyof typeof MODES)[]).find((name) => MODES[name] === number) ?? 'none'
    const rates = listLevels().map((level) => {
      const { bandwidth } = levelConfig.read(this.#view, LEVELS_OFFSET + level * levelConfig.size)
      return bandwidth === 0n ? undefined : Number(bandwidth)
    })
    return { mode, rates, overheadBytes: this.#view.getUint32(OVERHEAD_OFFSET, true) }
  }

  readLevels(): (ShaperCounts & { readonly level: Level })[] {
    const [clocks, counters] = [this.#map('level_clocks'), this.#map('level_counters')]
    return listLevels().map((level) => ({ level, ...readCounts(level, clocks, counters) }))
  }

  readShapers(): (ShaperCounts & { readonly id: number })[] {
    const [clocks, counters] = [this.#map('shaper_clocks'), this.#map('shaper_counters')]
    return this.#listIds().map((id) => ({ id, ...readCounts(id, clocks, counters) }))
  }

  /** Whoever uses it afterwards gets a `RangeError` and not the memory of somebody else. */
  close(): void {
    this.#view = new DataView(new ArrayBuffer(0))
    this.#memory.close()
  }

  #listIds(): number[] {
    const ids = Array.from({ length: SHAPERS_MAX - SHAPERS_RESERVED }, (_, i) => i + SHAPERS_RESERVED)
    return ids.filter((id) => (this.#view.getUint32(flagsOffsetOf(id), true) & SHAPER_USED) !== 0)
  }

  #read(id: number): ShaperConfigRecord {
    return shaperConfig.read(this.#view, SHAPERS_OFFSET + id * shaperConfig.size)
  }

  #write(id: number, record: ShaperConfigRecord): void {
    shaperConfig.write(this.#view, SHAPERS_OFFSET + id * shaperConfig.size, record)
  }
}

/** What a byte costs at a rate in bits a second; see COST_SHIFT in layouts/shaping.ts. */
export function costOf(bandwidth: number | undefined): bigint {
  if (bandwidth === undefined) return 0n
  if (!(bandwidth >= BANDWIDTH_MIN && bandwidth <= BANDWIDTH_MAX))
    throw new DataplaneError(`A bandwidth must be at least ${BANDWIDTH_MIN} bits a second: ${bandwidth} is not`)
  const rate = BigInt(Math.round(bandwidth))
  const cost = ((NANOSECONDS_BITS << BigInt(CLOCK_SHIFT + COST_SHIFT)) + rate / 2n) / rate
  return cost === 0n ? 1n : cost
}

function requireId(id: number): void {
  if (!Number.isInteger(id) || id < SHAPERS_RESERVED || id >= SHAPERS_MAX)
    throw new DataplaneError(`Shapers of pods have the numbers ${SHAPERS_RESERVED} to ${SHAPERS_MAX - 1}, not ${id}`)
}

function readCounts(index: number, clocks: BpfMap, counters: BpfMap): ShaperCounts {
  const key = keyOf(index)
  const { next } = shaperClock.decode(clocks.get(key)!)
  // the clock of bpf_ktime_get_ns
  const ahead = Number(next >> BigInt(CLOCK_SHIFT)) - Number(process.hrtime.bigint())
  return { ...sumCounts(counters.get(key)!), backlogNs: Math.max(0, ahead) }
}

function sumCounts(values: Buffer): Omit<ShaperCounts, 'backlogNs'> {
  const sum = { packets: 0, bytes: 0, drops: 0, dropBytes: 0, marks: 0 }
  for (let offset = 0; offset < values.length; offset += shaperCounter.size) {
    const one = shaperCounter.decode(values.subarray(offset, offset + shaperCounter.size))
    for (const name of ['packets', 'bytes', 'drops', 'dropBytes', 'marks'] as const) sum[name] += Number(one[name])
  }
  return sum
}

function keyOf(index: number): Buffer {
  const key = Buffer.alloc(4)
  key.writeUInt32LE(index)
  return key
}

function offsetIn(name: string): number {
  return shapingConfig.fields.find((field) => field.name === name)!.offset
}

function flagsOffsetOf(id: number): number {
  const { offset } = shaperConfig.fields.find(({ name }) => name === 'flags')!
  return SHAPERS_OFFSET + id * shaperConfig.size + offset
}
