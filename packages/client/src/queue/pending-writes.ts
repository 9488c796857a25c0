import type { KubeObject, ObjectKey, Stored } from '@centaurus/api'
import { objectKey } from '@centaurus/api'
import type { Clock } from '@centaurus/base'
import type { Informer } from '../informer.ts'

/** A write that no watch ever shows (the cache is broken) stops mattering after this. Source: client-go-based ControllerExpectations: 5 minutes. */
const PENDING_MAX_MS = 300_000

/**
 * Makes caches safe to decide from: a controller tells what it wrote for a key, and does not plan for that key again before its
 * informers show those writes. Takes the place of upstream's ControllerExpectations, which count events and miscount when a
 * watch skips states; this compares resource versions, which only grow within a partition.
 */
export class PendingWrites {
  readonly #clock: Clock
  readonly #pending = new Map<string, PendingWrite[]>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `key` wrote `object` (created, updated): the informer must have come to that version. */
  wrote<T extends KubeObject>(key: string, informer: Informer<T>, object: Stored<T>): void {
    const version = object.metadata.resourceVersion
    this.#add(key, () => compareResourceVersions(informer.resourceVersion, version) >= 0)
  }

  /** `key` asked for the deletion of `object`: the informer must show it gone, replaced, or terminating. */
  deleted<T extends KubeObject>(key: string, informer: Informer<T>, object: Stored<T>): void {
    const { uid } = object.metadata
    const objectName: ObjectKey = objectKey(object)
    this.#add(key, () => {
      const cached = informer.get(objectName)
      return cached === undefined || cached.metadata.uid !== uid || cached.metadata.deletionTimestamp !== undefined
    })
  }

  /** True when the caches show every write of `key`. The event that makes it true must enqueue the key: owned objects' handlers do. */
  isSettled(key: string): boolean {
    const pending = this.#pending.get(key)
    if (pending === undefined) return true
    const left = pending.filter((write) => !write.isSeen() && this.#clock.monotonicMs() < write.deadlineMs)
    if (left.length === 0) this.#pending.delete(key)
    else this.#pending.set(key, left)
    return left.length === 0
  }

  /** Call when the key's object is gone. */
  forget(key: string): void {
    this.#pending.delete(key)
  }

  #add(key: string, isSeen: () => boolean): void {
    const write = { isSeen, deadlineMs: this.#clock.monotonicMs() + PENDING_MAX_MS }
    const pending = this.#pending.get(key)
    if (pending === undefined) this.#pending.set(key, [write])
    else pending.push(write)
  }
}

interface PendingWrite {
  readonly isSeen: () => boolean
  readonly deadlineMs: number
}

/** Negative, zero or positive, as decimal numbers of any length. Source: apimachinery resourceversion.CompareResourceVersion (v1.35). */
export function compareResourceVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}
