import type { Clock, Timer } from '@centaurus/base'

/** Turns of the event loop that pass before time moves on: work that needs more real turns than that meets a later time. */
const TURNS_A_TIMER = 1

interface PendingTimer {
  readonly atMs: number
  readonly order: number
  readonly fire: () => void
  /** Who set it. */
  readonly origin: Error
}

/** Time of a whole simulated cluster: it moves on as fast as the work between two timers gets done. */
export interface VirtualClock extends Clock {
  /** Lets `ms` pass, firing what falls due in order; each timer's work is done before the next one fires. */
  run(ms: number): Promise<void>
  /** Lets time pass until `work` settles, and returns what it gives. Throws after `limitMs`. */
  runUntil<T>(work: Promise<T>, limits: { readonly limitMs: number; readonly what: string }): Promise<T>
  /** Moves the wall clock alone, back or forth: timers and durations do not notice. */
  jump(ms: number): void
  /** Where the timers that wait were set. After everything was closed there must be none. */
  pending(): string[]
}

/** A clock that starts at `startMs` since the epoch. Costs a scan of the waiting timers for each that fires. */
export function createVirtualClock(startMs: number): VirtualClock {
  const timers = new Set<PendingTimer>()
  let elapsedMs = 0
  let jumpedMs = 0
  let order = 0

  const findNext = (limitMs: number): PendingTimer | undefined => {
    let best: PendingTimer | undefined
    for (const timer of timers) {
      if (timer.atMs > limitMs) continue
      if (best === undefined || timer.atMs < best.atMs || (timer.atMs === best.atMs && timer.order < best.order)) {
        best = timer
      }
    }
    return best
  }
  const setTimer = (ms: number, fire: () => void): Timer => {
    const timer = { atMs: elapsedMs + Math.max(0, ms), order: order++, fire, origin: new Error('Timer') }
    timers.add(timer)
    return { cancel: () => void timers.delete(timer) }
  }
  /** Fires the next timer up to `limitMs`, if there is one. */
  const step = async (limitMs: number): Promise<boolean> => {
    for (let turn = 0; turn < TURNS_A_TIMER; turn++) await nextTurn()
    const timer = findNext(limitMs)
    if (timer === undefined) return false
    timers.delete(timer)
    elapsedMs = Math.max(elapsedMs, timer.atMs)
    timer.fire()
    return true
  }

  return {
    now: () => Math.round(startMs + elapsedMs + jumpedMs),
    monotonicMs: () => elapsedMs,
    setTimer,
    sleep: (ms, options) => sleepOn(setTimer, ms, options?.signal),
    jump: (ms) => void (jumpedMs += ms),
    pending: () => [...timers].map(({ origin }) => origin.stack ?? ''),
    async run(ms) {
      const endMs = elapsedMs + ms
      while (await step(endMs));
      elapsedMs = endMs
    },
    async runUntil(work, { limitMs, what }) {
      const state = { settled: false }
      void Promise.allSettled([work]).then(() => (state.settled = true))
      const endMs = elapsedMs + limitMs
      while (!state.settled) {
        if (elapsedMs >= endMs) throw new Error(`${what} took longer than ${limitMs} ms`)
        if (!(await step(endMs)) && !state.settled && timers.size > 0) elapsedMs = endMs
      }
      return work
    },
  }
}

/** Lets everything that can run without waiting run. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function sleepOn(setTimer: Clock['setTimer'], ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error)
    const onAbort = (): void => {
      timer.cancel()
      reject(signal!.reason as Error)
    }
    const timer = setTimer(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
