import type { Container, Pod } from '@centaurus/api/core/v1'
import type { NamedPort } from './program.ts'

/** Ports of a pod that policies can know by name: those of its containers, and of init containers that stay. */
export function namedPortsOf({ spec }: Pod): NamedPort[] {
  const staying = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...(spec?.containers ?? []), ...staying].flatMap(portsOf)
}

function portsOf({ ports = [] }: Container): NamedPort[] {
  return ports.flatMap(({ name, protocol = 'TCP', containerPort }) =>
    name !== undefined && (protocol === 'TCP' || protocol === 'UDP' || protocol === 'SCTP')
      ? [{ name, protocol, port: containerPort }]
      : [],
  )
}
