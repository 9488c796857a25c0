import { isPodTerminal, ownerReferenceTo, type Stored } from '@centaurus/api'
import type { PersistentVolumeClaim, Pod } from '@centaurus/api/core/v1'

/** Claims that the pod's ephemeral volumes need, its own and named after both. Source: pkg/controller/volume/ephemeral v1.37. */
export function planEphemeralClaims(pod: Stored<Pod>): PersistentVolumeClaim[] {
  if (pod.metadata.deletionTimestamp !== undefined || isPodTerminal(pod)) return []
  return (pod.spec?.volumes ?? []).flatMap(({ name, ephemeral }) => {
    const template = ephemeral?.volumeClaimTemplate
    if (template === undefined) return []
    const { labels, annotations } = template.metadata ?? {}
    const metadata = {
      name: `${pod.metadata.name}-${name}`,
      namespace: pod.metadata.namespace,
      labels,
      annotations,
      ownerReferences: [ownerReferenceTo(pod)],
    }
    return [{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec: { ...template.spec } }]
  })
}

/** Why an existing claim of that name cannot be the pod's; undefined: it is. Source: component-helpers storage/ephemeral VolumeIsForPod, v0.37. */
export function refuseForeignClaim(pod: Stored<Pod>, claim: Stored<PersistentVolumeClaim>): string | undefined {
  if (claim.metadata.ownerReferences?.some(({ uid, controller }) => controller === true && uid === pod.metadata.uid))
    return undefined
  const { namespace, name } = pod.metadata
  return `PVC ${namespace}/${claim.metadata.name} was not created for pod ${namespace}/${name} (pod is not owner)`
}
