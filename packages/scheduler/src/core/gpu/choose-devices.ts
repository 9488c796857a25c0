import { isWholeRequest, type GpuAllocation, type GpuGrant, type GpuRequest } from '@centaurus/api/gpu'
import { compareRequests, computeOf, memoryOf, type GpuDemand } from './gpu-demand.ts'
import type { NodeGpus } from './node-gpus.ts'
import { chooseNear } from './topology.ts'

/** Why no devices of a node will do, in the order in which they are found out. */
export type GpuShortage = 'model' | 'uuid' | 'count' | 'size' | 'unhealthy' | 'unknown' | 'whole' | 'memory' | 'compute'

/** What is left of the devices while a pod gets its own: changed as it does. */
export interface DeviceRoom {
  readonly memory: Float64Array
  readonly compute: Float64Array
}

/** Chooses one of several devices that fit a share, the first of equal ones; undefined: as the pod's policy says. */
export type ChooseDevice = (candidates: readonly number[], request: GpuRequest) => number

/**
 * Chooses devices for all containers of a pod, or says why there are none. Each container gets different ones, and its own share of those that others
 * have, too; init containers rather those that others of the pod will have. Takes what it chose out of `room`, which it leaves in disorder when
 * there is not enough. The hardest first, each where it fits best: it may miss a way to fit several shares in that a search would find.
 */
export function chooseDevices(
  node: NodeGpus,
  demand: GpuDemand,
  { room, choose }: { readonly room: DeviceRoom; readonly choose?: ChooseDevice | undefined },
): GpuAllocation | GpuShortage {
  const [only, ...others] = demand.containers
  if (only !== undefined && others.length === 0 && only.role !== 'init') {
    const chosen = chooseFor(node, demand, { request: only.request, room, choose })
    if (typeof chosen === 'string') return chosen
    for (const i of chosen) take(node, only.request, { i, room })
    return { [only.container]: chosen.map((i) => grantOf(node, only.request, i)) }
  }
  const allocation: Record<string, readonly GpuGrant[]> = {}
  const held = { memory: new Float64Array(node.count), compute: new Float64Array(node.count) }
  const isInit = (each: (typeof demand.containers)[number]): boolean => each.role === 'init'
  const running = demand.containers.filter((each) => !isInit(each))
  for (const { container, role, request } of running.toSorted((a, b) => compareRequests(a.request, b.request))) {
    const chosen = chooseFor(node, demand, { request, room, choose })
    if (typeof chosen === 'string') return chosen
    allocation[container] = chosen.map((i) => grantOf(node, request, i))
    for (const i of chosen) take(node, request, { i, room, ...(role === 'main' ? { held } : {}) })
  }
  for (const { container, request } of demand.containers.filter(isInit)) {
    const chosen = chooseForInit(node, demand, { request, room, held })
    if (typeof chosen === 'string') return chosen
    allocation[container] = chosen.map((i) => grantOf(node, request, i))
  }
  return allocation
}

/** Devices of a node that have what a request asks for, by index. */
export function fittingDevices(
  node: NodeGpus,
  demand: GpuDemand,
  { request, room }: { readonly request: GpuRequest; readonly room: DeviceRoom },
): number[] {
  const found: number[] = []
  for (let i = 0; i < node.count; i++) if (whyNotDevice(node, demand, { request, room, i }) === undefined) found.push(i)
  return found
}

interface Asked {
  readonly request: GpuRequest
  readonly room: DeviceRoom
}

function whyNotDevice(
  node: NodeGpus,
  demand: GpuDemand,
  { request, room, i }: Asked & { readonly i: number },
): GpuShortage | undefined {
  const why = demand.whyNot(node.uuids[i]!, node.kinds[i]!.model)
  if (why !== undefined) return why
  const asked = memoryOf(node.memory[i]!, request)
  if (asked > node.memory[i]!) return 'size'
  if (node.healthy[i] === 0) return 'unhealthy'
  if (node.unknown > 0 && node.isUntouched(i)) return 'unknown'
  if (isWholeRequest(request)) return isAllLeft(node, room, i) ? undefined : 'whole'
  if (asked > room.memory[i]!) return 'memory'
  return computeOf(request) > room.compute[i]! ? 'compute' : undefined
}

function isAllLeft(node: NodeGpus, room: DeviceRoom, i: number): boolean {
  return room.memory[i] === node.memory[i] && room.compute[i] === 100
}

/** Fewer devices than asked for: what most of the others lack, of what was found out last. */
function shortageOf(node: NodeGpus, demand: GpuDemand, asked: Asked): GpuShortage {
  if (node.count < asked.request.count) return 'count'
  const order: readonly GpuShortage[] = ['compute', 'memory', 'whole', 'unknown', 'unhealthy', 'size', 'uuid', 'model']
  const why = Array.from({ length: node.count }, (_, i) => whyNotDevice(node, demand, { ...asked, i }))
  return order.find((each) => why.includes(each)) ?? 'count'
}

function chooseFor(
  node: NodeGpus,
  demand: GpuDemand,
  { request, room, choose }: Asked & { readonly choose?: ChooseDevice | undefined },
): readonly number[] | GpuShortage {
  const candidates = fittingDevices(node, demand, { request, room })
  const { count } = request
  if (candidates.length < count) return shortageOf(node, demand, { request, room })
  const { policy } = demand.constraints
  if (isWholeRequest(request) || policy === 'topology') return chooseNear(node, candidates, { count })
  if (count === 1 && policy === 'binpack' && choose !== undefined) return [choose(candidates, request)]
  const sign = policy === 'spread' ? -1 : 1
  const leftOf = (i: number): number => sharesLeft(node, room, i)
  return candidates.toSorted((a, b) => sign * (leftOf(a) - leftOf(b)) || a - b).slice(0, count)
}

/** How much of a device is left, 0 to 1: what there is less of counts. */
export function sharesLeft(node: NodeGpus, room: DeviceRoom, i: number): number {
  return Math.max(0, Math.min(room.memory[i]! / node.memory[i]!, room.compute[i]! / 100))
}

function take(
  node: NodeGpus,
  request: GpuRequest,
  { i, room, held }: { readonly i: number; readonly room: DeviceRoom; readonly held?: DeviceRoom },
): void {
  const [memory, compute] = [memoryOf(node.memory[i]!, request), computeOf(request)]
  room.memory[i]! -= memory
  room.compute[i]! -= compute
  if (held === undefined) return
  held.memory[i]! += memory
  held.compute[i]! += compute
}

/** What others of the pod hold and do not use yet counts as free; what is used beyond that is taken as well. */
function chooseForInit(
  node: NodeGpus,
  demand: GpuDemand,
  { request, room, held }: Asked & { readonly held: DeviceRoom },
): readonly number[] | GpuShortage {
  const before = {
    memory: room.memory.map((left, i) => left + held.memory[i]!),
    compute: room.compute.map((left, i) => left + held.compute[i]!),
  }
  const extraOf = (i: number): readonly [memory: number, compute: number] => [
    Math.max(0, memoryOf(node.memory[i]!, request) - held.memory[i]!),
    Math.max(0, computeOf(request) - held.compute[i]!),
  ]
  const costs = new Map<number, number>()
  for (const i of fittingDevices(node, demand, { request, room: before })) {
    const [memory, compute] = extraOf(i)
    costs.set(i, memory / node.memory[i]! + compute / 100)
  }
  if (costs.size < request.count) return shortageOf(node, demand, { request, room: before })
  const cheapest = [...costs.keys()].toSorted((a, b) => costs.get(a)! - costs.get(b)! || a - b)
  const chosen = cheapest.slice(0, request.count)
  for (const i of chosen) {
    const [memory, compute] = extraOf(i)
    room.memory[i]! -= memory
    room.compute[i]! -= compute
    held.memory[i]! += memory
    held.compute[i]! += compute
  }
  return chosen
}

function grantOf(node: NodeGpus, request: GpuRequest, i: number): GpuGrant {
  const uuid = node.uuids[i]!
  const memoryMiB = memoryOf(node.memory[i]!, request)
  // All of a device is said the same way whoever asks for it.
  if (isWholeRequest(request) || (memoryMiB === node.memory[i] && request.compute === 100)) return { uuid }
  return { uuid, memoryMiB, ...(request.compute === undefined ? {} : { compute: request.compute }) }
}
