/** Records of shaping; see qos/shaping-tables.ts for who writes them, bpf/shape.h for who reads them. */
import { array, padding, struct, u32, u64, u8, type ValueOf } from './struct.ts'

/** Premium high to best-effort low. */
export const POD_LEVELS = 9
/** What the host itself sends. */
export const HOST_LEVEL = 9
export const SHAPING_LEVELS = 10
/** Best-effort medium: of pods that nothing is said of. */
export const DEFAULT_LEVEL = 7
/** Ids up to here are not of one pod: level k has k + 1, for its pods that have no number of their own yet. */
export const SHAPERS_RESERVED = 16
/** One for every pod of a host. */
export const SHAPERS_MAX = 4112
/** How a packet's queue mapping says whose it is, from a pod's device to the uplink: no queue of a device has a number with this bit. */
export const SHAPER_TAG = 0x8000

/** Values of {@link shapingConfig}'s `mode`. */
export const SHAPING_NONE = 0
export const SHAPING_STAMPS = 1
export const SHAPING_CLASSES = 2

/** Clocks count 2^-5 nanoseconds, so that small packets at high rates are not rounded away; they last 18 years. */
export const CLOCK_SHIFT = 5
/** What a byte costs, in 2^-19 of that. */
export const COST_SHIFT = 19

/** Flows of a pod, or pods of a level, are told apart by so many clocks. */
export const SHAPER_FLOWS = 32

/** Costs: {@link COST_SHIFT}; 0: no limit. */
export const levelConfig = struct('level_config', {
  cost: u64,
  /** Bits a second, as it was asked for. */
  bandwidth: u64,
  /** Of the packet in the host's queues. */
  priority: u32,
  dscp: u8,
  pad: padding(3),
})
export const shaperConfig = struct('shaper_config', {
  egressCost: u64,
  ingressCost: u64,
  egressBandwidth: u64,
  ingressBandwidth: u64,
  level: u32,
  flags: u32,
})
/** Bit of {@link shaperConfig}'s flags; 0: nobody's, as if it were of {@link DEFAULT_LEVEL} without limits. */
export const SHAPER_USED = 1

/** Memory that TypeScript maps: no look-up in a program, no system call here. Nothing in it is written by programs. */
export const shapingConfig = struct('shaping_config', {
  mode: u32,
  /** Of each packet on the wire beside what the kernel counts. */
  overheadBytes: u32,
  /** Until when the rates of levels hold, by the clock of bpf_ktime_get_ns; 0: always. */
  ratesUntil: u64,
  levels: array(levelConfig, SHAPING_LEVELS),
  shapers: array(shaperConfig, SHAPERS_MAX),
})

/** When the next packet may go, as programs keep it: of all, and of each flow. See {@link CLOCK_SHIFT}. */
export const shaperClock = struct('shaper_clock', {
  next: u64,
  /** Of what arrives for the pod: behind now by what it may still get at once. */
  ingress: u64,
  /** When the last packet of each flow is gone, and its share is used up. */
  flows: array(u64, SHAPER_FLOWS),
  /** When each flow would be done if it had its share alone. */
  shares: array(u64, SHAPER_FLOWS),
})
export const shaperCounter = struct('shaper_counter', {
  packets: u64,
  bytes: u64,
  drops: u64,
  dropBytes: u64,
  marks: u64,
})

export type ShaperConfigRecord = ValueOf<typeof shaperConfig>
export type LevelConfigRecord = ValueOf<typeof levelConfig>
export type ShaperCounterRecord = ValueOf<typeof shaperCounter>
