import { podRequests } from '@centaurus/api'
import type { Pod, PodSpec } from '@centaurus/api/core/v1'
import type { Amounts, HostPort } from './model.ts'

/** What a pod takes of its node. */
export function roomOf({ spec }: Readonly<Pod>): { readonly requests: Amounts; readonly ports: readonly HostPort[] } {
  if (spec === undefined) return { requests: { pods: 1 }, ports: [] }
  return { requests: { ...podRequests(spec), pods: 1 }, ports: hostPortsOf(spec) }
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
