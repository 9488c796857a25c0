/** What the plugin tells people. */
import { parseGpuDeviceId, type GpuGrant } from '@centaurus/api/gpu'
import type { Pod } from '@centaurus/api/core/v1'
import { sharesOfPods, type KnownContainer } from '../containers/shares-of-pods.ts'
import type { HeldDevices } from '../plugin/pod-resources.ts'
import type { ContainerProfile } from '../profiler/core/profile-annotation.ts'
import type { Interference } from '../profiler/core/recommend.ts'
import type { Profiler } from '../profiler/profiler.ts'
import type { DeviceProbe, GpuUse, HostGpu, HostGpus } from '../sources/device-source.ts'

const MIB = 2 ** 20

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
  /** What it uses now; undefined: nothing has told. */
  readonly usedMemoryMiB?: number | undefined
  readonly usedPercent?: number | undefined
  /** What its type of job is known for. */
  readonly profile?: ContainerProfile | undefined
  /** Types of jobs beside which it works slower, or not; worst first. */
  readonly interference?: readonly Interference[] | undefined
}

export interface StatusInput {
  readonly node: string
  readonly kind: DeviceProbe['kind']
  readonly gpus: HostGpus
  readonly use: readonly GpuUse[]
  readonly pods: readonly Pod[]
  /** Undefined: the kubelet does not say. */
  readonly held: readonly HeldDevices[] | undefined
  /** What is known of the use of containers. */
  readonly profiler: Pick<Profiler, 'readings' | 'profileOf' | 'interferenceOf'>
  readonly problems: readonly (string | undefined)[]
}

/** Pure. */
export function describeGpus({ node, kind, gpus, use, pods, held, profiler, problems }: StatusInput): GpuStatus {
  const holders = findHolders({ pods, held: held ?? [], profiler })
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
function findHolders({
  pods,
  held,
  profiler,
}: Pick<StatusInput, 'pods' | 'profiler'> & { readonly held: readonly HeldDevices[] }): Map<string, DeviceHolder[]> {
  const holders = new Map<string, DeviceHolder[]>()
  const add = ({ uuid, memoryMiB, compute }: GpuGrant, holder: DeviceHolder): void => {
    const list = holders.get(uuid) ?? []
    list.push({ ...holder, memoryMiB, compute })
    holders.set(uuid, list)
  }
  const said = new Set<string>()
  for (const known of sharesOfPods(pods).values()) {
    const { pod, container, grants, priority, state } = known
    const { namespace = '', name = '' } = pod.metadata
    said.add(`${namespace}/${name}`)
    if (state !== 'active') continue
    const profile = profiler.profileOf(known)
    const interference = profiler.interferenceOf(known)
    for (const grant of grants)
      add(grant, {
        namespace,
        pod: name,
        container,
        priority,
        ...findUse(known, grant, profiler),
        ...(profile === undefined ? {} : { profile }),
        ...(interference.length === 0 ? {} : { interference }),
      })
  }
  for (const { namespace, pod, container, ids } of held) {
    if (said.has(`${namespace}/${pod}`)) continue
    for (const id of ids) add(parseGpuDeviceId(id), { namespace, pod, container })
  }
  return holders
}

function findUse(
  { pod, container }: KnownContainer,
  { uuid }: GpuGrant,
  { readings }: StatusInput['profiler'],
): Pick<DeviceHolder, 'usedMemoryMiB' | 'usedPercent'> {
  const found = readings.find(
    (reading) =>
      reading.uuid === uuid &&
      reading.container.container === container &&
      reading.container.pod.metadata.uid === pod.metadata.uid,
  )
  if (found === undefined) return {}
  const { memoryBytes, percent } = found.sample
  return { usedMemoryMiB: Math.ceil(memoryBytes / MIB), usedPercent: Math.round(percent) }
}
