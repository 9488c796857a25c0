import type { Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createEventRecorder, type Client, type EventRecorder } from '@centaurus/client'
import { InFlight } from './in-flight.ts'
import { formatPreempted } from './messages.ts'
import { evictVictims, reportUnschedulable } from './writes.ts'

/** Statuses and evictions that may be on their way to the API server at once. */
const WRITES_IN_FLIGHT_MAX = 128

export interface ReporterDeps {
  readonly client: Client
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Of the scheduler. */
  readonly name: string
}

/** Tells users what becomes of their pods: events, conditions, evictions. Nothing waits for it but {@link afterReports}. */
export class Reporter {
  readonly #deps: ReporterDeps
  readonly #recorder: EventRecorder
  readonly #writes: InFlight
  /** Refusals on their way to a pod's status: a binding of the same pod must come after them. */
  readonly #reports = new Map<string, Promise<void>>()
  #closed = false

  constructor(deps: ReporterDeps) {
    this.#deps = deps
    this.#recorder = createEventRecorder({ ...deps, component: deps.name })
    this.#writes = new InFlight({
      max: WRITES_IN_FLIGHT_MAX,
      onError: (error) => {
        if (!this.#closed) deps.logger.warn('Could not write a scheduling result', { error })
      },
    })
  }

  scheduled(pod: Stored<Pod>, nodeName: string): void {
    const { namespace, name } = pod.metadata
    const message = `Successfully assigned ${namespace}/${name} to ${nodeName}`
    this.#recorder.record(pod, { type: 'Normal', reason: 'Scheduled', message })
  }

  /** An event alone. */
  failed(pod: Stored<Pod>, message: string): void {
    this.#recorder.record(pod, { type: 'Warning', reason: 'FailedScheduling', message })
  }

  /** An event, and the pod's condition. */
  unschedulable(
    pod: Stored<Pod>,
    { message, nominatedNodeName }: { message: string; nominatedNodeName?: string | undefined },
  ): void {
    this.failed(pod, message)
    const { uid } = pod.metadata
    const nowMs = this.#deps.clock.now()
    const report = reportUnschedulable(this.#deps.client, pod, { message, nominatedNodeName, nowMs })
    const settled = report
      .catch(() => {}) // logged where it is tracked
      .finally(() => {
        if (this.#reports.get(uid) === settled) this.#reports.delete(uid)
      })
    this.#reports.set(uid, settled)
    this.#writes.add(report)
  }

  /**
   * Removes victims for a pod that wants the node; undefined: for one of another partition. Who took the room is told to nobody but its own tenant.
   * `onFailed`: some may stay.
   */
  evict(
    victims: readonly Stored<Pod>[],
    { preemptor, nodeName, onFailed }: { preemptor: Stored<Pod> | undefined; nodeName: string; onFailed: () => void },
  ): void {
    if (victims.length === 0) return
    for (const victim of victims) {
      const message = formatPreempted(victim, preemptor, nodeName)
      this.#recorder.record(victim, { type: 'Normal', reason: 'Preempted', message })
    }
    const options = { schedulerName: this.#deps.name, nowMs: this.#deps.clock.now() }
    const evicting = evictVictims(this.#deps.client, victims, options)
    this.#writes.add(
      evicting.catch((error: unknown) => {
        onFailed()
        throw error
      }),
    )
  }

  /** Counts work with the writes: bounded as they are, and waited for in the end. */
  track(work: Promise<void>): void {
    this.#writes.add(work)
  }

  /** Runs `then` when no refusal of the pod is on its way any more: now, if there is none. */
  afterReports(uid: string, { now, later }: { now: () => void; later: () => void }): void {
    const report = this.#reports.get(uid)
    if (report === undefined) return now()
    this.#writes.add(report.then(later))
  }

  /** Resolves when no refusal of the pod is on its way any more. */
  whenReported(uid: string): Promise<void> {
    return this.#reports.get(uid) ?? Promise.resolve()
  }

  /** Resolves when more can be reported. */
  whenRoom(): Promise<void> {
    return this.#writes.whenRoom()
  }

  /** Resolves when the API server answered everything. What fails from now on is not news. */
  drain(): Promise<void> {
    this.#closed = true
    return this.#writes.drain()
  }

  /** Drops events that are not written yet. */
  close(): Promise<void> {
    return this.#recorder.close()
  }
}
