import type { Pod } from '@centaurus/api/core/v1'
import { isWholeGpu } from '@centaurus/api/gpu'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { ContainerFolders } from '../containers/container-folders.ts'
import { sharesOfPods, type KnownContainer } from '../containers/shares-of-pods.ts'
import type { GpuUse } from '../sources/device-source.ts'
import { classifyUse } from './core/classify-use.ts'
import { observeClass, observeUse } from './core/job-profile.ts'
import { jobTypeOf } from './core/job-type.ts'
import { describeProfile, type ContainerProfile } from './core/profile-annotation.ts'
import { interferenceOf, type Interference } from './core/recommend.ts'
import { measureUse, type UseSample } from './measure-use.ts'
import type { ProfileBook } from './profile-book.ts'
import { readUsage } from './read-usage.ts'
import type { Usage } from './usage-region.ts'

const SAMPLE_MS = 1_000
/** How often kinds are told and what is known is written. */
const JUDGE_MS = 60_000
/** Half an hour: what periods are found in. */
const SAMPLES_MAX = 1_800
/** After a longer break samples are not evenly spaced any more, and begin anew. */
const BREAK_MS = 30_000
const MIB = 2 ** 20

export interface ProfilerOptions {
  readonly folders: Pick<ContainerFolders, 'usageFile'>
  /** Those of this node. */
  readonly pods: () => readonly Pod[]
  /** What uses whole GPUs, of which no interposer tells. Never rejects. */
  readonly readUse: () => Promise<readonly GpuUse[]>
  readonly book: ProfileBook
  /** Tells what became known of a container. Never rejects. */
  readonly tell: (container: KnownContainer, profile: ContainerProfile) => Promise<void>
  readonly clock: Clock
  readonly logger: Logger
}

/** What a container does with a device, at the moment and so far. */
export interface DeviceReading {
  readonly uuid: string
  readonly container: KnownContainer
  readonly sample: UseSample
  /** Since the profiler knows the container. */
  readonly launches: number
}

export interface Profiler {
  /** Of the last second. */
  readonly readings: readonly DeviceReading[]
  /** Of a container's type of job, over all restarts; undefined: not known yet. */
  profileOf(container: KnownContainer): ContainerProfile | undefined
  /** Types of jobs that slowed this one, worst first. */
  interferenceOf(container: KnownContainer): Interference[]
  /** Writes what is known. */
  close(): void
}

/** A container's use of a device over time. */
interface Track {
  readonly type: string
  readonly percents: number[]
  reading: DeviceReading
}

/** Looks each second at what containers do with GPUs, and learns what their types of jobs need. */
export function startProfiler(options: ProfilerOptions): Profiler {
  const profiler = new ContainerProfiler(options)
  profiler.schedule()
  return profiler
}

class ContainerProfiler implements Profiler {
  readonly #options: ProfilerOptions
  readonly #tracks = new Map<string, Track>()
  /** By container. */
  #usages = new Map<string, Usage>()
  #lookedMs: number
  #judgedMs: number
  #timer: Timer | undefined
  #telling = false
  #closed = false

  constructor(options: ProfilerOptions) {
    this.#options = options
    this.#lookedMs = this.#judgedMs = options.clock.monotonicMs()
  }

  get readings(): readonly DeviceReading[] {
    return [...this.#tracks.values()].map(({ reading }) => reading)
  }

  profileOf({ pod, container }: KnownContainer): ContainerProfile | undefined {
    return describeProfile(this.#options.book.get(jobTypeOf(pod, container)))
  }

  interferenceOf({ pod, container }: KnownContainer): Interference[] {
    return interferenceOf(this.#options.book.get(jobTypeOf(pod, container)))
  }

  schedule(): void {
    this.#timer = this.#options.clock.setTimer(SAMPLE_MS, () => {
      this.#look()
        .catch((error: unknown) => this.#options.logger.warn('Could not look at the use of GPUs', { error }))
        .finally(() => {
          if (!this.#closed) this.schedule()
        })
    })
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#save()
  }

  async #look(): Promise<void> {
    const { pods, clock, readUse } = this.#options
    const known = [...sharesOfPods(pods())].filter(([, { state }]) => state === 'active')
    const hasWhole = known.some(([, { grants }]) => grants.some(isWholeGpu))
    const uses = hasWhole ? await readUse() : []
    if (this.#closed) return
    const nowMs = clock.monotonicMs()
    const pausedMs = nowMs - this.#lookedMs
    this.#lookedMs = nowMs
    if (pausedMs > BREAK_MS) this.#forget()
    this.#follow(known, this.#measure(known, { uses, seconds: pausedMs / 1_000 }))
    if (nowMs - this.#judgedMs >= JUDGE_MS) {
      this.#judgedMs = nowMs
      this.#judge()
    }
  }

  #forget(): void {
    this.#usages.clear()
    for (const { percents } of this.#tracks.values()) percents.length = 0
  }

  /** By container and device. */
  #measure(
    known: readonly [string, KnownContainer][],
    { uses, seconds }: { readonly uses: readonly GpuUse[]; readonly seconds: number },
  ): Map<string, UseSample> {
    const samples = new Map<string, UseSample>()
    const usages = new Map<string, Usage>()
    for (const [key, { grants }] of known) {
      const now = grants.every(isWholeGpu) ? undefined : readUsage(this.#options.folders.usageFile(key))
      const before = this.#usages.get(key)
      if (now !== undefined) usages.set(key, now)
      const measured = now === undefined || before === undefined ? undefined : measureUse(before, now, seconds)
      for (const grant of grants) {
        // a whole GPU is nobody else's, and so all of its use is this container's
        const sample = isWholeGpu(grant)
          ? sampleWhole(
              uses.find(({ uuid }) => uuid === grant.uuid),
              seconds,
            )
          : measured?.get(grant.uuid)
        if (sample !== undefined) samples.set(trackKey(key, grant.uuid), sample)
      }
    }
    this.#usages = usages
    return samples
  }

  #follow(known: readonly [string, KnownContainer][], samples: ReadonlyMap<string, UseSample>): void {
    const seen = new Set<string>()
    for (const [key, container] of known)
      for (const { uuid } of container.grants) {
        const name = trackKey(key, uuid)
        const sample = samples.get(name)
        if (sample === undefined) continue
        seen.add(name)
        const track = this.#tracks.get(name)
        const launches = (track?.reading.launches ?? 0) + sample.launches
        const reading = { uuid, container, sample, launches }
        if (track === undefined)
          this.#tracks.set(name, { type: jobTypeOf(container.pod, container.container), percents: [], reading })
        else track.reading = reading
      }
    for (const name of this.#tracks.keys()) if (!seen.has(name)) this.#tracks.delete(name)
    for (const track of this.#tracks.values()) this.#observe(track)
  }

  #observe(track: Track): void {
    const { sample, uuid } = track.reading
    track.percents.push(sample.percent)
    if (track.percents.length > SAMPLES_MAX) track.percents.shift()
    const others = [...this.#tracks.values()].filter(
      (other) => other !== track && other.reading.uuid === uuid && other.reading.sample.percent > 0,
    )
    const beside = others.map(({ type }) => type)
    this.#options.book.change(track.type, (profile) => observeUse(profile, { sample, beside }))
  }

  #judge(): void {
    const { book } = this.#options
    const known: (readonly [KnownContainer, ContainerProfile])[] = []
    for (const { type, percents, reading } of this.#tracks.values()) {
      const found = classifyUse(percents)
      if (found === undefined) continue
      const periodSeconds = found.period === undefined ? undefined : (found.period * SAMPLE_MS) / 1_000
      book.change(type, (profile) => observeClass(profile, { kind: found.kind, periodSeconds }))
      const profile = describeProfile(book.get(type))
      if (profile !== undefined) known.push([reading.container, profile])
    }
    this.#save()
    void this.#tell(known)
  }

  /** One after the other, and nobody waits for it: samples go on where the API is slow. */
  async #tell(known: readonly (readonly [KnownContainer, ContainerProfile])[]): Promise<void> {
    if (this.#telling) return
    this.#telling = true
    for (const [container, profile] of known) if (!this.#closed) await this.#options.tell(container, profile)
    this.#telling = false
  }

  #save(): void {
    try {
      this.#options.book.save()
    } catch (error) {
      this.#options.logger.warn('Could not keep what is known of GPU jobs', { error })
    }
  }
}

function trackKey(key: string, uuid: string): string {
  return `${key} ${uuid}`
}

function sampleWhole(use: GpuUse | undefined, seconds: number): UseSample | undefined {
  if (use?.gpuPercent === undefined || use.memoryUsedMiB === undefined) return undefined
  const memoryBytes = use.memoryUsedMiB * MIB
  return { seconds, percent: use.gpuPercent, memoryBytes, launches: 0, waitedPercent: 0, refused: 0, tokensMs: 0 }
}
