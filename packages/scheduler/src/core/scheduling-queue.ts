import type { Clock, Timer } from '@centaurus/base'
import { Heap } from './heap.ts'

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
  /** Order of arrival in the active queue. */
  order: number
  /** {@link SchedulingQueue} moves seen when it was taken. */
  takenAtMove: number
  readyAtMs: number
  parkedAtMs: number
  group: string
}

/** A place in the queue of ready pods; the entry may have left it. */
interface Ready {
  readonly entry: Entry
  readonly priority: number
  readonly order: number
}

/** A place among the resting; the entry may have left it. */
interface Resting {
  readonly entry: Entry
  readonly readyAtMs: number
}

/** Source: scheduler backend/queue, v1.37: DefaultPodInitialBackoffDuration, -MaxBackoffDuration, -MaxInUnschedulablePodsDuration. */
const BACKOFF_INITIAL_MS = 1_000
const BACKOFF_MAX_MS = 10_000
const UNSCHEDULABLE_MAX_MS = 5 * 60_000

/**
 * Pods that wait: ready ones by priority then age, failed ones resting for 1 s to 10 s, and unschedulable ones parked in groups that
 * the same change can help, until it comes (or 5 minutes pass); then they rest too, unless there is nothing else to do. What it costs does not grow with the pods that wait, but with those
 * that move.
 */
export class SchedulingQueue {
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  // Heaps keep what was deleted or has moved on until it comes up.
  readonly #active = new Heap<Ready>(isBefore)
  readonly #resting = new Heap<Resting>((a, b) => a.readyAtMs < b.readyAtMs)
  /** Those of the resting that a change could help: they need not rest when there is nothing else to do. */
  readonly #eager = new Heap<Resting>((a, b) => a.readyAtMs < b.readyAtMs)
  /** In order of parking. */
  readonly #parked = new Set<Entry>()
  readonly #groups = new Map<string, Set<Entry>>()
  #order = 0
  #moves = 0
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

  /** Whether a pod can be taken without waiting. */
  get hasReady(): boolean {
    return this.#peek() !== undefined
  }

  /** Groups that have parked pods. */
  get parkedGroups(): Iterable<string> {
    return this.#groups.keys()
  }

  /** A new pod, or one whose spec changed: it is tried at once. */
  add(pod: QueuedPod): void {
    const entry = this.#entries.get(pod.uid)
    if (entry === undefined) {
      const fresh: Entry = {
        pod,
        attempts: 0,
        place: 'active',
        order: 0,
        takenAtMove: 0,
        readyAtMs: 0,
        parkedAtMs: 0,
        group: '',
      }
      this.#entries.set(pod.uid, fresh)
      return this.#activate(fresh)
    }
    entry.pod = pod
    if (entry.place === 'inFlight') entry.takenAtMove = -1
    else if (entry.place === 'unschedulable') this.#release(entry)
  }

  delete(uid: string): void {
    const entry = this.#entries.get(uid)
    if (entry === undefined) return
    this.#entries.delete(uid)
    this.#unpark(entry)
  }

  /** The next pod to try, waiting for one; undefined when closed. One caller at a time. */
  async take(): Promise<QueuedPod | undefined> {
    while (!this.#closed) {
      const pod = this.takeReady()
      if (pod !== undefined) return pod
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return undefined
  }

  /** The next pod to try; undefined when none is ready. */
  takeReady(): QueuedPod | undefined {
    const entry = this.#peek()
    if (entry === undefined) return undefined
    this.#active.pop()
    entry.place = 'inFlight'
    entry.takenAtMove = this.#moves
    entry.attempts++
    return entry.pod
  }

  /** The pod that {@link takeReady} would give. */
  peekReady(): QueuedPod | undefined {
    return this.#peek()?.pod
  }

  /** Takes one pod, whatever it waits for; false: it is not here, or taken already. */
  takeOne(uid: string): boolean {
    const entry = this.#entries.get(uid)
    if (entry === undefined || entry.place === 'inFlight') return false
    this.#unpark(entry)
    entry.place = 'inFlight'
    entry.takenAtMove = this.#moves
    entry.attempts++
    return true
  }

  /** What a taken pod waits for is no node: it is tried when its group moves, without back-off, and the try does not count. */
  hold(uid: string, group: string): void {
    const entry = this.#entries.get(uid)
    if (entry === undefined || entry.place !== 'inFlight') return
    entry.attempts--
    this.#park(entry, group)
    entry.parkedAtMs -= BACKOFF_MAX_MS
  }

  /** The pod has a node, or is gone. */
  done(uid: string): void {
    this.delete(uid)
  }

  /**
   * The try failed. `park`: no node fits, so wait for a change that helps pods of `group`; otherwise (an error) try again after
   * back-off.
   */
  fail(uid: string, { park, group = '' }: { readonly park: boolean; readonly group?: string | undefined }): void {
    const entry = this.#entries.get(uid)
    if (entry === undefined || entry.place !== 'inFlight') return
    if (park && entry.takenAtMove === this.#moves) return this.#park(entry, group)
    entry.parkedAtMs = this.#clock.now()
    this.#rest(entry, { isEager: park })
  }

  #park(entry: Entry, group: string): void {
    entry.parkedAtMs = this.#clock.now()
    entry.place = 'unschedulable'
    entry.group = group
    this.#parked.add(entry)
    const members = this.#groups.get(group) ?? new Set<Entry>()
    this.#groups.set(group, members.add(entry))
    this.#armFor(entry.parkedAtMs + UNSCHEDULABLE_MAX_MS)
  }

  /** The try came to nothing for a reason that is gone already: it is tried again at once, and the try does not count. */
  retry(uid: string): void {
    const entry = this.#entries.get(uid)
    if (entry === undefined || entry.place !== 'inFlight') return
    entry.attempts--
    this.#activate(entry)
  }

  /** Something changed that could help every parked pod: they are tried again after what is left of their back-off. */
  moveAll(): void {
    this.#moves++
    for (const entry of this.#parked) this.#release(entry)
  }

  /** As {@link moveAll}, for one group. */
  moveGroup(group: string): void {
    for (const entry of this.#groups.get(group) ?? []) this.#release(entry)
  }

  /** As {@link moveAll}, for one pod. */
  move(uid: string): void {
    const entry = this.#entries.get(uid)
    if (entry?.place === 'unschedulable') this.#release(entry)
    else if (entry?.place === 'inFlight') entry.takenAtMove = -1
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#wake?.()
  }

  #activate(entry: Entry): void {
    entry.place = 'active'
    entry.order = this.#order++
    this.#active.push({ entry, priority: entry.pod.priority, order: entry.order })
    this.#wake?.()
  }

  /** The first ready pod, which stays. */
  #peek(): Entry | undefined {
    for (let ready = this.#active.peek(); ready !== undefined; ready = this.#active.peek()) {
      const { entry, order } = ready
      const isCurrent = entry.place === 'active' && entry.order === order
      if (isCurrent && this.#entries.get(entry.pod.uid) === entry) return entry
      this.#active.pop()
    }
    // Source: SchedulerPopFromBackoffQ, on by default since v1.33.
    for (let resting = this.#eager.pop(); resting !== undefined; resting = this.#eager.pop()) {
      if (!this.#isResting(resting)) continue
      this.#activate(resting.entry)
      return resting.entry
    }
    return undefined
  }

  #isResting({ entry, readyAtMs }: Resting): boolean {
    const isCurrent = entry.place === 'backoff' && entry.readyAtMs === readyAtMs
    return isCurrent && this.#entries.get(entry.pod.uid) === entry
  }

  #release(entry: Entry): void {
    this.#unpark(entry)
    if (this.#clock.now() >= entry.parkedAtMs + backoffMs(entry.attempts)) this.#activate(entry)
    else this.#rest(entry, { isEager: true })
  }

  #unpark(entry: Entry): void {
    if (!this.#parked.delete(entry)) return
    const members = this.#groups.get(entry.group)
    members?.delete(entry)
    if (members?.size === 0) this.#groups.delete(entry.group)
  }

  #rest(entry: Entry, { isEager }: { readonly isEager: boolean }): void {
    entry.place = 'backoff'
    entry.readyAtMs = entry.parkedAtMs + backoffMs(entry.attempts)
    const resting = { entry, readyAtMs: entry.readyAtMs }
    this.#resting.push(resting)
    this.#armFor(entry.readyAtMs)
    if (!isEager) return
    this.#eager.push(resting)
    this.#wake?.()
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
    for (let resting = this.#resting.peek(); resting !== undefined; resting = this.#resting.peek()) {
      const isResting = this.#isResting(resting)
      if (isResting && resting.readyAtMs > now) break
      this.#resting.pop()
      if (isResting) this.#activate(resting.entry)
    }
    for (const entry of this.#parked) {
      if (entry.parkedAtMs + UNSCHEDULABLE_MAX_MS > now) break
      this.#unpark(entry)
      this.#activate(entry)
    }
    const [oldest] = this.#parked
    this.#armFor(
      Math.min(this.#resting.peek()?.readyAtMs ?? Infinity, (oldest?.parkedAtMs ?? Infinity) + UNSCHEDULABLE_MAX_MS),
    )
  }
}

/** 1 s after the first try, doubling up to 10 s. */
export function backoffMs(attempts: number): number {
  return Math.min(BACKOFF_MAX_MS, BACKOFF_INITIAL_MS * 2 ** Math.max(0, attempts - 1))
}

function isBefore(a: Ready, b: Ready): boolean {
  return a.priority === b.priority ? a.order < b.order : a.priority > b.priority
}
