import { isExtendedResource } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'
import { GPU_SHARE_RESOURCES } from '@centaurus/api/gpu'
import { compileRequiredNodes } from '@centaurus/api/scheduling'

import type { PressureType } from './pressure.ts'
import { allContainers, measure, podQosClass, podRequests } from './resources.ts'
import { isStaticPod } from './static-pod.ts'
import { hostPorts } from './ports.ts'

export interface AdmissionInput {
  readonly node: Node | undefined
  /** Allocatable of the node: quantities. */
  readonly allocatable: Readonly<Record<string, string>>
  /** What the node is short of, for five minutes after it was. */
  readonly pressure: ReadonlySet<PressureType>
  /** Pods that were admitted and are not over. */
  readonly others: readonly Pod[]
  /** Whether devices of a resource are given out one by one, by whoever knows them; default: none are. */
  readonly isDevice?: ((resource: string) => boolean) | undefined
}

export type Admission =
  | { readonly admit: true }
  | { readonly admit: false; readonly reason: string; readonly message: string }

const CRITICAL_PRIORITY = 2_000_000_000
const MEMORY_TAINT = 'node.kubernetes.io/memory-pressure'
const ADMIT: Admission = { admit: true }

/** Whether the node takes a pod that the scheduler gave it. Source: kubelet lifecycle/predicate.go, v1.37. */
export function admitPod(pod: Pod, input: AdmissionInput): Admission {
  const { node, others, pressure } = input
  return (
    checkPressure(pod, pressure) ??
    checkSelector(pod, node) ??
    checkPorts(pod, others) ??
    checkResources(pod, input) ??
    checkSystem(pod) ??
    ADMIT
  )
}

function refuse(reason: string, message: string): Admission {
  return { admit: false, reason, message }
}

/** Critical pods come in always; while memory alone is short, those too that asked for some. Source: kubelet eviction managerImpl.Admit, v1.37. */
function checkPressure(pod: Pod, pressure: ReadonlySet<PressureType>): Admission | undefined {
  if (pressure.size === 0 || isStaticPod(pod) || (pod.spec?.priority ?? 0) >= CRITICAL_PRIORITY) return undefined
  if (pressure.size === 1 && pressure.has('MemoryPressure')) {
    const tolerates = pod.spec?.tolerations?.some(
      ({ key, operator, effect }) =>
        (key === MEMORY_TAINT || (key === undefined && operator === 'Exists')) &&
        (effect === undefined || effect === 'NoSchedule'),
    )
    if (podQosClass(pod) !== 'BestEffort' || tolerates === true) return undefined
  }
  return refuse('Evicted', `The node had condition: [${[...pressure].toSorted().join(' ')}]. `)
}

function checkSelector(pod: Pod, node: Node | undefined): Admission | undefined {
  if (node === undefined) return undefined
  const wanted = compileRequiredNodes(pod.spec ?? { containers: [] })
  return (wanted?.matches(node.metadata.labels ?? {}, node.metadata.name ?? '') ?? true)
    ? undefined
    : refuse(
        'NodeAffinity',
        "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
      )
}

function checkPorts(pod: Pod, others: readonly Pod[]): Admission | undefined {
  const taken = others.flatMap(hostPorts)
  const isAny = (ip: string): boolean => ip === '' || ip === '0.0.0.0'
  const clash = hostPorts(pod).some((mine) =>
    taken.some(
      (other) =>
        other.port === mine.port &&
        other.protocol === mine.protocol &&
        (isAny(other.ip) || isAny(mine.ip) || other.ip === mine.ip),
    ),
  )
  return clash
    ? refuse(
        'NodePorts',
        "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
      )
    : undefined
}

function checkResources(
  pod: Pod,
  { allocatable, others, isDevice = () => false }: AdmissionInput,
): Admission | undefined {
  const podsMax = Number(allocatable['pods'] ?? '110')
  if (others.length + 1 > podsMax) return outOf('pods', { requested: 1, used: others.length, capacity: podsMax })
  const used = new Map<string, number>()
  for (const other of others)
    for (const [name, value] of podRequests(other)) used.set(name, (used.get(name) ?? 0) + value)
  for (const [name, requested] of podRequests(pod)) {
    if (requested === 0 || isCountedElsewhere(name, allocatable) || isDevice(name)) continue
    const capacity = allocatable[name] === undefined ? 0 : measure(name, allocatable[name])
    if (requested + (used.get(name) ?? 0) > capacity)
      return outOf(name, { requested, used: used.get(name) ?? 0, capacity })
  }
  return undefined
}

/** Extended resources that the node does not have are the cluster's; shares of devices are counted by device. Source: removeMissingExtendedResources, v1.37. */
function isCountedElsewhere(name: string, allocatable: Readonly<Record<string, string>>): boolean {
  return GPU_SHARE_RESOURCES.has(name) || (allocatable[name] === undefined && isExtendedResource(name))
}

function outOf(
  name: string,
  { requested, used, capacity }: { readonly requested: number; readonly used: number; readonly capacity: number },
): Admission {
  return refuse(
    `OutOf${name}`,
    `Pod was rejected: Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
  )
}

function checkSystem(pod: Pod): Admission | undefined {
  const rules = allContainers(pod).flatMap(({ restartPolicyRules }) => restartPolicyRules ?? [])
  if (rules.some(({ action }) => action === 'RestartAllContainers')) {
    const message = 'Pod was rejected: the restart rule action RestartAllContainers is not supported by this node'
    return refuse('RestartRuleNotSupported', message)
  }
  const os = pod.spec?.os?.name ?? pod.spec?.nodeSelector?.['kubernetes.io/os']
  if (os === undefined || os === 'linux') return undefined
  return refuse('PodOSNotSupported', "Failed to admit pod as the OS field doesn't match node OS")
}
