import type { NodeReading, Reading } from './read-summary.ts'

/** Over what a runtime takes its mean, as cAdvisor and containerd do. */
const RUNTIME_WINDOW_MS = 10_000

/** What something uses, all told. */
export interface Usage {
  /** End of the window, ms since the epoch. */
  readonly atMs: number
  readonly windowMs: number
  /** Billionths of a core, the mean over the window. */
  readonly cpuNanoCores: number
  readonly memoryBytes: number
}

/** What the containers of a pod use, by name. */
export type ContainersUsage = ReadonlyMap<string, Usage>

export interface NodeUsage {
  readonly node: Usage | undefined
  /** By uid of the pod. A pod is left out when not all of its containers are known. */
  readonly pods: ReadonlyMap<string, ContainersUsage>
}

/**
 * What a node and its containers use: as it says by itself, or by what its counters rose since an earlier reading. `isComplete` is false
 * when a reading more would tell more. Pure.
 */
export function computeUsage(
  now: NodeReading,
  before: NodeReading | undefined,
): { readonly usage: NodeUsage; readonly isComplete: boolean } {
  let isComplete = true
  const use = (reading: Reading | undefined, earlier: Reading | undefined): Usage | undefined => {
    if (reading?.memoryBytes === undefined) return undefined // another reading would not tell it either
    const rate = cpuRate(reading, earlier)
    if (rate === undefined) {
      isComplete &&= reading.cpuNanos === undefined
      return undefined
    }
    return { atMs: reading.atMs, memoryBytes: reading.memoryBytes, ...rate }
  }
  const pods = new Map<string, ContainersUsage>()
  for (const [uid, containers] of now.pods) {
    const earlier = before?.pods.get(uid)
    const used = [...containers].map(([name, reading]) => [name, use(reading, earlier?.get(name))] as const)
    const known = used.filter((entry): entry is readonly [string, Usage] => entry[1] !== undefined)
    if (known.length > 0 && known.length === used.length) pods.set(uid, new Map(known))
  }
  // agents need not know when the machine started: its counters fall then
  const nodeBefore = before?.node && { ...before.node, startTime: now.node?.startTime ?? '' }
  const usage = { node: use(now.node, nodeBefore), pods }
  return { usage, isComplete }
}

function cpuRate(now: Reading, before: Reading | undefined): Pick<Usage, 'cpuNanoCores' | 'windowMs'> | undefined {
  if (Number.isNaN(now.atMs)) return undefined
  if (now.cpuNanoCores !== undefined) return { cpuNanoCores: now.cpuNanoCores, windowMs: RUNTIME_WINDOW_MS }
  if (now.cpuNanos === undefined || before?.cpuNanos === undefined || before.startTime !== now.startTime)
    return undefined
  const windowMs = now.atMs - before.atMs
  const nanos = now.cpuNanos - before.cpuNanos
  return windowMs > 0 && nanos >= 0 ? { cpuNanoCores: Math.round((nanos * 1_000) / windowMs), windowMs } : undefined
}
