/** What is known of jobs of one type, over all of their pods on this host. Small, plain JSON. Pure. */
import type { UseSample } from '../measure-use.ts'
import type { JobKind, UseClass } from './classify-use.ts'
import { observe, type Histogram } from './histogram.ts'

export interface JobProfile {
  /** Samples, a second each, by part of a GPU's time: bucket `n` is up to `5 * n` percent. */
  readonly compute: Histogram
  /** The same by memory: bucket `n` is up to `2 ** (n / 8)` MiB. */
  readonly memory: Histogram
  /** How many of these samples were held back by a limit, or had an allocation refused. */
  readonly held: number
  readonly refused: number
  /** How often each kind was found. */
  readonly kinds: Readonly<Partial<Record<JobKind, number>>>
  /** Of training, seconds, a mean that forgets. */
  readonly periodSeconds?: number | undefined
  /** Work done while nobody else used the device. */
  readonly alone: Work
  /** Beside jobs of another type, by type; those seen most. */
  readonly beside: Readonly<Record<string, Work>>
}

/** In seconds in which there was some. */
export interface Work {
  readonly seconds: number
  readonly launches: number
}

export const EMPTY_PROFILE: JobProfile = {
  compute: [],
  memory: [],
  held: 0,
  refused: 0,
  kinds: {},
  alone: { seconds: 0, launches: 0 },
  beside: {},
}

export const COMPUTE_BUCKET_PERCENT = 5
const COMPUTE_BUCKETS = 100 / COMPUTE_BUCKET_PERCENT
const MEMORY_BUCKETS_PER_DOUBLING = 8
const MEMORY_BUCKET_MAX = 20 * MEMORY_BUCKETS_PER_DOUBLING
const MIB = 2 ** 20
/** More of the time that was held back than this is told as held. */
const HELD_PERCENT = 5
const BESIDE_MAX = 16
/** Two hours of one container, told once a minute. */
const KINDS_MAX = 120
/** How much a new period weighs. */
const PERIOD_WEIGHT = 0.2
/** Work of so many seconds counts half from then on. */
const WORK_SECONDS_MAX = 86_400

export interface Observation {
  readonly sample: UseSample
  /** Types of the others that used the device meanwhile. */
  readonly beside: readonly string[]
}

/** One container's use of one device, for one sample. */
export function observeUse(profile: JobProfile, { sample, beside }: Observation): JobProfile {
  const work: Work = { seconds: sample.launches > 0 ? sample.seconds : 0, launches: sample.launches }
  const [partner] = beside
  return {
    ...profile,
    compute: observe(profile.compute, Math.min(COMPUTE_BUCKETS, Math.ceil(sample.percent / COMPUTE_BUCKET_PERCENT))),
    memory: observe(profile.memory, memoryBucket(sample.memoryBytes)),
    held: profile.held + (sample.waitedPercent > HELD_PERCENT ? 1 : 0),
    refused: profile.refused + (sample.refused > 0 ? 1 : 0),
    // with several others nobody can tell whose doing it is
    alone: beside.length === 0 ? addWork(profile.alone, work) : profile.alone,
    beside: beside.length === 1 ? addBeside(profile.beside, partner!, work) : profile.beside,
  }
}

/** What one container was found to be. */
export function observeClass(
  profile: JobProfile,
  { kind, periodSeconds }: Pick<UseClass, 'kind'> & { readonly periodSeconds?: number | undefined },
): JobProfile {
  const before = profile.periodSeconds ?? periodSeconds
  return {
    ...profile,
    kinds: addKind(profile.kinds, kind),
    ...(periodSeconds === undefined || before === undefined
      ? {}
      : { periodSeconds: before + PERIOD_WEIGHT * (periodSeconds - before) }),
  }
}

/** Found most often; `idle` only where nothing else was, since every job has pauses. Undefined: nothing was found yet. */
export function kindOf({ kinds }: JobProfile): JobKind | undefined {
  const order: readonly JobKind[] = ['training', 'inference', 'steady']
  const [best] = order.toSorted((a, b) => (kinds[b] ?? 0) - (kinds[a] ?? 0))
  if (best !== undefined && (kinds[best] ?? 0) > 0) return best
  return kinds.idle === undefined ? undefined : 'idle'
}

/** With so many the older count half: a job may become another one. */
function addKind(kinds: JobProfile['kinds'], kind: JobKind): JobProfile['kinds'] {
  const next = { ...kinds, [kind]: (kinds[kind] ?? 0) + 1 }
  const sum = Object.values(next).reduce((all, count) => all + count, 0)
  if (sum <= KINDS_MAX) return next
  return Object.fromEntries(Object.entries(next).map(([name, count]) => [name, count / 2]))
}

/** MiB that samples of this bucket used at most. */
export function bucketMemoryMiB(bucket: number): number {
  return 2 ** (bucket / MEMORY_BUCKETS_PER_DOUBLING)
}

function memoryBucket(bytes: number): number {
  const bucket = Math.ceil(Math.log2(Math.max(1, bytes / MIB)) * MEMORY_BUCKETS_PER_DOUBLING)
  return Math.min(MEMORY_BUCKET_MAX, bucket)
}

function addBeside(beside: JobProfile['beside'], partner: string, work: Work): JobProfile['beside'] {
  const next = { ...beside, [partner]: addWork(beside[partner] ?? { seconds: 0, launches: 0 }, work) }
  if (Object.keys(next).length <= BESIDE_MAX) return next
  const others = Object.entries(next).filter(([name]) => name !== partner)
  const [least] = others.toSorted(([, a], [, b]) => a.seconds - b.seconds)
  return Object.fromEntries(Object.entries(next).filter(([name]) => name !== least![0]))
}

function addWork(sum: Work, { seconds, launches }: Work): Work {
  const fade = sum.seconds > WORK_SECONDS_MAX ? 0.5 : 1
  return { seconds: sum.seconds * fade + seconds, launches: sum.launches * fade + launches }
}
