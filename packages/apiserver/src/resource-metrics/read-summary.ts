import { isRecord } from '@centaurus/api'

/** What a node's agent says that something uses; fields that it does not tell are absent. */
export interface Reading {
  /** When it was measured, ms since the epoch; NaN: not told. */
  readonly atMs: number
  /** Cumulative, billionths of a core-second. */
  readonly cpuNanos: number | undefined
  /** Right now, billionths of a core. */
  readonly cpuNanoCores: number | undefined
  /** Working set. */
  readonly memoryBytes: number | undefined
  /** A container that started again counts anew. */
  readonly startTime: string
}

export interface NodeReading {
  readonly node: Reading | undefined
  /** By uid of the pod, then by name of the container. */
  readonly pods: ReadonlyMap<string, ReadonlyMap<string, Reading>>
}

/**
 * Reads what `/stats/summary` of a kubelet says, as far as it can be used; the rest is left out. Throws SyntaxError for what is no summary.
 * Source: kubelet stats/v1alpha1 Summary, v1.37.
 */
export function readSummary(text: string): NodeReading {
  const summary: unknown = JSON.parse(text)
  if (!isRecord(summary)) throw new SyntaxError('The node answered with something else than a summary')
  const pods = new Map<string, ReadonlyMap<string, Reading>>()
  for (const pod of listOf(summary['pods'])) {
    const uid = textOf(recordOf(pod['podRef'])['uid'])
    if (uid === '') continue
    pods.set(uid, new Map(listOf(pod['containers']).map((entry) => [textOf(entry['name']), readUsage(entry)])))
  }
  return { node: isRecord(summary['node']) ? readUsage(summary['node']) : undefined, pods }
}

function readUsage(entry: Record<string, unknown>): Reading {
  const cpu = recordOf(entry['cpu'])
  return {
    atMs: Date.parse(textOf(cpu['time'])),
    cpuNanos: numberOf(cpu['usageCoreNanoSeconds']),
    cpuNanoCores: numberOf(cpu['usageNanoCores']),
    memoryBytes: numberOf(recordOf(entry['memory'])['workingSetBytes']),
    startTime: textOf(entry['startTime']),
  }
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

function recordOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {}
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined
}
