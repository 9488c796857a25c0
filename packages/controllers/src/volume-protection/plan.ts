import type { Stored } from '@centaurus/api'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '@centaurus/api/core/v1'

export const CLAIM_FINALIZER = 'kubernetes.io/pvc-protection'
export const VOLUME_FINALIZER = 'kubernetes.io/pv-protection'

/** What to do with an object's finalizer. `remove` only after asking the server, when what is at hand is a cache. */
export type ProtectionPlan = 'add' | 'remove' | 'keep'

/** Source: kubernetes pkg/controller/volume/protectionutil, v1.37. */
export function planProtection(
  { metadata }: Stored<PersistentVolumeClaim> | Stored<PersistentVolume>,
  { finalizer, used }: { readonly finalizer: string; readonly used: boolean },
): ProtectionPlan {
  const has = metadata.finalizers?.includes(finalizer) === true
  if (metadata.deletionTimestamp === undefined) return has ? 'keep' : 'add'
  return has && !used ? 'remove' : 'keep'
}

/** Whether a pod that has a node keeps the claim. Source: podUsesPVCForDeletion, pkg/controller/volume/pvcprotection v1.37. */
export function usesClaim(pod: Readonly<Pod>, claim: Stored<PersistentVolumeClaim>): boolean {
  const { metadata, spec } = pod
  if (!spec?.nodeName || metadata.namespace !== claim.metadata.namespace) return false
  // Its agent is done with it, or was told not to wait: the claim must not wait for finalizers of the pod.
  const isShutDown = metadata.deletionTimestamp !== undefined && metadata.deletionGracePeriodSeconds === 0
  const isOwner = claim.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid) === true
  return (spec.volumes ?? []).some(
    (volume) =>
      volume.persistentVolumeClaim?.claimName === claim.metadata.name ||
      (volume.ephemeral !== undefined &&
        !isShutDown &&
        isOwner &&
        `${metadata.name}-${volume.name}` === claim.metadata.name),
  )
}
