import { isStatus } from '@centaurus/api'
import type { Logger } from '@centaurus/base'
import type { WorkQueue } from './work-queue.ts'

/** Throw it from a reconciler for what no retry repairs; the key rests until something changes. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError'
}

/** Nothing: done. Otherwise look at the key again after that time, although nothing failed. */
export type ReconcileResult = { readonly requeueAfterMs: number } | undefined | void

export interface ControllerOptions {
  readonly name: string
  readonly queue: WorkQueue
  /** Keys worked on at the same time. */
  readonly workers: number
  /** Brings one key closer to what is wanted. Throw: again after back-off; throw {@link TerminalError}: not again. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>
  readonly logger: Logger
}

export interface RunningController {
  readonly name: string
  readonly queue: WorkQueue
  /** Shuts the queue down, aborts what is in work, and resolves when no worker runs. */
  close(): Promise<void>
}

/** Starts workers that take keys from the queue until closed. The queue belongs to the controller from now on. */
export function runController({ name, queue, workers, reconcile, logger }: ControllerOptions): RunningController {
  const abort = new AbortController()
  const log = logger.with({ controller: name })
  const work = async (): Promise<void> => {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      try {
        const result = await reconcile(key, abort.signal)
        queue.forget(key)
        if (result) queue.addAfter(key, result.requeueAfterMs)
      } catch (error) {
        handleFailure({ queue, key, error, log, closing: abort.signal.aborted })
      } finally {
        queue.done(key)
      }
    }
  }
  const running = Promise.all(Array.from({ length: workers }, work))
  return {
    name,
    queue,
    async close() {
      queue.shutDown()
      abort.abort(new Error('Controller closed'))
      await running
    },
  }
}

interface Failure {
  readonly queue: WorkQueue
  readonly key: string
  readonly error: unknown
  readonly log: Logger
  readonly closing: boolean
}

function handleFailure({ queue, key, error, log, closing }: Failure): void {
  if (closing) return
  if (error instanceof TerminalError) {
    queue.forget(key)
    log.warn('Gave up until something changes', { key, error })
    return
  }
  queue.addRateLimited(key)
  const attempt = queue.failures(key)
  // A conflict or a vanished object is the normal way to learn that the cache was behind.
  if (isStatus(error, 'Conflict') || isStatus(error, 'NotFound')) log.debug('Will retry', { key, attempt, error })
  else log.warn('Will retry', { key, attempt, error })
}
