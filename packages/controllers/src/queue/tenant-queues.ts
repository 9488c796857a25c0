import { objectKey, type Stored } from '@centaurus/api'
import type { Queue, QueuedWorkload } from '@centaurus/api/centaurus/v1'
import { compareResourceVersions } from '@centaurus/client'
import { Queues } from './core/queues.ts'
import type { QueuePlan } from './core/types.ts'
import { settingsOf, workloadOf } from './settings.ts'
import { stateOf } from './workload-status.ts'

/** What was told of a workload last. */
interface Told {
  readonly resourceVersion: string
  /** Changes when the core must be told anew. */
  readonly content: string
}

/**
 * The queues of one tenant, as its objects say they are. While a result is being written nothing is believed that was read before: the write
 * shows what has become of it, or the object is read again.
 */
export class TenantQueues {
  readonly queues = new Queues()
  readonly #told = new Map<string, Told>()
  readonly #writing = new Set<string>()

  putQueue(queue: Stored<Queue>): void {
    this.queues.putQueue(settingsOf(queue))
  }

  removeQueue({ metadata }: Stored<Queue>): void {
    this.queues.removeQueue(metadata.name)
  }

  /** Takes note of a workload as it is. Returns how long it rests before it may be admitted, ms; 0: it does not. */
  put(object: Stored<QueuedWorkload>, nowMs: number): number {
    const id = objectKey(object)
    const { resourceVersion, uid, generation } = object.metadata
    const told = this.#told.get(id)
    if (this.#writing.has(id)) return 0
    if (told !== undefined && compareResourceVersions(resourceVersion, told.resourceVersion) < 0) return 0
    const state = stateOf(object)
    const waitMs = state.type === 'waiting' ? Math.max(0, state.atMs - nowMs) : 0
    const content = JSON.stringify([uid, generation, state, waitMs > 0])
    this.#told.set(id, { resourceVersion, content })
    if (told?.content === content) return waitMs
    if (state.type === 'finished' || state.type === 'inactive' || waitMs > 0) this.queues.remove(id)
    else if (state.type === 'waiting') {
      this.queues.remove(id)
      this.queues.put(workloadOf(object))
    } else this.#putAdmitted(object, state)
    return waitMs
  }

  remove(object: Stored<QueuedWorkload>): void {
    const id = objectKey(object)
    this.#told.delete(id)
    this.queues.remove(id)
  }

  plan(nowMs: number): QueuePlan {
    return this.queues.plan(nowMs)
  }

  /** From the decision until {@link written}. */
  beginWrite(id: string): void {
    this.#writing.add(id)
  }

  /** The decision is durable. */
  written(object: Stored<QueuedWorkload>, nowMs: number): void {
    this.#writing.delete(objectKey(object))
    this.put(object, nowMs)
  }

  /** It is not. `object`: what the workload is instead, undefined: gone. It is decided about anew. */
  notWritten(id: string, object: Stored<QueuedWorkload> | undefined, nowMs: number): void {
    this.#writing.delete(id)
    this.#told.delete(id)
    this.queues.remove(id)
    if (object !== undefined) this.put(object, nowMs)
  }

  #putAdmitted(object: Stored<QueuedWorkload>, state: Extract<ReturnType<typeof stateOf>, { type: 'admitted' }>): void {
    const id = objectKey(object)
    const running = this.queues.runningOf(id)
    const isSame = running?.workload.queue === object.spec.queueName
    const { counts, held } = state
    const isShrinking = held.some((count, i) => count > (counts[i] ?? 0))
    if (running === undefined || !isSame)
      this.queues.restore(workloadOf(object), { ...state, counts: held, ...(isShrinking ? { shrinksTo: counts } : {}) })
    else if (running.shrinksTo !== undefined && !isShrinking) this.queues.resized(id, counts)
    if (state.isLeaving) this.queues.leave(id)
  }
}
