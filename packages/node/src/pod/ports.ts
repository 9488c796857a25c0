import type { Container, Pod } from '@centaurus/api/core/v1'

import type { PortMapping } from '../runtime/config.ts'

/** Number of a port that may be given by name. Throws when the container has no port of that name. Source: probe.ResolveContainerPort, v1.37. */
export function resolvePort(port: number | string, container: Container): number {
  if (typeof port === 'number') return port
  const named = container.ports?.find(({ name }) => name === port)
  const number = named?.containerPort ?? Number(port)
  if (!Number.isInteger(number) || number <= 0 || number > 65535)
    throw new Error(`couldn't find port: ${port} in container ${container.name}`)
  return number
}

/** Ports of the host that the runtime forwards to the pod. */
export function portMappings(pod: Pod): PortMapping[] {
  if (pod.spec?.hostNetwork === true) return []
  return hostPorts(pod).map(({ port, containerPort, protocol, ip }) => ({
    protocol,
    containerPort,
    hostPort: port,
    hostIp: ip,
  }))
}

export interface HostPort {
  readonly port: number
  readonly containerPort: number
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly ip: string
}

/** Every port of the host that a pod takes; sidecars' too. */
export function hostPorts(pod: Pod): HostPort[] {
  const containers = [
    ...(pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always'),
    ...(pod.spec?.containers ?? []),
  ]
  return containers.flatMap((container) =>
    (container.ports ?? [])
      .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
      .map((port) => ({
        port: port.hostPort!,
        containerPort: port.containerPort,
        protocol: (port.protocol ?? 'TCP') as HostPort['protocol'],
        ip: port.hostIP ?? '',
      })),
  )
}
