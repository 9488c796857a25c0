import { compareQuantities, parseQuantity, selectorFromObject, type Stored } from '@centaurus/api'
import type { PersistentVolume, PersistentVolumeClaim } from '@centaurus/api/core/v1'

/**
 * The smallest volume that a claim can have: reserved for it, or free, of its class, modes, size and labels.
 * Source: FindMatchingVolume, component-helpers storage/volume v0.37. Provisioning is not done.
 */
export function chooseVolume(
  claim: Stored<PersistentVolumeClaim>,
  volumes: readonly Stored<PersistentVolume>[],
): Stored<PersistentVolume> | undefined {
  const reserved = volumes.find((volume) => isReservedFor(volume, claim))
  if (reserved !== undefined) return reserved
  const fitting = volumes.filter((volume) => isFree(volume) && fits(volume, claim))
  return fitting.reduce<Stored<PersistentVolume> | undefined>(
    (best, volume) => (best === undefined || capacityOf(volume, best) < 0 ? volume : best),
    undefined,
  )
}

function capacityOf(a: PersistentVolume, b: PersistentVolume): number {
  return compareQuantities(
    parseQuantity(a.spec?.capacity?.['storage'] ?? '0'),
    parseQuantity(b.spec?.capacity?.['storage'] ?? '0'),
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

function isFree({ spec, status, metadata }: Stored<PersistentVolume>): boolean {
  return (
    spec?.claimRef === undefined &&
    metadata.deletionTimestamp === undefined &&
    (status?.phase ?? 'Available') !== 'Failed'
  )
}

function fits({ spec, metadata }: Stored<PersistentVolume>, claim: Stored<PersistentVolumeClaim>): boolean {
  const wanted = claim.spec ?? {}
  if (wanted.volumeName) return false
  if ((spec?.storageClassName ?? '') !== (wanted.storageClassName ?? '')) return false
  if ((spec?.volumeMode ?? 'Filesystem') !== (wanted.volumeMode ?? 'Filesystem')) return false
  if ((wanted.accessModes ?? []).some((mode) => !(spec?.accessModes ?? []).includes(mode))) return false
  if (wanted.selector !== undefined && !selectorFromObject(wanted.selector).matches(metadata.labels)) return false
  const size = wanted.resources?.requests?.['storage'] ?? '0'
  return compareQuantities(parseQuantity(spec?.capacity?.['storage'] ?? '0'), parseQuantity(size)) >= 0
}

/** What a volume's phase should be. `claim` is the one that its reference names, if that still exists with that uid. */
export function planVolumePhase(
  { spec, status }: PersistentVolume,
  claim: Stored<PersistentVolumeClaim> | undefined,
): string {
  const reference = spec?.claimRef
  if (reference === undefined) return 'Available'
  if (reference.uid === undefined || reference.uid === '') return 'Available' // reserved, not yet bound
  if (claim?.metadata.uid === reference.uid) return 'Bound'
  return status?.phase === 'Failed' ? 'Failed' : 'Released'
}
