import { quantityMilliValue, quantityValue } from '@centaurus/api'
import type { Node, Pod, Taint } from '@centaurus/api/core/v1'

export interface Demand {
  readonly cpuMillis: number
  readonly memoryBytes: number
  readonly hostPorts: readonly string[]
}

/** What a pod asks of a node: the sum of its containers (runs use no init containers). */
export function demandOf(pod: Pod): Demand {
  const containers = pod.spec?.containers ?? []
  const sum = (name: string, read: (text: string) => number): number =>
    containers.reduce((total, { resources }) => total + read(resources?.requests?.[name] ?? '0'), 0)
  return {
    cpuMillis: sum('cpu', (text) => quantityMilliValue(text)),
    memoryBytes: sum('memory', (text) => quantityValue(text)),
    hostPorts: containers
      .flatMap(({ ports = [] }) => ports)
      .flatMap(({ hostPort, protocol = 'TCP' }) => (hostPort ? [`${protocol}/${hostPort}`] : [])),
  }
}

export function isFinished({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

export function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true
}

/** What is used on a node beyond what it has, a word each. */
export function findOverload(node: Node, pods: readonly Pod[]): string[] {
  const demands = pods.map(demandOf)
  const allocatable = node.status?.allocatable ?? {}
  const cpu = demands.reduce((total, { cpuMillis }) => total + cpuMillis, 0)
  const memory = demands.reduce((total, { memoryBytes }) => total + memoryBytes, 0)
  const ports = demands.flatMap(({ hostPorts }) => hostPorts)
  const problems: string[] = []
  if (cpu > quantityMilliValue(allocatable['cpu'] ?? '0')) problems.push(`cpu ${cpu}m`)
  if (memory > quantityValue(allocatable['memory'] ?? '0')) problems.push(`memory ${memory}`)
  if (pods.length > Number(allocatable['pods'] ?? '0')) problems.push(`${pods.length} pods`)
  if (new Set(ports).size < ports.length) problems.push(`host ports ${ports.sort().join(' ')}`)
  return problems
}

/** The dumb reference of the scheduler, for what runs use: room, ports, cordons, taints, and the node that a daemon is meant for. */
export function couldRunOn(pod: Pod, node: Node, others: readonly Pod[]): boolean {
  const terms = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  const isMeant =
    terms === undefined ||
    terms.some(({ matchFields = [] }) =>
      matchFields.every(({ values = [] }) => values.includes(node.metadata.name ?? '')),
    )
  const taints: Taint[] = [...(node.spec?.taints ?? [])]
  if (node.spec?.unschedulable === true) {
    taints.push({ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' })
  }
  return (
    isMeant && taints.every((taint) => isTolerated(pod, taint)) && findOverload(node, [...others, pod]).length === 0
  )
}

export function isTolerated(pod: Pod, taint: Taint): boolean {
  if (taint.effect === 'PreferNoSchedule') return true
  return (pod.spec?.tolerations ?? []).some(
    ({ key, effect, operator, value }) =>
      (key === undefined || key === '' || key === taint.key) &&
      (effect === undefined || effect === '' || effect === taint.effect) &&
      (operator === 'Exists' || (value ?? '') === (taint.value ?? '')),
  )
}
