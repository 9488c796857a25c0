import type { PersistentVolume, PersistentVolumeClaim } from '../generated/types/core/v1.ts'
import { compareQuantities, parseQuantity } from '../quantity/quantity.ts'
import { selectorFromObject } from '../selector/label-selector.ts'

/** Whether nobody has the volume, or reserved it. */
export function isVolumeFree({ spec, status, metadata }: Readonly<PersistentVolume>): boolean {
  return (
    spec?.claimRef === undefined &&
    metadata.deletionTimestamp === undefined &&
    (status?.phase ?? 'Available') !== 'Failed'
  )
}

/** Whether a volume has the class, modes, labels and size that the claim asks for. Source: FindMatchingVolume, component-helpers storage/volume v0.37. */
export function matchesClaim(
  { spec, metadata }: Readonly<PersistentVolume>,
  claim: Readonly<PersistentVolumeClaim>,
): boolean {
  const wanted = claim.spec ?? {}
  if (wanted.volumeName) return false
  if ((spec?.storageClassName ?? '') !== (wanted.storageClassName ?? '')) return false
  if ((spec?.volumeMode ?? 'Filesystem') !== (wanted.volumeMode ?? 'Filesystem')) return false
  if ((wanted.accessModes ?? []).some((mode) => !(spec?.accessModes ?? []).includes(mode))) return false
  if (wanted.selector !== undefined && !selectorFromObject(wanted.selector).matches(metadata.labels)) return false
  const size = wanted.resources?.requests?.['storage'] ?? '0'
  return compareQuantities(parseQuantity(spec?.capacity?.['storage'] ?? '0'), parseQuantity(size)) >= 0
}

/** Smaller volumes first. */
export function compareCapacity(a: Readonly<PersistentVolume>, b: Readonly<PersistentVolume>): number {
  return compareQuantities(
    parseQuantity(a.spec?.capacity?.['storage'] ?? '0'),
    parseQuantity(b.spec?.capacity?.['storage'] ?? '0'),
  )
}
