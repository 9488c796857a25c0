import { formatKey, type Stored } from '@centaurus/api'
import { type Pod } from '@centaurus/api/core/v1'
import type { Informer } from '@centaurus/client'

const INDEX = 'controllers/claims'

/** Keys of the claims that a pod uses, those of its ephemeral volumes included. Source: component-helpers storage/ephemeral VolumeClaimName, v0.37. */
export function claimKeysOf({ metadata, spec }: Readonly<Pod>): string[] {
  const namespace = metadata.namespace ?? ''
  return (spec?.volumes ?? []).flatMap((volume) => {
    if (volume.persistentVolumeClaim !== undefined)
      return [formatKey(namespace, volume.persistentVolumeClaim.claimName)]
    return volume.ephemeral === undefined ? [] : [formatKey(namespace, `${metadata.name}-${volume.name}`)]
  })
}

/** Makes {@link podsUsing} work. */
export function indexByClaim(informer: Informer<Pod>): void {
  informer.addIndex(INDEX, claimKeysOf)
}

export function podsUsing(informer: Informer<Pod>, claimKey: string): readonly Stored<Pod>[] {
  return informer.byIndex(INDEX, claimKey)
}
