import type { PersistentVolume } from '../../generated/types/core/v1.ts'

// What the control plane and node agents agree on for volumes that are folders of one node.

/** Provisioner of such volumes, in classes and in {@link PROVISIONED_BY}. */
export const LOCAL_PROVISIONER = 'centaurus.io/local'
/** Absolute path of the folder in which a node keeps them; a node without it can have none. */
export const LOCAL_VOLUMES_ANNOTATION = 'centaurus.io/local-volumes'
/** On volumes: the name of their node, so that its agent can watch them and no others. */
export const LOCAL_VOLUME_NODE_LABEL = 'centaurus.io/node'
/** Removed by the node's agent once the data is gone. */
export const LOCAL_VOLUME_FINALIZER = 'centaurus.io/local-volume'
/** Annotation of volumes: who made them. Source: component-helpers storage/volume AnnDynamicallyProvisioned, v0.37. */
export const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by'

/** Whether the volume is a folder that the node's agent makes, and removes when it is reclaimed. */
export function isLocalVolumeOf(nodeName: string, { metadata, spec }: Readonly<PersistentVolume>): boolean {
  return (
    metadata.annotations?.[PROVISIONED_BY] === LOCAL_PROVISIONER &&
    metadata.labels?.[LOCAL_VOLUME_NODE_LABEL] === nodeName &&
    spec?.local !== undefined
  )
}

/**
 * Whether the folder of a volume with policy Delete may be emptied: its claim is gone, or nobody has it and somebody deleted it.
 * Source: sig-storage-lib-external-provisioner shouldDelete, v11 (outcome).
 */
export function isLocalVolumeReclaimable({ metadata, spec, status }: Readonly<PersistentVolume>): boolean {
  if (spec?.persistentVolumeReclaimPolicy !== 'Delete') return false
  return status?.phase === 'Released' || (status?.phase === 'Available' && metadata.deletionTimestamp !== undefined)
}
