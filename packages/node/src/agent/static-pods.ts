import { isStatus } from '@centaurus/api'
import { pods, type Node, type Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'

import { podKey } from '../pod/runtime-state.ts'
import { makeMirrorPod, mirroredUid } from '../pod/static-pod.ts'

const RETRY_MS = 10_000

export interface StaticPodsOptions {
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
  /** Undefined until the node is registered. */
  readonly node: () => Node | undefined
  /** Starts a worker for a pod that no worker has. */
  readonly run: (pod: Pod) => void
  /** Ends a pod and all that it has here; {@link StaticPods.ended} is called then. */
  readonly end: (podUid: string) => void
  /** The API shows this static pod now: its status can be written. */
  readonly onMirror: (podUid: string) => void
}

/**
 * Pods that come from files, and their mirrors in the API. The file decides: a mirror that someone deletes or changes is made again, and one
 * without a file is deleted. Two pods of one name never run at once: the old one ends first.
 */
export class StaticPods {
  readonly #options: StaticPodsOptions
  /** What the files ask for, by `namespace/name`. */
  readonly #wanted = new Map<string, Pod>()
  /** Uid of the pod that has a worker, by `namespace/name`. */
  readonly #running = new Map<string, string>()
  readonly #mirrors = new Map<string, Pod>()
  readonly #busy = new Map<string, Promise<void>>()
  /** The API's pods are known, so that an absent mirror is really absent. */
  #isApiKnown = false
  #closed = false

  constructor(options: StaticPodsOptions) {
    this.#options = options
  }

  /** All pods of the files; what is not among them ends. */
  setPods(list: readonly Pod[]): void {
    const before = new Set(this.#wanted.keys())
    this.#wanted.clear()
    for (const pod of list) this.#wanted.set(podKey(pod), pod)
    for (const key of new Set([...before, ...this.#running.keys(), ...this.#wanted.keys()])) this.#settle(key)
  }

  /** The worker of that pod has cleaned up. */
  ended(podUid: string): void {
    for (const [key, uid] of this.#running) {
      if (uid !== podUid) continue
      this.#running.delete(key)
      this.#settle(key)
    }
  }

  /** Call once when the API's pods were listed. */
  apiIsKnown(): void {
    this.#isApiKnown = true
    for (const key of new Set([...this.#wanted.keys(), ...this.#mirrors.keys()])) this.#reconcile(key)
  }

  observeMirror(mirror: Pod): void {
    this.#mirrors.set(podKey(mirror), mirror)
    const uid = mirroredUid(mirror)
    if (this.#running.get(podKey(mirror)) === uid && uid !== undefined) this.#options.onMirror(uid)
    this.#reconcile(podKey(mirror))
  }

  mirrorGone(mirror: Pod): void {
    const key = podKey(mirror)
    if (this.#mirrors.get(key)?.metadata.uid === mirror.metadata.uid) this.#mirrors.delete(key)
    this.#reconcile(key)
  }

  /** What the API shows of a static pod; undefined when it shows none, or an older one. */
  mirrorOf(pod: Pod): Pod | undefined {
    const mirror = this.#mirrors.get(podKey(pod))
    return mirror !== undefined && mirroredUid(mirror) === pod.metadata.uid ? mirror : undefined
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#busy.values())
  }

  #settle(key: string): void {
    const wanted = this.#wanted.get(key)
    const running = this.#running.get(key)
    if (running !== undefined && running !== wanted?.metadata.uid) this.#options.end(running)
    else if (running === undefined && wanted !== undefined) {
      this.#running.set(key, wanted.metadata.uid ?? '')
      this.#options.run(wanted)
    }
    this.#reconcile(key)
  }

  #reconcile(key: string): void {
    if (!this.#isApiKnown || this.#closed || this.#busy.has(key)) return
    const work = this.#reconcileMirror(key)
      .catch((error: unknown) => {
        this.#options.logger.warn('Could not mirror static Pod', { pod: key, error })
        this.#options.clock.setTimer(RETRY_MS, () => this.#reconcile(key))
      })
      .finally(() => this.#busy.delete(key))
    this.#busy.set(key, work)
  }

  async #reconcileMirror(key: string): Promise<void> {
    const { client, node } = this.#options
    const wanted = this.#wanted.get(key)
    const mirror = this.#mirrors.get(key)
    if (mirror !== undefined) {
      if (
        wanted !== undefined &&
        mirror.metadata.deletionTimestamp === undefined &&
        mirroredUid(mirror) === wanted.metadata.uid
      )
        return
      await this.#deleteMirror(mirror)
      return
    }
    const owner = node()
    if (wanted === undefined || owner === undefined) return
    try {
      await client.create(pods, makeMirrorPod(wanted, owner))
    } catch (error) {
      if (!isStatus(error, 'AlreadyExists')) throw error // the watch brings it
    }
  }

  /** The watch then tells that it went, and the next is made. */
  async #deleteMirror({ metadata: { namespace, name = '', uid } }: Pod): Promise<void> {
    try {
      await this.#options.client.delete(pods, { namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid } })
    } catch (error) {
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error
    }
  }
}
