import type { Pod, ResourceRequirements } from '../../generated/types/core/v1.ts'
import { quantityMilliValue } from '../../quantity/quantity.ts'
import { hasPodLevelResources } from './resources.ts'

/** Source: core/v1 PodQOSClass. */
export type PodQOSClass = 'Guaranteed' | 'Burstable' | 'BestEffort'

/**
 * Quality of service that the pod's cpu and memory earn: Guaranteed when every container limits both and requests as much,
 * BestEffort when none says anything, else Burstable. Pod-level resources count instead, where set.
 * Source: ComputePodQOS, pkg/apis/core/helper/qos v1.37. Throws `SyntaxError` on a bad quantity.
 */
export function podQosClass(pod: Readonly<Pod>): PodQOSClass {
  const spec = pod.spec
  if (spec === undefined) return 'BestEffort'
  if (spec.resources !== undefined && hasPodLevelResources(spec)) return requirementsClass(spec.resources)
  let podClass: PodQOSClass | undefined
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    const containerClass = requirementsClass(container.resources ?? {})
    podClass ??= containerClass
    if (containerClass === 'Burstable' || containerClass !== podClass) return 'Burstable'
  }
  return podClass ?? 'BestEffort'
}

function requirementsClass(requirements: ResourceRequirements): PodQOSClass {
  const cpu = resourceClass(requirements, 'cpu')
  return cpu === resourceClass(requirements, 'memory') ? cpu : 'Burstable'
}

function resourceClass(requirements: ResourceRequirements, name: 'cpu' | 'memory'): PodQOSClass {
  const request = quantityMilliValue(requirements.requests?.[name] ?? '0')
  const limit = quantityMilliValue(requirements.limits?.[name] ?? '0')
  if (request !== limit) return 'Burstable'
  return request === 0 ? 'BestEffort' : 'Guaranteed'
}
