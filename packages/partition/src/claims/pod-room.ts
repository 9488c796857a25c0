import type { Pod, PodSpec } from '@centaurus/api/core/v1'
import {
  deviceAmounts,
  GPU_ALLOCATION_ANNOTATION,
  gpuRolesOf,
  gpuUseOf,
  parseGpuAllocation,
  podMentionsGpu,
  summedRequests,
} from '@centaurus/api/gpu'
import type { Amounts, HostPort } from './model.ts'

/** What a pod takes of its node, its devices included once they are written on it. */
export function roomOf(pod: Readonly<Pod>): { readonly requests: Amounts; readonly ports: readonly HostPort[] } {
  const { spec } = pod
  if (spec === undefined) return { requests: { pods: 1 }, ports: [] }
  return { requests: { ...summedRequests(spec), pods: 1, ...devicesOf(pod, spec) }, ports: hostPortsOf(spec) }
}

function devicesOf({ metadata }: Readonly<Pod>, spec: Readonly<PodSpec>): Amounts {
  const text = metadata.annotations?.[GPU_ALLOCATION_ANNOTATION]
  if (text === undefined || !podMentionsGpu({ metadata, spec })) return {}
  try {
    return deviceAmounts(gpuUseOf(parseGpuAllocation(text), gpuRolesOf(spec)))
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

/** Source: GetHostPorts, kube-scheduler util/utils.go v1.37: containers and sidecars. */
function hostPortsOf({ containers, initContainers = [] }: Readonly<PodSpec>): HostPort[] {
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...containers, ...sidecars].flatMap(({ ports = [] }) =>
    ports
      .filter(({ hostPort = 0 }) => hostPort > 0)
      .map(({ hostIP, protocol = 'TCP', hostPort }) => ({ ip: hostIP || '0.0.0.0', protocol, port: hostPort! })),
  )
}

/** A pod that a node agent runs from its own files, and shows to the API. */
export function isMirrorPod({ metadata }: Readonly<Pod>): boolean {
  return metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined
}
