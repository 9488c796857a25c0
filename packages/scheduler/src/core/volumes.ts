import type { Stored } from '@centaurus/api'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '@centaurus/api/core/v1'
import {
  compareCapacity,
  compileNodeSelector,
  isVolumeFree,
  matchesClaim,
  type NodeMatcher,
} from '@centaurus/api/scheduling'
import type { StorageClass } from '@centaurus/api/storage/v1'

/** On claims: node for which a volume is to be made. Source: component-helpers storage/volume AnnSelectedNode, v0.37. */
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node'
const NO_PROVISIONER = 'kubernetes.io/no-provisioner'

const UNBOUND = 'pod has unbound immediate PersistentVolumeClaims'
/** Reasons for each node. Source: framework/plugins/volumebinding/binder.go and volumerestrictions, v1.37. */
const MISSING_VOLUME = 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)'
const IN_USE =
  'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod'

/** What a pod's claims mean for its place. Source: scheduler framework/plugins/volumebinding, v1.37. */
export type VolumeRequirements =
  | {
      readonly type: 'ready'
      /** Nodes from which the bound volumes can be reached. */
      readonly nodes: readonly NodeMatcher[]
      /** Claims that get a volume once the pod has a node; undefined when there are none. */
      readonly choice: VolumeChoice | undefined
    }
  /** No node will do before this changes. */
  | { readonly type: 'waiting'; readonly message: string }
  /** Every node is refused for this reason. */
  | { readonly type: 'refused'; readonly reason: string }

export interface VolumeLookups {
  readonly claim: (namespace: string, name: string) => Stored<PersistentVolumeClaim> | undefined
  readonly volume: (name: string) => Stored<PersistentVolume> | undefined
  readonly volumesOfClass: (name: string) => readonly Stored<PersistentVolume>[]
  readonly storageClass: (name: string) => StorageClass | undefined
  /** Whether another pod that waits for its volumes was promised this one. */
  readonly isPromised: (volumeName: string) => boolean
  /** Whether another pod that has a node, or was just given one, uses the claim. */
  readonly isUsedByOther: (namespace: string, name: string, podUid: string) => boolean
}

/** What a claim gets on the node that was chosen. */
export interface VolumeBinding {
  readonly claim: Stored<PersistentVolumeClaim>
  /** Undefined: a provisioner makes one. */
  readonly volume: Stored<PersistentVolume> | undefined
}

/** Claims that wait for their first consumer, with what could become theirs. */
export interface VolumeChoice {
  /** One binding a claim; undefined when the node cannot serve them all. */
  bindingsOn(labels: Readonly<Record<string, string>>, nodeName: string): readonly VolumeBinding[] | undefined
}

interface OpenClaim {
  readonly claim: Stored<PersistentVolumeClaim>
  readonly storageClass: StorageClass
  /** Smallest first. */
  readonly candidates: readonly Candidate[]
}

interface Candidate {
  readonly volume: Stored<PersistentVolume>
  readonly nodes: NodeMatcher | undefined
}

export interface PodClaim {
  readonly name: string
  readonly isEphemeral: boolean
}

/** Looks at each claim that the pod uses. Cost: for an open claim, each volume of its class. */
export function planVolumes(pod: Stored<Pod>, lookups: VolumeLookups): VolumeRequirements {
  const nodes: NodeMatcher[] = []
  const open: OpenClaim[] = []
  for (const { name, isEphemeral } of claimsOf(pod)) {
    const claim = lookups.claim(pod.metadata.namespace ?? '', name)
    const obstacle = findObstacle(pod, claim, { name, isEphemeral })
    if (claim === undefined || obstacle !== undefined) return { type: 'waiting', message: obstacle ?? '' }
    const isExclusive = claim.spec?.accessModes?.includes('ReadWriteOncePod') === true
    if (isExclusive && lookups.isUsedByOther(claim.metadata.namespace ?? '', name, pod.metadata.uid))
      return { type: 'refused', reason: IN_USE }
    if (claim.spec?.volumeName) {
      if (claim.status?.phase !== 'Bound') return { type: 'waiting', message: UNBOUND }
      const volume = lookups.volume(claim.spec.volumeName)
      if (volume === undefined) return { type: 'refused', reason: MISSING_VOLUME }
      const required = volume.spec?.nodeAffinity?.required
      if (required !== undefined) nodes.push(compileNodeSelector(required))
      continue
    }
    const storageClass = lookups.storageClass(claim.spec?.storageClassName ?? '')
    if (storageClass?.volumeBindingMode !== 'WaitForFirstConsumer') return { type: 'waiting', message: UNBOUND }
    if (!open.some((other) => other.claim === claim)) open.push(openClaim(claim, storageClass, lookups))
  }
  return { type: 'ready', nodes, choice: open.length === 0 ? undefined : chooseAmong(open) }
}

/** Why the pod must wait for this claim, whatever the node. */
function findObstacle(
  { metadata }: Stored<Pod>,
  claim: Stored<PersistentVolumeClaim> | undefined,
  { name, isEphemeral }: PodClaim,
): string | undefined {
  if (claim === undefined) {
    return isEphemeral
      ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`
      : `persistentvolumeclaim "${name}" not found`
  }
  if (claim.status?.phase === 'Lost')
    return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec?.volumeName ?? ''}"`
  if (claim.metadata.deletionTimestamp !== undefined) return `persistentvolumeclaim "${name}" is being deleted`
  const isOwner = claim.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid) === true
  if (!isEphemeral || isOwner) return undefined
  const namespace = metadata.namespace ?? ''
  return `PVC ${namespace}/${name} was not created for pod ${namespace}/${metadata.name} (pod is not owner)`
}

function openClaim(
  claim: Stored<PersistentVolumeClaim>,
  storageClass: StorageClass,
  lookups: VolumeLookups,
): OpenClaim {
  // Once a node was selected a volume is being made there: taking another one would waste it.
  const isSelected = claim.metadata.annotations?.[SELECTED_NODE] !== undefined
  const volumes = isSelected ? [] : lookups.volumesOfClass(storageClass.metadata.name ?? '')
  const candidates = volumes
    .filter(
      (volume) => isVolumeFree(volume) && !lookups.isPromised(volume.metadata.name) && matchesClaim(volume, claim),
    )
    .toSorted(compareCapacity)
    .map((volume) => {
      const required = volume.spec?.nodeAffinity?.required
      return { volume, nodes: required === undefined ? undefined : compileNodeSelector(required) }
    })
  return { claim, storageClass, candidates }
}

function chooseAmong(open: readonly OpenClaim[]): VolumeChoice {
  return {
    bindingsOn(labels, nodeName) {
      const taken = new Set<string>()
      const bindings: VolumeBinding[] = []
      for (const { claim, storageClass, candidates } of open) {
        const found = candidates.find(
          ({ volume, nodes }) => !taken.has(volume.metadata.name) && (nodes?.matches(labels, nodeName) ?? true),
        )
        if (found === undefined && !canProvision(claim, storageClass, { labels, nodeName })) return undefined
        if (found !== undefined) taken.add(found.volume.metadata.name)
        bindings.push({ claim, volume: found?.volume })
      }
      return bindings
    },
  }
}

/** Source: checkVolumeProvisions, framework/plugins/volumebinding/binder.go v1.37; storage capacity is not looked at. */
function canProvision(
  claim: Stored<PersistentVolumeClaim>,
  { provisioner, allowedTopologies = [] }: StorageClass,
  { labels, nodeName }: { labels: Readonly<Record<string, string>>; nodeName: string },
): boolean {
  const selected = claim.metadata.annotations?.[SELECTED_NODE]
  if (selected !== undefined && selected !== nodeName) return false
  if (provisioner === NO_PROVISIONER) return false
  if (allowedTopologies.length === 0) return true
  return allowedTopologies.some(({ matchLabelExpressions = [] }) =>
    matchLabelExpressions.every(({ key, values }) => labels[key] !== undefined && values.includes(labels[key])),
  )
}

/** Claims by name, those made for ephemeral volumes included. */
export function claimsOf({ metadata, spec }: Readonly<Pod>): PodClaim[] {
  return (spec?.volumes ?? []).flatMap((volume): PodClaim[] => {
    if (volume.persistentVolumeClaim !== undefined)
      return [{ name: volume.persistentVolumeClaim.claimName, isEphemeral: false }]
    return volume.ephemeral === undefined ? [] : [{ name: `${metadata.name}-${volume.name}`, isEphemeral: true }]
  })
}
