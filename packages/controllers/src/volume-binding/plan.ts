import { PROVISIONED_BY, type Stored } from '@centaurus/api'
import type { PersistentVolume, PersistentVolumeClaim } from '@centaurus/api/core/v1'
import { compareCapacity, isVolumeFree, matchesClaim } from '@centaurus/api/scheduling'
import type { StorageClass } from '@centaurus/api/storage/v1'

/** On volumes and claims: the binder chose the other one, not a user. Source: component-helpers storage/volume AnnBoundByController, v0.37. */
export const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller'
/** On claims: node for which the scheduler wants a volume. */
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node'

/** Source: kubernetes pkg/controller/volume/persistentvolume findDeletablePlugin, v1.37. */
const NO_DELETER = 'no deletable volume plugin matched'
const NO_RECYCLER = 'No recycler plugin found for the volume!'

/**
 * The smallest volume that a claim can have: reserved for it, or free, of its class, modes, size and labels. A claim that is
 * `delayed` gets what is reserved for it and nothing else: the scheduler chooses, since it knows the node.
 * Source: FindMatchingVolume, component-helpers storage/volume v0.37.
 */
export function chooseVolume(
  claim: Stored<PersistentVolumeClaim>,
  volumes: readonly Stored<PersistentVolume>[],
  { delayed = false }: { readonly delayed?: boolean } = {},
): Stored<PersistentVolume> | undefined {
  const reserved = volumes.find((volume) => isReservedFor(volume, claim))
  if (reserved !== undefined || delayed) return reserved
  const fitting = volumes.filter((volume) => isVolumeFree(volume) && matchesClaim(volume, claim))
  return fitting.reduce<Stored<PersistentVolume> | undefined>(
    (best, volume) => (best === undefined || compareCapacity(volume, best) < 0 ? volume : best),
    undefined,
  )
}

/** A user, or a bind that was cut short, has reserved the volume. */
function isReservedFor({ spec, metadata }: Stored<PersistentVolume>, claim: Stored<PersistentVolumeClaim>): boolean {
  if (metadata.deletionTimestamp !== undefined) return false
  if (claim.spec?.volumeName)
    return metadata.name === claim.spec.volumeName && (spec?.claimRef === undefined || isClaimRef(spec.claimRef, claim))
  return spec?.claimRef !== undefined && isClaimRef(spec.claimRef, claim)
}

function isClaimRef(
  reference: { namespace?: string | undefined; name?: string | undefined; uid?: string | undefined },
  { metadata }: Stored<PersistentVolumeClaim>,
): boolean {
  const isNamed = reference.namespace === metadata.namespace && reference.name === metadata.name
  return isNamed && (reference.uid === undefined || reference.uid === '' || reference.uid === metadata.uid)
}

/** What becomes of a volume. */
export type VolumePlan =
  | { readonly type: 'phase'; readonly phase: string; readonly failure?: VolumeFailure | undefined }
  /** The claim is still being bound to it. */
  | { readonly type: 'wait' }
  /** The claim took another volume: give this one back. */
  | { readonly type: 'unbind' }

/** Reason and message of the warning. */
export interface VolumeFailure {
  readonly reason: string
  readonly message: string
}

/**
 * What a volume's phase should be, and whether it can be reclaimed. `claim` is the one that its reference names, if that still
 * exists. Whoever provisioned a volume removes it once it is Released. Source: syncVolume, pkg/controller/volume/persistentvolume v1.37.
 */
export function planVolume(
  volume: Stored<PersistentVolume>,
  claim: Stored<PersistentVolumeClaim> | undefined,
): VolumePlan {
  const { spec, metadata } = volume
  const reference = spec?.claimRef
  if (reference === undefined || !reference.uid) return { type: 'phase', phase: 'Available' } // free, or reserved
  if (claim?.metadata.uid !== reference.uid) return release(volume)
  const name = claim.spec?.volumeName ?? ''
  if (name === '') return { type: 'wait' }
  if (name === metadata.name) return { type: 'phase', phase: 'Bound' }
  const isSpare =
    metadata.annotations?.[PROVISIONED_BY] !== undefined && spec?.persistentVolumeReclaimPolicy === 'Delete'
  return isSpare ? release(volume) : { type: 'unbind' }
}

function release({ metadata, spec, status }: Stored<PersistentVolume>): VolumePlan {
  if (status?.phase === 'Failed') return { type: 'phase', phase: 'Failed' }
  const policy = spec?.persistentVolumeReclaimPolicy
  const isOthers = metadata.annotations?.[PROVISIONED_BY] !== undefined
  if (policy === 'Recycle')
    return { type: 'phase', phase: 'Failed', failure: { reason: 'VolumeFailedRecycle', message: NO_RECYCLER } }
  if (policy !== 'Delete' || isOthers) return { type: 'phase', phase: 'Released' }
  const message = `error getting deleter volume plugin for volume "${metadata.name}": ${NO_DELETER}`
  return { type: 'phase', phase: 'Failed', failure: { reason: 'VolumeFailedDelete', message } }
}

/** Why a claim without a volume stays so, or who must make one. */
export type UnboundPlan =
  | { readonly type: 'wait'; readonly reason: string; readonly message: string }
  | { readonly type: 'provision'; readonly provisioner: string; readonly message: string }
  | { readonly type: 'fail'; readonly message: string }
  /** It names a volume that is not there yet. */
  | { readonly type: 'none' }

/** `waitingPods` are the names of those that want the claim and have no node. Source: syncUnboundClaim, v1.37. */
export function planUnbound(
  { spec, metadata }: Stored<PersistentVolumeClaim>,
  { storageClass, waitingPods }: { storageClass: StorageClass | undefined; waitingPods: readonly string[] },
): UnboundPlan {
  if (spec?.volumeName) return { type: 'none' }
  const className = spec?.storageClassName ?? ''
  if (className === '') {
    const message = 'no persistent volumes available for this claim and no storage class is set'
    return { type: 'wait', reason: 'FailedBinding', message }
  }
  if (storageClass === undefined)
    return { type: 'fail', message: `storageclass.storage.k8s.io "${className}" not found` }
  if (isDelayed(storageClass) && metadata.annotations?.[SELECTED_NODE] === undefined) return waitForPods(waitingPods)
  const { provisioner } = storageClass
  if (provisioner === 'kubernetes.io/no-provisioner')
    return { type: 'fail', message: `no volume plugin matched name: ${provisioner}` }
  const message = `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`
  return { type: 'provision', provisioner, message }
}

function waitForPods(names: readonly string[]): UnboundPlan {
  const [only] = names
  if (only === undefined) {
    const message = 'waiting for first consumer to be created before binding'
    return { type: 'wait', reason: 'WaitForFirstConsumer', message }
  }
  const who = names.length === 1 ? `pod ${only}` : `pods ${names.join(',')}`
  return { type: 'wait', reason: 'WaitForPodScheduled', message: `waiting for ${who} to be scheduled` }
}

/** Whether claims of the class wait until a pod that uses them has a node. */
export function isDelayed(storageClass: StorageClass | undefined): boolean {
  return storageClass?.volumeBindingMode === 'WaitForFirstConsumer'
}
