/** Which devices of one node a pod gets, and what that is worth. */
import { grown } from '../columns.ts'
import type { PodFootprint } from '../pod-footprint.ts'
import { byNature, resolvable, unresolvable, type Refusal } from '../refusals.ts'
import { CPU, MEMORY } from '../resources.ts'
import { chooseDevices, sharesLeft, type ChooseDevice, type DeviceRoom, type GpuShortage } from './choose-devices.ts'
import { fragmentation, freeGpus, isAlike } from './fragmentation.ts'
import { computeOf, memoryOf } from './gpu-demand.ts'
import { useOf, type GpuPlan, type GpuTable } from './gpu-table.ts'
import type { Findings, FreeResources, GpuFit, NodeGpus } from './node-gpus.ts'
import type { MixOfPods } from './typical-pods.ts'
import { weakestLink } from './topology.ts'

/** Score of a GPU that stays of use to the pods that come: as much as a node has that another plugin likes best. */
const POINTS_PER_GPU = 100
/**
 * And of a free GPU of the node that is taken to the end: next to nothing, so that it decides between nodes that are alike. Of these the fullest is
 * filled first; chance would spread pods and leave no node whole.
 */
const POINTS_PER_FREE_GPU = 0.2
/** Of a node so many kinds of pods are remembered while it stays as it is. */
const FITS_MAX = 256
/** For the best links that there are, of pods that ask for near devices. */
const POINTS_FOR_LINKS = 100
const BEST_LINK = 60

const SHORTAGES: Readonly<Record<GpuShortage, Refusal>> = {
  model: unresolvable('node(s) had no GPU of a model that the pod allows'),
  uuid: unresolvable('node(s) had no GPU with a UUID that the pod allows'),
  count: unresolvable('node(s) had too few GPUs'),
  size: unresolvable('node(s) had GPUs with too little memory'),
  unhealthy: unresolvable('node(s) had unhealthy GPUs'),
  unknown: resolvable('node(s) had GPUs used by pods that do not say which ones'),
  whole: resolvable('Insufficient free GPUs'),
  memory: resolvable('Insufficient GPU memory on any one device'),
  compute: resolvable('Insufficient GPU compute on any one device'),
}
const SHORT = Object.fromEntries(
  Object.entries(SHORTAGES).map(([why, refusal]) => [why, { type: 'short', refusal }]),
) as Readonly<Record<GpuShortage, GpuFit>>
const UNSAID = byNature('node(s) did not say which GPUs they have, which sharing and choosing them needs')
const UNREADABLE = byNature('node(s) had an inventory of GPUs that cannot be read')
const FITS_ANYWHERE: GpuFit = { type: 'fits', score: 0 }

// One node is looked at at a time, and nothing is kept: its arrays are used again.
let scratch: DeviceRoom = { memory: new Float64Array(0), compute: new Float64Array(0) }

export interface Ask {
  readonly footprint: PodFootprint
  readonly free: FreeResources
}

/** Equal for pods of which a node that gives them any of its devices thinks the same. */
export function gpuKey({ requests, gpu }: PodFootprint): string {
  return `${requests[CPU]} ${requests[MEMORY]} ${gpu?.shape ?? ''}`
}

/**
 * Judges one node for a pod, whose {@link gpuKey} is `key`. A node that does not say which GPUs it has serves whole ones alone, any of them, which are counted as other resources
 * are. Cost: some microseconds where a node has GPUs.
 */
export function fitGpus(gpus: GpuTable, slot: number, ask: Ask & { readonly key: string }): GpuFit {
  const node = gpus.at(slot)
  const { gpu: demand } = ask.footprint
  if (node === undefined) {
    if (demand === undefined || (demand.isWholeOnly && demand.takesAny)) return FITS_ANYWHERE
    return { type: 'short', refusal: gpus.isUnreadable(slot) ? UNREADABLE : UNSAID }
  }
  const { mix } = gpus.typical
  const findings = node.findings(mix.version, ask.free)
  // Whichever models they name, pods that may have all devices of a node are alike to it.
  if (demand?.takesAny === false) {
    const allowed = node.models.filter((model) => demand.allowsModel(model)).length
    if (allowed === 0 && node.count > 0) return SHORT.model
    if (allowed < node.models.length || demand.namesUuids) return workOutFit(node, ask, { mix, findings })
  }
  const known = findings.fits.get(ask.key)
  if (known !== undefined) return known
  const fit = workOutFit(node, ask, { mix, findings })
  if (findings.fits.size < FITS_MAX) findings.fits.set(ask.key, fit)
  return fit
}

function workOutFit(
  node: NodeGpus,
  ask: Ask,
  { mix, findings }: { readonly mix: MixOfPods; readonly findings: Findings },
): GpuFit {
  const { gpu: demand } = ask.footprint
  const { room, wasteOf } = tryOn(node, ask, mix)
  let links = 0
  if (demand !== undefined) {
    const chosen = chooseDevices(node, demand, { room, choose: leastWaste(node, room, wasteOf) })
    if (typeof chosen === 'string') return SHORT[chosen]
    if (demand.constraints.policy === 'topology') links = linksOf(node, chosen)
  }
  findings.waste ??= wasteNow(node, ask.free, mix)
  const gained = findings.waste - wasteOf(room)
  const score = POINTS_PER_GPU * gained - POINTS_PER_FREE_GPU * freeGpus(node, room) + POINTS_FOR_LINKS * links
  return { type: 'fits', score }
}

function wasteNow(node: NodeGpus, free: FreeResources, mix: MixOfPods): number {
  return fragmentation(node, { devices: { memory: node.freeMemory, compute: node.freeCompute }, ...free }, mix)
}

/** The devices that a pod gets on a node where it fits; undefined: the node does not say which it has, or it does not fit. */
export function planGpus(gpus: GpuTable, slot: number, ask: Ask): GpuPlan | undefined {
  const node = gpus.at(slot)
  const { gpu: demand } = ask.footprint
  if (node === undefined || demand === undefined) return undefined
  const { room, wasteOf } = tryOn(node, ask, gpus.typical.mix)
  const allocation = chooseDevices(node, demand, { room, choose: leastWaste(node, room, wasteOf) })
  return typeof allocation === 'string' ? undefined : { allocation, use: useOf(demand, allocation) }
}

/** Room to take devices out of, and what would be wasted of the node with the pod on it. */
function tryOn(
  node: NodeGpus,
  { footprint, free }: Ask,
  mix: MixOfPods,
): { readonly room: DeviceRoom; readonly wasteOf: (devices: DeviceRoom) => number } {
  const left = {
    cpuMillicores: free.cpuMillicores - footprint.requests[CPU]!,
    memoryBytes: free.memoryBytes - footprint.requests[MEMORY]!,
  }
  return { room: roomOf(node), wasteOf: (devices) => fragmentation(node, { devices, ...left }, mix) }
}

/** Where the least is wasted after; of equal ones the fullest device. */
function leastWaste(node: NodeGpus, room: DeviceRoom, wasteOf: (room: DeviceRoom) => number): ChooseDevice {
  return (candidates, request) => {
    if (candidates.length === 1) return candidates[0]!
    let best = candidates[0]!
    let [least, smallest] = [Infinity, Infinity]
    const compute = computeOf(request)
    for (const [at, i] of candidates.entries()) {
      if (candidates.slice(0, at).some((other) => isAlike(node, room, { i, other }))) continue
      const left = sharesLeft(node, room, i)
      const memory = memoryOf(node.memory[i]!, request)
      room.memory[i]! -= memory
      room.compute[i]! -= compute
      const wasted = wasteOf(room)
      room.memory[i]! += memory
      room.compute[i]! += compute
      if (wasted > least + 1e-9 || (wasted > least - 1e-9 && left >= smallest)) continue
      best = i
      least = wasted
      smallest = left
    }
    return best
  }
}

/** The weakest link within a container, 0 to 1; 1 where none has several devices. */
function linksOf(node: NodeGpus, allocation: GpuPlan['allocation']): number {
  const weakest = Object.values(allocation).map((grants) =>
    weakestLink(
      node,
      grants.map(({ uuid }) => node.uuids.indexOf(uuid)),
    ),
  )
  return Math.min(1, Math.min(...weakest) / BEST_LINK)
}

function roomOf(node: NodeGpus): DeviceRoom {
  if (node.count > scratch.memory.length)
    scratch = { memory: grown(scratch.memory, node.count), compute: grown(scratch.compute, node.count) }
  for (let i = 0; i < node.count; i++) {
    scratch.memory[i] = node.freeMemory[i]!
    scratch.compute[i] = node.freeCompute[i]!
  }
  return scratch
}
