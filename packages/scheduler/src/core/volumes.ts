import type { PersistentVolume, PersistentVolumeClaim, Pod } from '@centaurus/api/core/v1'
import { compileNodeSelector, type NodeMatcher } from '@centaurus/api/scheduling'

/** What a pod's claims mean for its place. Source: scheduler framework/plugins/volumebinding, v1.37. */
export type VolumeRequirements =
  | { readonly type: 'ready'; readonly nodes: readonly NodeMatcher[] }
  /** No node will do before this changes. */
  | { readonly type: 'waiting'; readonly message: string }

export interface VolumeLookups {
  readonly claim: (namespace: string, name: string) => Readonly<PersistentVolumeClaim> | undefined
  readonly volume: (name: string) => Readonly<PersistentVolume> | undefined
}

/** Looks at each claim that the pod names; binding them is the volume binder's work. */
export function planVolumes(pod: Readonly<Pod>, lookups: VolumeLookups): VolumeRequirements {
  const nodes: NodeMatcher[] = []
  const namespace = pod.metadata.namespace ?? ''
  for (const name of claimNames(pod)) {
    const claim = lookups.claim(namespace, name)
    if (claim === undefined) return waiting(`persistentvolumeclaim "${name}" not found`)
    if (claim.metadata.deletionTimestamp !== undefined)
      return waiting(`persistentvolumeclaim "${name}" is being deleted`)
    if (claim.status?.phase === 'Lost')
      return waiting(
        `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec?.volumeName ?? ''}"`,
      )
    const volumeName = claim.spec?.volumeName
    if (!volumeName || claim.status?.phase !== 'Bound')
      return waiting('pod has unbound immediate PersistentVolumeClaims')
    const required = lookups.volume(volumeName)?.spec?.nodeAffinity?.required
    if (required !== undefined) nodes.push(compileNodeSelector(required))
  }
  return { type: 'ready', nodes }
}

/** Claims by name, those made for ephemeral volumes included. */
function claimNames(pod: Readonly<Pod>): string[] {
  return (pod.spec?.volumes ?? []).flatMap((volume) => {
    if (volume.persistentVolumeClaim !== undefined) return [volume.persistentVolumeClaim.claimName]
    return volume.ephemeral === undefined ? [] : [`${pod.metadata.name}-${volume.name}`]
  })
}

function waiting(message: string): VolumeRequirements {
  return { type: 'waiting', message }
}
