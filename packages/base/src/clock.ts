/** Time as a dependency: pass one in, so that a test or a simulation can own it. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  now(): number
  /** Milliseconds from an arbitrary start; never goes back. Use it for durations. */
  monotonicMs(): number
  /** Resolves after `ms`, and keeps the process alive until then; rejects with the signal's reason when `signal` aborts first. */
  sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /** Calls `fire` once after `ms`. The timer does not keep the process alive. */
  setTimer(ms: number, fire: () => void): Timer
}

export interface Timer {
  cancel(): void
}

/** Node and browsers fire a longer timer at once. */
const TIMER_MAX_MS = 2 ** 31 - 1

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, options) => sleepOn((delayMs, fire) => setSystemTimer(delayMs, fire, () => {}), ms, options?.signal),
  setTimer: (ms, fire) => setSystemTimer(ms, fire, letProcessEnd),
}

/** `prepare` sees each timer of the platform that it takes. */
function setSystemTimer(ms: number, fire: () => void, prepare: (handle: unknown) => void): Timer {
  const endMs = performance.now() + ms
  const arm = (leftMs: number): ReturnType<typeof setTimeout> => {
    const handle = setTimeout(
      () => {
        const restMs = endMs - performance.now()
        if (leftMs > TIMER_MAX_MS && restMs > 0) current = arm(restMs)
        else fire()
      },
      Math.min(leftMs, TIMER_MAX_MS),
    )
    prepare(handle)
    return handle
  }
  let current = arm(ms)
  return { cancel: () => clearTimeout(current) }
}

function letProcessEnd(handle: unknown): void {
  if (typeof handle === 'object' && handle !== null && 'unref' in handle && typeof handle.unref === 'function') {
    handle.unref() // a browser's timers are numbers
  }
}

/** A timer that is this much late, as a part of its time, says that this process had no time to send or to read. */
const LATE_PART = 0.5

/**
 * A timer for what somebody else must do within `ms`, which calls `expire` when it was not cancelled. Time in which this process stood still does not count:
 * the answer may have come and nobody read it.
 */
export function expectWithin(clock: Pick<Clock, 'setTimer' | 'monotonicMs'>, ms: number, expire: () => void): Timer {
  let timer: Timer
  const start = (): void => {
    const dueMs = clock.monotonicMs() + ms
    timer = clock.setTimer(ms, () => {
      if (clock.monotonicMs() - dueMs > ms * LATE_PART) start()
      else expire()
    })
  }
  start()
  return { cancel: () => timer.cancel() }
}

/** A clock that moves only when {@link ManualClock.advance} is called. */
export interface ManualClock extends Clock {
  /** Moves time on by `ms`, firing what falls due in order, and lets the woken tasks run in between. */
  advance(ms: number): Promise<void>
}

interface PendingTimer {
  readonly at: number
  readonly order: number
  readonly fire: () => void
}

/** A manual clock that starts at `startMs` since the epoch (default: 2026-01-01T00:00:00Z). */
export function createManualClock(startMs: number = Date.UTC(2026, 0, 1)): ManualClock {
  let now = startMs
  let order = 0
  const pending = new Set<PendingTimer>()
  const next = (limit: number): PendingTimer | undefined => {
    let best: PendingTimer | undefined
    for (const timer of pending) {
      if (timer.at > limit) continue
      if (best === undefined || timer.at < best.at || (timer.at === best.at && timer.order < best.order)) best = timer
    }
    return best
  }
  const clock: ManualClock = {
    now: () => now,
    monotonicMs: () => now - startMs,
    sleep: (ms, options) => sleepOn(clock.setTimer, ms, options?.signal),
    setTimer(ms, fire) {
      const timer = { at: now + Math.max(0, ms), order: order++, fire }
      pending.add(timer)
      return { cancel: () => pending.delete(timer) }
    },
    async advance(ms) {
      const end = now + ms
      for (let timer = next(end); timer !== undefined; timer = next(end)) {
        pending.delete(timer)
        now = Math.max(now, timer.at)
        timer.fire()
        await settle()
      }
      now = end
      await settle()
    },
  }
  return clock
}

function sleepOn(setTimer: Clock['setTimer'], ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error)
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

/** Lets promise callbacks that are already queued run, a few levels deep. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}
