import { ownerReferenceTo, type Stored } from '@centaurus/api'
import type { StatefulSet } from '@centaurus/api/apps/v1'
import type { PersistentVolumeClaim, Pod, PodTemplateSpec, Volume } from '@centaurus/api/core/v1'
import type { OwnerReference } from '@centaurus/api/meta/v1'
import { buildPod } from '../frame/pods.ts'
import { REVISION_HASH_LABEL } from '../frame/revisions.ts'

const POD_NAME_LABEL = 'statefulset.kubernetes.io/pod-name'
const POD_INDEX_LABEL = 'apps.kubernetes.io/pod-index'

export function podName(set: StatefulSet, ordinal: number): string {
  return `${set.metadata.name}-${ordinal}`
}

/** The ordinal that a pod's name says; undefined when the name is not one of this set's. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const match = /^(.*)-(\d+)$/.exec(pod.metadata.name ?? '')
  return match !== null && match[1] === set.metadata.name ? Number(match[2]) : undefined
}

export function startOrdinal({ spec }: StatefulSet): number {
  return spec.ordinals?.start ?? 0
}

export function isInRange(set: StatefulSet, ordinal: number): boolean {
  const start = startOrdinal(set)
  return ordinal >= start && ordinal < start + (set.spec.replicas ?? 1)
}

/** The name of the revision that a pod was made from. */
export function podRevision({ metadata }: Pod): string {
  return metadata.labels?.[REVISION_HASH_LABEL] ?? ''
}

export interface StatefulPodInit {
  readonly ordinal: number
  readonly template: PodTemplateSpec
  /** Name of the revision that the template comes from. */
  readonly revision: string
}

/** A pod with its stable name, host name and claims. Source: newStatefulSetPod, stateful_set_utils.go v1.37. */
export function buildStatefulPod(set: Stored<StatefulSet>, { ordinal, template, revision }: StatefulPodInit): Pod {
  const pod = buildPod(template, set)
  const name = podName(set, ordinal)
  const { generateName: _generateName, ...metadata } = pod.metadata
  const labels = {
    ...metadata.labels,
    [POD_NAME_LABEL]: name,
    [POD_INDEX_LABEL]: String(ordinal),
    [REVISION_HASH_LABEL]: revision,
  }
  const { serviceName } = set.spec
  return {
    ...pod,
    metadata: { ...metadata, name, labels },
    spec: {
      ...pod.spec!,
      hostname: name,
      ...(serviceName ? { subdomain: serviceName } : {}),
      volumes: claimVolumes(set, ordinal, pod.spec?.volumes ?? []),
    },
  }
}

function claimVolumes(set: StatefulSet, ordinal: number, volumes: readonly Volume[]): Volume[] {
  const templates = set.spec.volumeClaimTemplates ?? []
  const names = new Set(templates.map(({ metadata }) => metadata.name))
  const claims = templates.map(({ metadata }): Volume => ({
    name: metadata.name!,
    persistentVolumeClaim: { claimName: claimName(set, metadata.name!, ordinal) },
  }))
  return [...claims, ...volumes.filter(({ name }) => !names.has(name))]
}

export function claimName(set: StatefulSet, template: string, ordinal: number): string {
  return `${template}-${set.metadata.name}-${ordinal}`
}

/** The claims that a pod of this ordinal needs. */
export function buildClaims(set: Stored<StatefulSet>, ordinal: number): PersistentVolumeClaim[] {
  return (set.spec.volumeClaimTemplates ?? []).map((template) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      ...template.metadata,
      name: claimName(set, template.metadata.name!, ordinal),
      namespace: set.metadata.namespace,
      labels: { ...template.metadata.labels, ...set.spec.selector.matchLabels },
    },
    spec: template.spec!,
  }))
}

/**
 * Owners that a claim should have by the retention policy; undefined when they are right, or somebody else controls the claim.
 * Source: updateClaimOwnerRefForSetAndPod, stateful_set_utils.go v1.37.
 */
export function planClaimOwners(
  set: Stored<StatefulSet>,
  claim: PersistentVolumeClaim,
  { pod, ordinal }: { readonly pod: Stored<Pod> | undefined; readonly ordinal: number },
): OwnerReference[] | undefined {
  const { whenDeleted = 'Retain', whenScaled = 'Retain' } = set.spec.persistentVolumeClaimRetentionPolicy ?? {}
  const current = claim.metadata.ownerReferences ?? []
  const isOurs = ({ uid }: OwnerReference): boolean =>
    uid === set.metadata.uid || (pod !== undefined && uid === pod.metadata.uid)
  const others = current.filter((owner) => !isOurs(owner))
  if (others.some(({ controller }) => controller === true)) return undefined
  const isCondemned = !isInRange(set, ordinal)
  const owners = [...others]
  if (whenScaled === 'Delete' && isCondemned) {
    if (pod === undefined) return undefined
    owners.push({ ...ownerReferenceTo(pod), apiVersion: 'v1', kind: 'Pod' })
  } else if (whenDeleted === 'Delete') owners.push(ownerReferenceTo(set))
  const key = (list: readonly OwnerReference[]): string =>
    JSON.stringify(list.map(({ uid, controller }) => `${uid}/${controller}`).toSorted())
  return key(owners) === key(current) ? undefined : owners
}
