import type { Clock, Timer } from '@centaurus/base'

interface Waiter {
  readonly revision: number
  readonly timer: Timer
  readonly resolve: () => void
  /** False once its time was up. */
  live: boolean
}

/**
 * Who waits until the cache has reached a revision, the lowest first: an event costs those that it sets free, and not all who wait. Thousands may wait when
 * the cache falls behind, just when it has no time to lose.
 */
export class RevisionWaiters {
  readonly #clock: Clock
  /** Binary heap by revision; those whose time is up stay in it until their revision comes. */
  readonly #heap: Waiter[] = []
  #timedOut = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves when {@link advance} reaches `revision`; rejects with what `fail` makes when that takes longer than `timeoutMs`. */
  wait(
    revision: number,
    { timeoutMs, fail }: { readonly timeoutMs: number; readonly fail: () => Error },
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(timeoutMs, () => {
        waiter.live = false
        this.#timedOut++
        this.#sweep()
        reject(fail())
      })
      const waiter: Waiter = { revision, timer, resolve, live: true }
      this.#push(waiter)
    })
  }

  /** Lets everybody go who waits for `revision` or less. */
  advance(revision: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.revision <= revision) {
      const { live, timer, resolve } = this.#pop()
      if (!live) {
        this.#timedOut--
        continue
      }
      timer.cancel()
      resolve()
    }
  }

  /** A revision that never comes must not keep those who gave up on it. */
  #sweep(): void {
    if (this.#timedOut * 2 <= this.#heap.length) return
    const live = this.#heap.filter((waiter) => waiter.live).toSorted((a, b) => a.revision - b.revision)
    this.#heap.splice(0, this.#heap.length, ...live) // sorted is a heap too
    this.#timedOut = 0
  }

  #push(waiter: Waiter): void {
    const heap = this.#heap
    let at = heap.push(waiter) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.revision <= heap[at]!.revision) return
      ;[heap[parent], heap[at]] = [heap[at]!, heap[parent]!]
      at = parent
    }
  }

  #pop(): Waiter {
    const heap = this.#heap
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return top
    heap[0] = last
    for (let at = 0; ;) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && heap[child]!.revision < heap[least]!.revision) least = child
      }
      if (least === at) return top
      ;[heap[at], heap[least]] = [heap[least]!, heap[at]!]
      at = least
    }
  }
}
