import { parseQuantity, podRequests, quantityOfMillis, quantityOfUnits, type ResourceAmounts } from '@centaurus/api'
import { GPU, GPU_COMPUTE, GPU_MEMORY, GPU_SHARE_RESOURCES, gpuRequestsOf } from '@centaurus/api/gpu'
import type { Container, PodSpec } from '@centaurus/api/core/v1'
import type { ObjectMeta } from '@centaurus/api/meta/v1'
import type { Amounts } from './core/amounts.ts'

const CPU = 'cpu'
const GIB = 2 ** 30
const MIB = 2 ** 20
/** One for each pod, as ResourceQuota has it. */
const PODS = 'pods'

/**
 * What quota a pod takes, as quantities by resource: what a node must have free for it, `pods`, and GPUs by their own names, each amount of all devices together.
 * A whole GPU is 100 of `centaurus.io/gpu-compute`; its memory is not known before it has a node, and is not counted.
 */
export function queuedRequestsOf(
  metadata: Readonly<ObjectMeta> | undefined,
  spec: Readonly<PodSpec>,
): Record<string, string> {
  const amounts = podRequests({
    ...spec,
    containers: spec.containers.map(withLimits),
    ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(withLimits) }),
  })
  const all: ResourceAmounts = { ...withoutGpus(amounts), ...gpuAmounts(metadata, spec), [PODS]: 1 }
  return Object.fromEntries(
    Object.entries(all)
      .filter(([, amount]) => amount > 0)
      .map(([name, amount]) => [name, formatAmount(name, amount)]),
  )
}

/** A template has not been defaulted as a pod is: what has a limit alone asks for that. */
function withLimits<T extends Container>(container: T): T {
  const { resources } = container
  if (resources?.limits === undefined) return container
  return { ...container, resources: { ...resources, requests: { ...resources.limits, ...resources.requests } } }
}

function withoutGpus(amounts: ResourceAmounts): ResourceAmounts {
  return Object.fromEntries(Object.entries(amounts).filter(([name]) => name !== GPU && !GPU_SHARE_RESOURCES.has(name)))
}

/** Init containers use devices of those that come later. */
function gpuAmounts(metadata: Readonly<ObjectMeta> | undefined, spec: Readonly<PodSpec>): ResourceAmounts {
  const { requests } = gpuRequestsOf({ metadata: metadata ?? {}, spec: spec as PodSpec })
  const sum: ResourceAmounts = {}
  for (const { role, request } of requests?.containers ?? []) {
    if (role === 'init') continue
    const { count, memoryMiB = 0, memoryPercent, compute } = request
    const isWhole = request.memoryMiB === undefined && memoryPercent === undefined && compute === undefined
    sum[GPU] = (sum[GPU] ?? 0) + count
    sum[GPU_MEMORY] = (sum[GPU_MEMORY] ?? 0) + count * memoryMiB
    sum[GPU_COMPUTE] = (sum[GPU_COMPUTE] ?? 0) + count * (isWhole ? 100 : (compute ?? 0))
  }
  return sum
}

/** Quantities as the core counts them. Throws `SyntaxError` on what is none; validation lets none in. */
export function readAmounts(requests: Readonly<Record<string, string>> | undefined): Amounts {
  return new Map(
    Object.entries(requests ?? {})
      .map(([name, text]): [string, number] => [name, readAmount(name, text)])
      .filter(([, amount]) => amount > 0),
  )
}

export function readAmount(resource: string, text: string): number {
  const quantity = parseQuantity(text)
  return resource === CPU ? quantity.milliValue : quantity.value
}

/** As a quantity; memory in Gi or Mi where that is exact. */
export function formatAmount(resource: string, amount: number): string {
  if (resource === CPU) return quantityOfMillis(Math.round(amount)).text
  if (resource === 'memory' || resource === 'ephemeral-storage') {
    if (amount > 0 && amount % GIB === 0) return `${amount / GIB}Gi`
    if (amount > 0 && amount % MIB === 0) return `${amount / MIB}Mi`
  }
  return resource === 'memory' || resource === 'ephemeral-storage' ? String(amount) : quantityOfUnits(amount).text
}
