import type { Clock, Logger, Timer } from '@centaurus/base'

/** Work that is done again and again, a while after it was done last. */
export interface Chore {
  /** For the log, when it fails. */
  readonly name: string
  readonly periodMs: number
  readonly work: () => Promise<void>
}

/** Does each chore every so often, never twice at once, until closed. What fails is logged and tried again in its time. */
export function startChores(
  chores: readonly Chore[],
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): { close(): void } {
  const timers = new Map<Chore, Timer>()
  let closed = false
  const schedule = (chore: Chore): void => {
    if (closed) return
    const timer = clock.setTimer(chore.periodMs, () => {
      chore
        .work()
        .catch((error: unknown) => logger.warn('Could not do a chore', { chore: chore.name, error }))
        .finally(() => schedule(chore))
    })
    timers.set(chore, timer)
  }
  chores.forEach(schedule)
  return {
    close() {
      closed = true
      for (const timer of timers.values()) timer.cancel()
    },
  }
}
