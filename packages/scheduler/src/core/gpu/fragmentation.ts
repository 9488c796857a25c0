import { GPU_DEVICES_MAX } from '@centaurus/api/gpu'
import { sharesLeft, type DeviceRoom } from './choose-devices.ts'
import type { NodeGpus } from './node-gpus.ts'
import { SHARE_STEPS, type DeviceNeeds, type MixOfPods } from './typical-pods.ts'

/** What a node has left. */
export interface NodeRoom {
  readonly devices: DeviceRoom
  readonly cpuMillicores: number
  readonly memoryBytes: number
}

// One node is looked at at a time: devices of which as much is left are looked at once.
const alike = {
  count: 0,
  first: new Uint8Array(GPU_DEVICES_MAX),
  devices: new Uint8Array(GPU_DEVICES_MAX),
  left: new Float64Array(GPU_DEVICES_MAX),
  needs: [] as DeviceNeeds[],
}

/**
 * GPUs that are free on a node and of no use to the pods that come, as is to be expected: the mean over them of what each would leave. A pod that does
 * not fit leaves all. Of one that fits, one takes its part of each device; what it leaves of a device counts as far as some pod may want it, and all of
 * it as far as there are processors and memory for so many pods.
 * Source: the fragmentation measure of "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", ATC 2023; there
 * all of a device is of use once one pod fits it, and processors are enough for any number once they are for one.
 */
export function fragmentation(node: NodeGpus, room: NodeRoom, mix: MixOfPods): number {
  const free = gatherAlike(node, room.devices)
  if (free <= 0) return 0
  for (let g = 0; g < alike.count; g++) alike.needs[g] = mix.needsOf(node.kinds[alike.first[g]!]!)
  let wasted = 0
  for (let pod = 0; pod < mix.size; pod++) wasted += mix.weights[pod]! * Math.max(0, free - usableBy(room, mix, pod))
  return wasted
}

/** GPUs that are free on a node, in parts, healthy ones. */
export function freeGpus(node: NodeGpus, room: DeviceRoom): number {
  let free = 0
  for (let i = 0; i < node.count; i++) if (node.healthy[i] === 1) free += sharesLeft(node, room, i)
  return free
}

/** Devices of which nobody knows whether they are free are of no use, as are broken ones. Returns how much is left of all others. */
function gatherAlike(node: NodeGpus, room: DeviceRoom): number {
  alike.count = 0
  let free = 0
  for (let i = 0; i < node.count; i++) {
    const left = sharesLeft(node, room, i)
    if (left <= 0 || node.healthy[i] === 0 || (node.unknown > 0 && node.isUntouched(i))) continue
    free += left
    let g = 0
    while (g < alike.count && !isAlike(node, room, { i, other: alike.first[g]! })) g++
    if (g < alike.count) {
      alike.devices[g]!++
      continue
    }
    alike.count++
    alike.first[g] = i
    alike.devices[g] = 1
    alike.left[g] = left
  }
  return free
}

/** Whether two devices are the same to every pod. */
export function isAlike(
  node: NodeGpus,
  room: DeviceRoom,
  { i, other }: { readonly i: number; readonly other: number },
): boolean {
  return (
    room.memory[i] === room.memory[other] &&
    room.compute[i] === room.compute[other] &&
    node.kinds[i] === node.kinds[other]
  )
}

function usableBy({ devices, cpuMillicores, memoryBytes }: NodeRoom, mix: MixOfPods, pod: number): number {
  const cpu = mix.cpuMillicores[pod]!
  const memory = mix.memoryBytes[pod]!
  if (cpu > cpuMillicores || memory > memoryBytes) return 0
  let fitting = 0
  let usable = 0
  let pods = 0
  for (let g = 0; g < alike.count; g++) {
    const need = alike.needs[g]!
    const first = alike.first[g]!
    if (need.memoryMiB[pod]! > devices.memory[first]! || need.compute[pod]! > devices.compute[first]!) continue
    const share = need.shares[pod]!
    const rest = alike.left[g]! - share
    const used = rest <= 0 ? share : share + rest * need.chances[Math.floor(rest * SHARE_STEPS + 1e-9)]!
    fitting += alike.devices[g]!
    usable += alike.devices[g]! * used
    pods += (alike.devices[g]! * used) / share
  }
  const together = mix.counts[pod]!
  if (fitting < together) return 0
  pods /= together
  return (
    usable * Math.min(1, cpu === 0 ? 1 : cpuMillicores / (cpu * pods), memory === 0 ? 1 : memoryBytes / (memory * pods))
  )
}
