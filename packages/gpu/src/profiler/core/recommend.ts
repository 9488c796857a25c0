/** What jobs of a type should ask for, and whom they should not share a GPU with. Pure. */
import { countOf, percentileOf } from './histogram.ts'
import { bucketMemoryMiB, COMPUTE_BUCKET_PERCENT, type JobProfile, type Work } from './job-profile.ts'

/** Undefined parts: not enough was seen, or a limit hid what it would use. */
export interface Recommendation {
  readonly memoryMiB?: number | undefined
  /** Percent of a GPU's time. */
  readonly compute?: number | undefined
}

/** How much slower it works beside another type: 0.5 is half of its launches. */
export interface Interference {
  readonly partner: string
  readonly speed: number
}

/** Ten minutes. */
const SAMPLES_MIN = 600
/** Who asks for too little of it fails: all but nothing is covered, and more. */
const MEMORY_PART = 0.9999
const MEMORY_MARGIN = 1.15
const MEMORY_STEP_MIB = 256
/** Who asks for too little of it waits a little. */
const COMPUTE_PART = 0.95
const COMPUTE_MARGIN_PERCENT = 10
const COMPUTE_MAX = 100
/** With more samples held back, what it used says what it was given, not what it needs. */
const HELD_PART_MAX = 0.1
/** Seconds of work on both sides. */
const WORK_SECONDS_MIN = 60

export function recommend({ compute, memory, held, refused }: JobProfile): Recommendation {
  const seen = countOf(compute)
  if (seen < SAMPLES_MIN) return {}
  const memoryBucket = refused > 0 ? undefined : percentileOf(memory, MEMORY_PART)
  const computeBucket = held > seen * HELD_PART_MAX ? undefined : percentileOf(compute, COMPUTE_PART)
  return {
    ...(memoryBucket === undefined
      ? {}
      : { memoryMiB: roundUp(bucketMemoryMiB(memoryBucket) * MEMORY_MARGIN, MEMORY_STEP_MIB) }),
    ...(computeBucket === undefined
      ? {}
      : { compute: Math.min(COMPUTE_MAX, computeBucket * COMPUTE_BUCKET_PERCENT + COMPUTE_MARGIN_PERCENT) }),
  }
}

/** Worst first; those of which enough was seen. */
export function interferenceOf({ alone, beside }: JobProfile): Interference[] {
  if (alone.seconds < WORK_SECONDS_MIN) return []
  return Object.entries(beside)
    .filter(([, work]) => work.seconds >= WORK_SECONDS_MIN)
    .map(([partner, work]) => ({ partner, speed: rateOf(work) / rateOf(alone) }))
    .toSorted((a, b) => a.speed - b.speed)
}

function rateOf({ seconds, launches }: Work): number {
  return launches / seconds
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step
}
