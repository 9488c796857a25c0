import { Worker } from 'node:worker_threads'

export interface RoundTripOptions {
  /** Names of namespaces. */
  readonly client: string
  readonly server: string
  readonly ip: string
  readonly port: number
  readonly count: number
  /** From one request to the next. */
  readonly gapMs: number
}

/** Asks one small question after another by UDP, in a thread of its own, and says how long each answer took, milliseconds, sorted; `Infinity`: none within half a second. */
export function measureRoundTrips(options: RoundTripOptions): Promise<number[]> {
  const worker = new Worker(new URL('round-trip-worker.ts', import.meta.url), { workerData: options })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

/** A value that so many percent do not exceed. `sorted` is not empty. */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))]!
}
