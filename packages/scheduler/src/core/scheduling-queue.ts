import type { Clock, Timer } from '@centaurus/base'

/** Key and rank of a pod that waits for a node. */
export interface QueuedPod {
  readonly uid: string
  readonly priority: number
  /** Milliseconds since the epoch. */
  readonly createdMs: number
}

interface Entry {
  pod: QueuedPod
  attempts: number
  place: 'active' | 'backoff' | 'unschedulable' | 'inFlight'
  /** Something changed while it was in flight, so that a failure may not be parked. */
  moved: boolean
  /** Order of arrival in the active queue. */
  order: number
  readyAtMs: number
  parkedAtMs: number
}

/** Source: scheduler backend/queue, v1.37: DefaultPodInitialBackoffDuration, -MaxBackoffDuration, -MaxInUnschedulablePodsDuration. */
const BACKOFF_INITIAL_MS = 1_000
const BACKOFF_MAX_MS = 10_000
const UNSCHEDULABLE_MAX_MS = 5 * 60_000

/**
 * Pods that wait: ready ones by priority then age, failed ones resting for 1 s to 10 s, and unschedulable ones parked until the
 * cluster changes in a way that could help (or 5 minutes pass).
 */
export class SchedulingQueue {
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  readonly #active: Entry[] = []
  #order = 0
  #timer: Timer | undefined
  #dueMs = Infinity
  #wake: (() => void) | undefined
  #closed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#entries.size
  }

  /** A new pod, or one whose spec changed: it is tried at once. */
  add(pod: QueuedPod): void {
    const entry = this.#entries.get(pod.uid)
    if (entry === undefined) {
      const fresh: Entry = { pod, attempts: 0, place: 'active', moved: false, order: 0, readyAtMs: 0, parkedAtMs: 0 }
      this.#entries.set(pod.uid, fresh)
      this.#activate(fresh)
      return
    }
    entry.pod = pod
    if (entry.place === 'inFlight') entry.moved = true
    else if (entry.place === 'unschedulable') this.#release(entry)
  }

  delete(uid: string): void {
    this.#entries.delete(uid)
  }

  /** The next pod to try, waiting for one; undefined when closed. One caller at a time. */
  async take(): Promise<QueuedPod | undefined> {
    while (!this.#closed) {
      const entry = this.#pop()
      if (entry !== undefined) {
        entry.place = 'inFlight'
        entry.moved = false
        entry.attempts++
        return entry.pod
      }
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return undefined
  }

  /** The pod has a node, or is gone. */
  done(uid: string): void {
    this.#entries.delete(uid)
  }

  /** The try failed. `park`: no node fits, so wait for a change; otherwise (an error) try again after back-off. */
  fail(uid: string, { park }: { park: boolean }): void {
    const entry = this.#entries.get(uid)
    if (entry === undefined || entry.place !== 'inFlight') return
    entry.parkedAtMs = this.#clock.now()
    if (!park || entry.moved) return this.#rest(entry)
    entry.place = 'unschedulable'
    this.#armFor(entry.parkedAtMs + UNSCHEDULABLE_MAX_MS)
  }

  /** The try came to nothing for a reason that is gone already: it is tried again at once, and the try does not count. */
  retry(uid: string): void {
    const entry = this.#entries.get(uid)
    if (entry === undefined || entry.place !== 'inFlight') return
    entry.attempts--
    this.#activate(entry)
  }

  /** Whether a pod can be taken without waiting. */
  get hasReady(): boolean {
    while (this.#active.length > 0 && !this.#isCurrent(this.#active[0]!)) popHeap(this.#active)
    return this.#active.length > 0
  }

  /** Something changed that could make `affected` pods fit: parked ones are tried again after what is left of their back-off. */
  moveAll(affected: (uid: string) => boolean = () => true): void {
    for (const entry of this.#entries.values()) {
      if (entry.place === 'inFlight') entry.moved = true
      else if (entry.place === 'unschedulable' && affected(entry.pod.uid)) this.#release(entry)
    }
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#wake?.()
  }

  #activate(entry: Entry): void {
    entry.place = 'active'
    entry.order = this.#order++
    pushHeap(this.#active, entry)
    this.#wake?.()
  }

  #pop(): Entry | undefined {
    for (let entry = popHeap(this.#active); entry !== undefined; entry = popHeap(this.#active)) {
      if (this.#isCurrent(entry)) return entry
    }
    return undefined
  }

  /** What was deleted, or deleted and added again, leaves a stale entry behind. */
  #isCurrent(entry: Entry): boolean {
    return this.#entries.get(entry.pod.uid) === entry && entry.place === 'active'
  }

  #release(entry: Entry): void {
    if (this.#clock.now() >= entry.parkedAtMs + backoffMs(entry.attempts)) this.#activate(entry)
    else this.#rest(entry)
  }

  #rest(entry: Entry): void {
    entry.place = 'backoff'
    entry.readyAtMs = entry.parkedAtMs + backoffMs(entry.attempts)
    this.#armFor(entry.readyAtMs)
  }

  /** One timer, for the earliest thing due; a later one is found when that fires. */
  #armFor(dueMs: number): void {
    if (this.#closed || dueMs >= this.#dueMs) return
    this.#timer?.cancel()
    this.#dueMs = dueMs
    this.#timer = this.#clock.setTimer(Math.max(0, dueMs - this.#clock.now()), () => this.#flush())
  }

  #flush(): void {
    const now = this.#clock.now()
    this.#dueMs = Infinity
    let next = Infinity
    for (const entry of this.#entries.values()) {
      const dueMs =
        entry.place === 'backoff'
          ? entry.readyAtMs
          : entry.place === 'unschedulable'
            ? entry.parkedAtMs + UNSCHEDULABLE_MAX_MS
            : Infinity
      if (dueMs <= now) this.#activate(entry)
      else next = Math.min(next, dueMs)
    }
    this.#armFor(next)
  }
}

/** 1 s after the first try, doubling up to 10 s. */
export function backoffMs(attempts: number): number {
  return Math.min(BACKOFF_MAX_MS, BACKOFF_INITIAL_MS * 2 ** Math.max(0, attempts - 1))
}

function isBefore(a: Entry, b: Entry): boolean {
  if (a.pod.priority !== b.pod.priority) return a.pod.priority > b.pod.priority
  return a.order < b.order
}

function pushHeap(heap: Entry[], entry: Entry): void {
  let i = heap.push(entry) - 1
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (!isBefore(heap[i]!, heap[parent]!)) return
    ;[heap[i], heap[parent]] = [heap[parent]!, heap[i]!]
    i = parent
  }
}

function popHeap(heap: Entry[]): Entry | undefined {
  const top = heap[0]
  const last = heap.pop()
  if (heap.length === 0 || last === undefined) return top
  heap[0] = last
  for (let i = 0; ;) {
    let first = i
    for (const child of [2 * i + 1, 2 * i + 2]) {
      if (child < heap.length && isBefore(heap[child]!, heap[first]!)) first = child
    }
    if (first === i) return top
    ;[heap[i], heap[first]] = [heap[first]!, heap[i]!]
    i = first
  }
}
