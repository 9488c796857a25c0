import type { Stored } from '@centaurus/api'
import { DEFAULT_VPC, VPC_ANNOTATION } from '@centaurus/api/centaurus/v1'
import type { Pod, Service } from '@centaurus/api/core/v1'

/** Names in a message. */
const NAMES_MAX = 5

/** A Service is of one network, as pods are. Pods in their node's network have its address, which means the same in each. */
export function isOfNetwork(service: Readonly<Service>, pod: Readonly<Pod>): boolean {
  return pod.spec?.hostNetwork === true || vpcOf(pod) === vpcOf(service)
}

/** Which of the pods that a Service selects are no endpoints of it, as a sentence; undefined: none. Pure. */
export function describeStrangers(service: Readonly<Service>, pods: readonly Stored<Pod>[]): string | undefined {
  const strangers = pods.filter((pod) => !isOfNetwork(service, pod))
  if (strangers.length === 0) return undefined
  const names = strangers.map(({ metadata }) => metadata.name).toSorted()
  const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : ''
  const [vpc] = strangers.map(vpcOf).toSorted()
  return (
    `It is of Vpc "${vpcOf(service)}", and pods that it selects are of another one, so they are no endpoints: ` +
    `${names.slice(0, NAMES_MAX).join(', ')}${more}; for pods of Vpc "${vpc}" make a Service with the annotation ${VPC_ANNOTATION}: ${vpc}`
  )
}

function vpcOf({ metadata }: Readonly<Service> | Readonly<Pod>): string {
  return metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC
}
