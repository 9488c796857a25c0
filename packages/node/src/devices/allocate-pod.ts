import { quantityValue } from '@centaurus/api'
import type { Container, Pod } from '@centaurus/api/core/v1'
import {
  formatGpuDeviceId,
  GPU,
  GPU_ALLOCATION_ANNOTATION,
  GPU_SHARE_RESOURCES,
  isWholeGpu,
  parseGpuAllocation,
  type GpuAllocation,
  type GpuGrant,
} from '@centaurus/api/gpu'

import { allContainers } from '../pod/resources.ts'
import { isSidecar } from '../pod/runtime-state.ts'
import type { AllocationLedger } from './allocation-ledger.ts'
import type { Device, DeviceInventory } from './device-inventory.ts'
import { chooseNumaNodes } from './numa-affinity.ts'
import { byId, finishPick, planPick } from './pick-devices.ts'
import type { ContainerResponse } from './protocol/messages.ts'
import type { DeviceOwner, PreferredRequest } from './protocol/plugin-client.ts'

export interface AllocateDeps {
  readonly inventory: DeviceInventory
  readonly ledger: AllocationLedger
  /** Undefined: the plugin has no preference. */
  readonly prefer: (resource: string, request: PreferredRequest) => Promise<readonly string[] | undefined>
  readonly allocate: (resource: string, ids: readonly string[], owner: DeviceOwner) => Promise<ContainerResponse>
}

/** Why a pod can't have its devices, in upstream's words where it has them. */
export class AllocationError extends Error {
  override readonly name = 'AllocationError'
}

/** What a container asks plugins for. */
interface Demand {
  readonly resource: string
  readonly required: number
}

/** Ids by resource of what the pod's init containers before had. */
type Reusable = Map<string, Set<string>>

/**
 * Gives the pod's containers their devices: adds to the ledger what is not there yet. Throws {@link AllocationError}, or what a plugin said, and leaves in the ledger what
 * it got that far. Source: kubelet ManagerImpl.Allocate, v1.37.
 */
export async function allocatePod(pod: Pod, deps: AllocateDeps): Promise<void> {
  const podUid = pod.metadata.uid ?? ''
  const granted = readGrants(pod)
  const reusable: Reusable = new Map()
  for (const container of allContainers(pod)) {
    const owner = { podUid, container: container.name }
    await allocateGranted(owner, granted[container.name] ?? [], deps)
    refuseLostShare(container, granted, deps)
    await allocateAsked(owner, demandsOf(container, granted, deps.inventory), { ...deps, reusable })
    const isInit = pod.spec?.initContainers?.includes(container) === true && !isSidecar(container)
    for (const { resource, devices } of deps.ledger.ofContainer(podUid, container.name)) {
      const ids = reusable.get(resource) ?? new Set<string>()
      for (const { id } of devices) {
        if (isInit) ids.add(id)
        else ids.delete(id)
      }
      reusable.set(resource, ids)
    }
  }
}

/** Resources of plugins that a container asks for, or was given, by name. */
export function deviceResourcesOf(pod: Pod, container: Container, inventory: DeviceInventory): readonly string[] {
  const granted = readGrants(pod)
  const asked = demandsOf(container, granted, inventory).map(({ resource }) => resource)
  return granted[container.name] === undefined ? asked : [GPU, ...asked]
}

/** Throws {@link AllocationError} for an annotation that can't be read. */
function readGrants(pod: Pod): GpuAllocation {
  const text = pod.metadata.annotations?.[GPU_ALLOCATION_ANNOTATION]
  if (text === undefined) return {}
  try {
    return parseGpuAllocation(text)
  } catch (cause) {
    throw new AllocationError((cause as Error).message, { cause })
  }
}

/** Limits are enough: extended resources can't be overcommitted. */
function demandsOf(container: Container, granted: GpuAllocation, inventory: DeviceInventory): Demand[] {
  const limits = Object.entries(container.resources?.limits ?? {})
  return limits
    .filter(([name]) => inventory.has(name) && (name !== GPU || granted[container.name] === undefined))
    .map(([resource, quantity]) => ({ resource, required: quantityValue(quantity) }))
    .filter(({ required }) => required > 0)
    .toSorted((a, b) => byId(a.resource, b.resource))
}

/** A container must not run without the share that it asks for. */
function refuseLostShare(container: Container, granted: GpuAllocation, { inventory }: AllocateDeps): void {
  const limits = container.resources?.limits ?? {}
  const shares = Object.keys(limits).filter((name) => GPU_SHARE_RESOURCES.has(name))
  if (shares.length === 0 || granted[container.name] !== undefined || limits[GPU] !== undefined) return
  if (shares.some((name) => inventory.has(name))) return
  throw new AllocationError(
    `container "${container.name}" asks for a share of a GPU (${shares.join(', ')}) and was given none: pods with shares must be bound by this cluster's scheduler`,
  )
}

async function allocateGranted(
  owner: DeviceOwner,
  grants: readonly GpuGrant[],
  { inventory, ledger, allocate }: AllocateDeps,
): Promise<void> {
  if (grants.length === 0 || ledger.ofContainer(owner.podUid, owner.container).some(({ resource }) => resource === GPU))
    return
  const healthy = healthyDevices(GPU, inventory)
  for (const grant of grants) {
    if (!healthy.has(grant.uuid))
      throw new AllocationError(`the GPU ${grant.uuid} that the pod was given is not healthy`)
    if (isHeldAgainst(grant, owner, ledger))
      throw new AllocationError(`the GPU ${grant.uuid} that the pod was given is in use by another pod`)
  }
  const ids = grants.map(formatGpuDeviceId)
  const response = await allocate(GPU, ids, owner)
  const devices = grants.map(({ uuid }, i) => ({ id: ids[i]!, numaNodes: healthy.get(uuid)?.numaNodes ?? [] }))
  ledger.add({ ...owner, resource: GPU, devices, response })
}

/** Whether another pod has all of the device, or any of it when all is wanted. */
function isHeldAgainst(grant: GpuGrant, { podUid }: DeviceOwner, ledger: AllocationLedger): boolean {
  const others = ledger.all().filter((one) => one.resource === GPU && one.podUid !== podUid)
  if (others.some(({ devices }) => devices.some(({ id }) => id === grant.uuid))) return true
  return isWholeGpu(grant) && ledger.holders(GPU, [grant.uuid]).some((uid) => uid !== podUid)
}

async function allocateAsked(
  owner: DeviceOwner,
  demands: readonly Demand[],
  deps: AllocateDeps & { readonly reusable: Reusable },
): Promise<void> {
  const { inventory, ledger, reusable } = deps
  const fresh: Demand[] = []
  for (const demand of demands) if (!isAllocated(owner, demand, deps)) fresh.push(demand)
  const healthy = new Map(fresh.map(({ resource }) => [resource, healthyDevices(resource, inventory)]))
  const affinity = chooseNumaNodes(
    fresh.map(({ resource, required }) => {
      const inUse = ledger.inUse(resource)
      const devices = [...healthy.get(resource)!.values()]
      const reused = devices.filter(({ id }) => reusable.get(resource)?.has(id))
      return { required, available: devices.filter(({ id }) => !inUse.has(id)), reusable: reused }
    }),
  )
  for (const demand of fresh)
    await allocateDemand(owner, demand, { ...deps, affinity, healthy: healthy.get(demand.resource)! })
}

/** Whether an agent before this one, or this one, gave the container these devices. */
function isAllocated({ podUid, container }: DeviceOwner, { resource, required }: Demand, deps: AllocateDeps): boolean {
  const before = deps.ledger.ofContainer(podUid, container).find((one) => one.resource === resource)
  if (before === undefined) return false
  if (before.devices.length !== required)
    throw new AllocationError(
      `pod "${podUid}" container "${container}" changed request for resource "${resource}" from ${before.devices.length} to ${required}`,
    )
  const healthy = healthyDevices(resource, deps.inventory)
  if (before.devices.some(({ id }) => !healthy.has(id)))
    throw new AllocationError(
      `previously allocated devices are no longer healthy; cannot allocate unhealthy devices ${resource}`,
    )
  return true
}

function healthyDevices(resource: string, inventory: DeviceInventory): ReadonlyMap<string, Device> {
  if (!inventory.has(resource)) throw new AllocationError(`cannot allocate unregistered device ${resource}`)
  const healthy = inventory.healthy(resource)
  if (healthy.size === 0)
    throw new AllocationError(`no healthy devices present; cannot allocate unhealthy devices ${resource}`)
  return healthy
}

async function allocateDemand(
  owner: DeviceOwner,
  { resource, required }: Demand,
  deps: AllocateDeps & {
    readonly reusable: Reusable
    readonly affinity: ReadonlySet<number> | undefined
    readonly healthy: ReadonlyMap<string, Device>
  },
): Promise<void> {
  const { ledger, healthy, affinity, prefer, allocate } = deps
  const reusable = [...(deps.reusable.get(resource) ?? [])]
  const plan = planPick({ required, healthy, inUse: ledger.inUse(resource), reusable, affinity })
  if (plan.type === 'short')
    throw new AllocationError(
      `requested number of devices unavailable for ${resource}. Requested: ${plan.requested}, Available: ${plan.available}`,
    )
  const { taken, missing, rest } = plan
  const request = { available: [...taken, ...rest], mustInclude: taken, size: required }
  const preferred = missing === 0 ? undefined : await prefer(resource, request)
  const ids = finishPick(plan, preferred)
  const response = await allocate(resource, ids, owner)
  ledger.add({
    ...owner,
    resource,
    devices: ids.map((id) => ({ id, numaNodes: healthy.get(id)?.numaNodes ?? [] })),
    response,
  })
}
