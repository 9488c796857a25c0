/** What the plugin tells people. */
import { parseGpuDeviceId, type GpuGrant } from '@centaurus/api/gpu'
import type { Pod } from '@centaurus/api/core/v1'
import { sharesOfPods } from '../containers/shares-of-pods.ts'
import type { HeldDevices } from '../plugin/pod-resources.ts'
import type { DeviceProbe, GpuUse, HostGpu, HostGpus } from '../sources/device-source.ts'

export interface GpuStatus {
  readonly node: string
  readonly kind: DeviceProbe['kind']
  readonly driverVersion: string
  /** What does not work, in sentences. */
  readonly problems: readonly string[]
  readonly devices: readonly DeviceStatus[]
  readonly links: HostGpus['links']
}

export interface DeviceStatus extends HostGpu {
  readonly gpuPercent?: number | undefined
  readonly memoryUsedMiB?: number | undefined
  /** Processes on it. */
  readonly processes: number
  readonly holders: readonly DeviceHolder[]
}

/** A container that has the device, or a part of it. */
export interface DeviceHolder {
  /** As node agents see it: of a tenant's pod it says the tenant. */
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly memoryMiB?: number | undefined
  readonly compute?: number | undefined
  readonly priority?: number | undefined
}

export interface StatusInput {
  readonly node: string
  readonly kind: DeviceProbe['kind']
  readonly gpus: HostGpus
  readonly use: readonly GpuUse[]
  readonly pods: readonly Pod[]
  /** Undefined: the kubelet does not say. */
  readonly held: readonly HeldDevices[] | undefined
  readonly problems: readonly (string | undefined)[]
}

/** Pure. */
export function describeGpus({ node, kind, gpus, use, pods, held, problems }: StatusInput): GpuStatus {
  const holders = findHolders(pods, held ?? [])
  return {
    node,
    kind,
    driverVersion: gpus.driverVersion,
    problems: problems.filter((problem) => problem !== undefined),
    devices: gpus.devices.map((device) => {
      const used = use.find(({ uuid }) => uuid === device.uuid)
      return {
        ...device,
        gpuPercent: used?.gpuPercent,
        memoryUsedMiB: used?.memoryUsedMiB,
        processes: used?.processes.length ?? 0,
        holders: holders.get(device.uuid) ?? [],
      }
    }),
    links: gpus.links,
  }
}

/** By uuid. Pods that the scheduler gave devices say so themselves, of the others the kubelet knows. */
function findHolders(pods: readonly Pod[], held: readonly HeldDevices[]): Map<string, DeviceHolder[]> {
  const holders = new Map<string, DeviceHolder[]>()
  const add = ({ uuid, memoryMiB, compute }: GpuGrant, holder: DeviceHolder): void => {
    const list = holders.get(uuid) ?? []
    list.push({ ...holder, memoryMiB, compute })
    holders.set(uuid, list)
  }
  const said = new Set<string>()
  for (const { pod, container, grants, priority, state } of sharesOfPods(pods).values()) {
    const { namespace = '', name = '' } = pod.metadata
    said.add(`${namespace}/${name}`)
    if (state === 'active') for (const grant of grants) add(grant, { namespace, pod: name, container, priority })
  }
  for (const { namespace, pod, container, ids } of held) {
    if (said.has(`${namespace}/${pod}`)) continue
    for (const id of ids) add(parseGpuDeviceId(id), { namespace, pod, container })
  }
  return holders
}
