import type { PodSpec } from '../../generated/types/core/v1.ts'
import { podRequests, type ResourceAmounts } from '../../kinds/pod/resources.ts'
import { FieldPath } from '../../status/field-error.ts'
import type { GpuAllocation } from './allocation.ts'
import { isWholeGpu, type GpuGrant } from './device-id.ts'
import { GPU, GPU_SHARE_RESOURCES } from './names.ts'
import { podMentionsGpu } from './pod-request.ts'
import { gpuRequestOf, isWholeRequest, mentionsGpu } from './request.ts'
import type { GpuRole } from './roles.ts'

type Container = PodSpec['containers'][number]

const NOWHERE = new FieldPath()

/**
 * What a pod has of each device while it exists, a grant a device: the sum over what runs together, or what an init container has beside
 * the sidecars, if that is more.
 */
export function gpuUseOf(allocation: GpuAllocation, roleOf: (container: string) => GpuRole): GpuGrant[] {
  const devices = new Map<string, DeviceParts>()
  for (const [container, grants] of Object.entries(allocation)) {
    const role = roleOf(container)
    for (const grant of grants) {
      const parts = devices.get(grant.uuid) ?? new DeviceParts()
      devices.set(grant.uuid, parts)
      parts.add(grant, role)
    }
  }
  return [...devices].map(([uuid, parts]) => parts.total(uuid))
}

class DeviceParts {
  #isWhole = false
  readonly #memory = { init: 0, sidecar: 0, main: 0 }
  readonly #compute = { init: 0, sidecar: 0, main: 0 }

  add(grant: GpuGrant, role: GpuRole): void {
    if (isWholeGpu(grant)) this.#isWhole = true
    for (const [amounts, amount] of [
      [this.#memory, grant.memoryMiB ?? 0],
      [this.#compute, grant.compute ?? 0],
    ] as const)
      amounts[role] = role === 'init' ? Math.max(amounts.init, amount) : amounts[role] + amount
  }

  total(uuid: string): GpuGrant {
    if (this.#isWhole) return { uuid }
    const [memoryMiB, compute] = [this.#memory, this.#compute].map(
      (each) => each.sidecar + Math.max(each.main, each.init),
    )
    return {
      uuid,
      ...(memoryMiB === 0 ? {} : { memoryMiB }),
      ...(compute === 0 ? {} : { compute }),
    }
  }
}

/**
 * What a pod takes of the resources that nodes count as sums: as `podRequests`, without what is decided for each device. Of `nvidia.com/gpu` only
 * whole GPUs are left: of a container that asks for parts it says on how many devices. Free of charge for pods without GPUs.
 */
export function summedRequests(spec: Readonly<PodSpec>): ResourceAmounts {
  if (!podMentionsGpu({ metadata: {}, spec })) return podRequests(spec)
  return podRequests({
    ...spec,
    containers: spec.containers.map(withoutShares),
    ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(withoutShares) }),
  })
}

function withoutShares<C extends Container>(container: C): C {
  if (!mentionsGpu(container)) return container
  const { request } = gpuRequestOf(container, NOWHERE)
  const isWhole = request === undefined || isWholeRequest(request)
  const requests = Object.entries(container.resources?.requests ?? {}).filter(
    ([name]) => !GPU_SHARE_RESOURCES.has(name) && (name !== GPU || isWhole),
  )
  // "All of its compute" is a whole GPU also where their number is left to be 1.
  if (isWhole && request !== undefined) requests.push([GPU, String(request.count)])
  return { ...container, resources: { ...container.resources, requests: Object.fromEntries(requests) } }
}
