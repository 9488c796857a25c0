import type { Pod } from '@centaurus/api/core/v1'
import { namedPortsOf } from '../policy/named-ports.ts'
import type { PodFacts } from '../policy/policy-world.ts'
import { ownNamespaceOf } from './tenants.ts'

/** What policies see of a pod at an address. */
export function podFactsOf(pod: Pod, ip: string): PodFacts {
  return { namespace: ownNamespaceOf(pod), labels: pod.metadata.labels ?? {}, ip, namedPorts: namedPortsOf(pod) }
}
