import type { KubeObject } from '../kinds/behavior.ts'
import type { OwnerReference } from '../generated/types/meta/v1.ts'

/** The reference whose `controller` is true; undefined when nothing controls the object. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true)
}

/** True when `owner` (by its uid) controls the object. */
export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  const uid = owner.metadata.uid
  return uid !== undefined && controllerOf(object)?.uid === uid
}

/** Reference to a stored object. A controller's reference blocks the owner's foreground deletion, as upstream's NewControllerRef. */
export function ownerReferenceTo(
  owner: KubeObject,
  options: { readonly isController?: boolean | undefined } = {},
): OwnerReference {
  const { apiVersion = '', kind = '', metadata } = owner
  const reference: OwnerReference = { apiVersion, kind, name: metadata.name ?? '', uid: metadata.uid ?? '' }
  if (options.isController ?? true) return { ...reference, controller: true, blockOwnerDeletion: true }
  return reference
}

/** True from the moment a deletion was accepted until the object is gone. */
export function isDeleting(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined
}
