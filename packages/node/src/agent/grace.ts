import type { Clock, Timer } from '@centaurus/base'

/** Time that something which is being stopped still has. It may become shorter while it runs, never longer. */
export interface Grace {
  /** Never negative. */
  remainingMs(): number
  /** From now on at most so long. */
  shorten(seconds: number): void
  /** Called after each time that it became shorter. Returns how to end that. */
  onShortened(listener: () => void): () => void
  /** Resolves when the time is up, or when `signal` aborts. */
  whenOver(signal: AbortSignal): Promise<void>
}

/** A grace of so many seconds that starts now. */
export function createGrace(clock: Clock, seconds: number): Grace {
  const listeners = new Set<() => void>()
  let endMs = clock.monotonicMs() + seconds * 1000
  const remainingMs = (): number => Math.max(0, endMs - clock.monotonicMs())
  return {
    remainingMs,
    shorten(lessSeconds) {
      const end = clock.monotonicMs() + lessSeconds * 1000
      if (end >= endMs) return
      endMs = end
      for (const listener of listeners) listener()
    },
    onShortened(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    whenOver(signal) {
      return new Promise((resolve) => {
        let timer: Timer | undefined
        const finish = (): void => {
          timer?.cancel()
          listeners.delete(arm)
          signal.removeEventListener('abort', finish)
          resolve()
        }
        const arm = (): void => {
          timer?.cancel()
          timer = clock.setTimer(remainingMs(), finish)
        }
        if (signal.aborted) return finish()
        signal.addEventListener('abort', finish, { once: true })
        listeners.add(arm)
        arm()
      })
    },
  }
}
