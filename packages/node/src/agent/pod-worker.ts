import { isDeepStrictEqual } from 'node:util'

import { isStatus } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { Logger, Timer } from '@centaurus/base'

import { isPayloadVolume } from '../volumes/payload.ts'
import { podKey, type PodRuntimeState } from '../pod/runtime-state.ts'
import { allocationOf, readAllocation, withAllocation, type Allocation } from '../pod/resize.ts'
import { podLogDirectory } from '../pod/sandbox-config.ts'
import { PodProbes } from '../probes/pod-probes.ts'
import {
  createPodMemory,
  downwardContext,
  readMessages,
  reportStatus,
  type PodDeps,
  type PodMemory,
} from './pod-context.ts'
import { volumeSources } from './pod-sources.ts'
import { resizePod } from './resize-pod.ts'
import { graceOf, runPod, stopPod } from './run-pod.ts'

const RETRY_MS_MIN = 500
const RETRY_MS_MAX = 30_000
/** Changes of what a volume is made from that come together are written together. */
const SOURCES_DELAY_MS = 50

/** Ends the pending steps of a pod that is to stop. Not an error to tell anyone. */
class PodEndingError extends Error {
  override readonly name = 'PodEndingError'
}

/**
 * Carries one pod through its life. Level-based: every wake-up looks at the pod and the runtime afresh; steps of one pod never overlap.
 * Closing it leaves the containers running, for the next agent to adopt.
 */
export class PodWorker {
  readonly #deps: PodDeps
  readonly #logger: Logger
  readonly #memory: PodMemory = createPodMemory()
  readonly #probes: PodProbes
  readonly #ending = new AbortController()
  /** As the API has it. */
  #desired: Pod
  #allocation: Allocation
  /** With the resources that its containers were given. */
  #pod: Pod
  #admitted = false
  #removed = false
  #terminated = false
  #deleting = false
  #closed = false
  #dirty = false
  #loop: Promise<void> | undefined
  #timer: Timer | undefined
  #sourcesTimer: Timer | undefined
  #retryMs = RETRY_MS_MIN
  #evictionGraceSeconds: number | undefined

  constructor(pod: Pod, deps: PodDeps) {
    this.#desired = pod
    this.#allocation = readAllocation(pod)
    this.#pod = withAllocation(pod, this.#allocation)
    this.#deps = deps
    this.#logger = deps.logger.with({ pod: podKey(pod) })
    this.#probes = new PodProbes({
      clock: deps.clock,
      random: deps.random,
      deps: { runtime: deps.runtime, dialer: deps.host.dialer },
      event: (event) => deps.recordEvent(this.#pod, event),
      onChange: () => this.poke(),
      hostAddressOf: deps.config.hostAddressOf,
    })
    deps.watches?.follow(pod)
  }

  get pod(): Pod {
    return this.#pod
  }

  get uid(): string {
    return this.#pod.metadata.uid ?? ''
  }

  /** True while it takes resources: admitted and not over. */
  get active(): boolean {
    return this.#admitted && !this.#terminated
  }

  /** True when none of its containers runs, nor will. */
  get over(): boolean {
    return this.#terminated
  }

  update(pod: Pod): void {
    const old = this.#pod
    this.#desired = pod
    this.#pod = withAllocation(pod, this.#allocation)
    if (this.#isEnding()) this.#hurry()
    else if (old.spec !== pod.spec) this.#deps.watches?.follow(pod)
    if (!isDeepStrictEqual(downwardMeta(old), downwardMeta(pod))) this.sourcesChanged()
    this.poke()
  }

  /** What volumes are filled from has changed: writes them soon, and tries again what failed for the lack of it. */
  sourcesChanged(): void {
    if (this.#closed || this.#isEnding()) return
    this.#sourcesTimer ??= this.#deps.clock.setTimer(SOURCES_DELAY_MS, () => {
      this.#sourcesTimer = undefined
      this.refreshVolumes().catch((error: unknown) => this.#logger.warn('Could not refresh volumes of Pod', { error }))
      this.poke()
    })
  }

  /** The API no longer has it. */
  remove(): void {
    this.#removed = true
    this.#hurry()
    this.poke()
  }

  /** Ends the pod as Failed, for a reason of the node's. */
  fail(
    reason: string,
    message: string,
    { graceSeconds, isDisruption }: { readonly graceSeconds?: number; readonly isDisruption?: boolean } = {},
  ): void {
    this.#memory.failure ??= { reason, message, isDisruption }
    this.#evictionGraceSeconds ??= graceSeconds
    this.#hurry()
    this.poke()
  }

  /** Looks again soon. */
  poke(): void {
    if (this.#closed) return
    this.#dirty = true
    this.#loop ??= this.#work().finally(() => (this.#loop = undefined))
  }

  /** Rewrites the volumes that come from the API. */
  async refreshVolumes(): Promise<void> {
    const pod = this.#pod
    if (!this.active || this.#isEnding() || pod.spec?.volumes?.some(isPayloadVolume) !== true) return
    const state = this.#deps.cache.get(this.uid)
    if (state.sandboxes[0]?.ready !== true) return
    const downward = downwardContext(pod, state.sandboxes[0].ips, this.#deps)
    await this.#deps.host.files.refreshVolumes(pod, volumeSources(pod, { ...this.#deps, downward }))
  }

  /** Stops working; resolves when the step under way has ended or given up. */
  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    this.#sourcesTimer?.cancel()
    this.#probes.close()
    this.#ending.abort(new PodEndingError('The node agent was closed'))
    await this.#loop
  }

  async #work(): Promise<void> {
    while (this.#dirty && !this.#closed) {
      this.#dirty = false
      this.#timer?.cancel()
      try {
        const wakeAtMs = await this.#step()
        this.#retryMs = RETRY_MS_MIN
        if (wakeAtMs !== undefined) this.#wakeIn(Math.max(0, wakeAtMs - this.#deps.clock.now()))
      } catch (error) {
        if (error instanceof PodEndingError) continue
        this.#logger.warn('Could not sync Pod', { error })
        this.#wakeIn(this.#retryMs)
        this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX)
      }
    }
  }

  #wakeIn(ms: number): void {
    if (this.#closed) return
    this.#timer = this.#deps.clock.setTimer(ms, () => this.poke())
  }

  async #step(): Promise<number | undefined> {
    if (!this.#admitted && !this.#isEnding()) await this.#admit()
    const deadline = this.#checkDeadline()
    if (this.#isEnding()) return this.#end()
    const state = this.#deps.cache.get(this.uid)
    const retryResize = await this.#resize(state)
    const pod = this.#pod
    await readMessages(state, this.#memory, this.#deps)
    this.#probes.sync(pod, state)
    const status = reportStatus(pod, state, { memory: this.#memory, probes: this.#probes, terminal: false }, this.#deps)
    if (isTerminal(status.phase)) return this.#end()
    const { wakeAtMs } = await runPod(
      pod,
      state,
      { memory: this.#memory, probes: this.#probes, signal: this.#ending.signal },
      this.#deps,
    )
    const after = this.#deps.cache.get(this.uid)
    if (after !== state) this.#dirty = true
    return [wakeAtMs, deadline, retryResize].filter((time) => time !== undefined).toSorted((a, b) => a - b)[0]
  }

  /** Lets the containers have what the spec asks for by now. Returns when to try again. */
  async #resize(state: PodRuntimeState): Promise<number | undefined> {
    const desired = this.#desired
    for (const id of this.#memory.restart)
      if (state.containers.find((container) => container.id === id)?.phase !== 'running')
        this.#memory.restart.delete(id)
    if (this.#pod === desired && this.#memory.resize === undefined) return undefined
    const { pod, retryAtMs } = await resizePod(desired, this.#pod, { state, memory: this.#memory, deps: this.#deps })
    if (pod === desired) this.#allocation = allocationOf(desired)
    this.#pod = withAllocation(this.#desired, this.#allocation)
    return retryAtMs
  }

  /** A pod that has containers was admitted before, by an agent that is gone. */
  async #admit(): Promise<void> {
    const started = this.#deps.cache.get(this.uid).sandboxes.length > 0 || this.#pod.status?.startTime !== undefined
    const admission = started ? ({ admit: true } as const) : this.#deps.admit(this.#pod)
    this.#admitted = true
    if (!admission.admit) return this.#refuse(admission.reason, admission.message)
    const why = started ? undefined : await this.#deps.devices?.allocate(this.#pod)
    if (why === undefined) return
    this.#refuse('UnexpectedAdmissionError', `Pod was rejected: Allocate failed due to ${why}, which is unexpected`)
  }

  #refuse(reason: string, message: string): void {
    this.#deps.recordEvent(this.#pod, { type: 'Warning', reason, message })
    this.#memory.failure = { reason, message, isRejection: true }
  }

  /** Returns when the pod's time is up; fails it when it is. */
  #checkDeadline(): number | undefined {
    const seconds = this.#pod.spec?.activeDeadlineSeconds
    const started = this.#pod.status?.startTime ?? this.#deps.status.latest(this.uid)?.startTime
    if (seconds === undefined || started === undefined) return undefined
    const atMs = Date.parse(started) + seconds * 1000
    if (this.#deps.clock.now() < atMs || this.#isEnding()) return atMs
    const message = 'Pod was active on the node longer than the specified deadline'
    this.#deps.recordEvent(this.#pod, { type: 'Normal', reason: 'DeadlineExceeded', message })
    this.#memory.failure = { reason: 'DeadlineExceeded', message }
    return undefined
  }

  #isEnding(): boolean {
    return (
      this.#removed ||
      this.#memory.failure !== undefined ||
      this.#pod.metadata.deletionTimestamp !== undefined ||
      isTerminal(this.#pod.status?.phase)
    )
  }

  async #end(): Promise<undefined> {
    if (!this.#terminated) await this.#terminate()
    if (this.#removed) await this.#cleanUp()
    else if (this.#pod.metadata.deletionTimestamp !== undefined) await this.#delete()
    return undefined
  }

  async #terminate(): Promise<void> {
    const { cache, host, status } = this.#deps
    const pod = this.#pod
    let state = await cache.refresh(this.uid)
    await readMessages(state, this.#memory, this.#deps)
    this.#probes.sync(pod, state, { readinessOnly: true })
    if (!this.#removed)
      reportStatus(pod, state, { memory: this.#memory, probes: this.#probes, terminal: false }, this.#deps)
    await stopPod(pod, state, { graceSeconds: this.#chooseGrace(), memory: this.#memory }, this.#deps)
    state = await cache.refresh(this.uid)
    this.#refuseRunning(state)
    // Before the API hears that the pod is over: the next one may come at once.
    await this.#deps.devices?.release(this.uid)
    await readMessages(state, this.#memory, this.#deps)
    this.#probes.close()
    if (!this.#removed) {
      reportStatus(this.#pod, state, { memory: this.#memory, probes: this.#probes, terminal: true }, this.#deps)
      await status.flushed(this.uid)
    }
    await host.files.tearDown(this.uid)
    this.#deps.watches?.forget(this.uid)
    this.#terminated = true
    this.#logger.info('Stopped Pod')
  }

  #refuseRunning(state: PodRuntimeState): void {
    const running = state.containers.filter(({ phase }) => phase === 'running')
    if (running.length > 0)
      throw new Error(`containers still run after they were stopped: ${running.map(({ name }) => name).join(', ')}`)
  }

  #chooseGrace(): number {
    const grace = this.#evictionGraceSeconds ?? graceOf(this.#pod)
    // Zero asks the API for haste; the containers still get a moment. Source: kubelet calculateEffectiveGracePeriod, v1.37.
    return Math.max(1, grace)
  }

  /** Interrupts what the pod waits for, and shortens a stop that is under way when the grace has become shorter. */
  #hurry(): void {
    this.#ending.abort(new PodEndingError('The Pod is ending'))
    for (const grace of this.#memory.graces) grace.shorten(this.#chooseGrace())
  }

  async #delete(): Promise<void> {
    if (this.#deleting) return
    const { name = '', namespace, uid } = this.#pod.metadata
    try {
      await this.#deps.client.delete(pods, { namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid } })
      this.#deleting = true
    } catch (error) {
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error
      this.#deleting = true // gone, or another pod of that name: the watch says so too
    }
  }

  async #cleanUp(): Promise<void> {
    const { runtime, cache, host, config, status, tokens, images } = this.#deps
    const state = cache.get(this.uid)
    for (const container of state.containers) await runtime.removeContainer(container.id)
    for (const sandbox of state.sandboxes) await runtime.removeSandbox(sandbox.id)
    await host.files.removeLogs(podLogDirectory(this.#pod, config.podLogsDir))
    await cache.refresh(this.uid)
    status.forget(this.uid)
    tokens.forget(this.uid)
    images.forget(this.uid)
    this.#deps.watches?.forget(this.uid)
    this.#closed = true
    this.#deps.onRemoved(this.uid)
  }
}

/** What a downward API volume may show of a running pod, and that can change. */
function downwardMeta({ metadata }: Pod): unknown[] {
  return [metadata.labels, metadata.annotations]
}

function isTerminal(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}
