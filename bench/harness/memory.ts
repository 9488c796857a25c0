import { sampleProcess } from './process.ts'

/** What this process holds after garbage collection. */
export interface MemorySample {
  /** JavaScript objects and array buffers. */
  readonly objectBytes: number
  readonly anonymousBytes: number
  readonly residentBytes: number
}

/** Collects garbage (run with `--expose-gc`) until finalizers had their turn, and samples. */
export async function settleMemory(): Promise<MemorySample> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return { objectBytes: heapUsed + external, ...sampleProcess() }
}
