import {
  LOCAL_PROVISIONER,
  LOCAL_VOLUME_FINALIZER,
  LOCAL_VOLUME_NODE_LABEL,
  LOCAL_VOLUMES_ANNOTATION,
  OBJECT_NAME_LENGTH_MAX,
  PROVISIONED_BY,
  qualifyName,
  RESOURCE_PARTITION_ANNOTATION,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
  type Stored,
} from '@centaurus/api'
import type { Node, PersistentVolume, PersistentVolumeClaim } from '@centaurus/api/core/v1'
import type { StorageClass } from '@centaurus/api/storage/v1'
import { isDelayed, SELECTED_NODE } from '../volume-binding/plan.ts'

const HOSTNAME_LABEL = 'kubernetes.io/hostname'

/** The class that a new cluster has, and offers to its tenants. */
export const localStorageClass: StorageClass = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: {
    name: 'local',
    labels: { 'centaurus.io/offered': 'true' },
    annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
  },
  provisioner: LOCAL_PROVISIONER,
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'WaitForFirstConsumer',
}

export type ProvisioningPlan =
  | { readonly type: 'none' }
  | { readonly type: 'create'; readonly volume: PersistentVolume }
  /** Nothing helps but a change of the claim or its class. */
  | { readonly type: 'fail'; readonly message: string }
  /** The node will not do: the scheduler must choose again. */
  | { readonly type: 'reschedule'; readonly message: string }

export interface ProvisioningInput {
  readonly storageClass: StorageClass | undefined
  /** The one that the scheduler selected, by its name; undefined when there is none. */
  readonly node: Stored<Node> | undefined
  /** Resource partition of the node, which is told of the volume as long as there is one. */
  readonly resourcePartition?: string | undefined
}

/**
 * The volume to make for a claim: a folder of the selected node, named after the claim's uid, so that a second try makes the
 * same. Nothing limits its size to the request. Every access mode will do, since all pods of the claim run on that one node.
 */
export function planProvisioning(
  claim: Stored<PersistentVolumeClaim>,
  { storageClass, node, resourcePartition }: ProvisioningInput,
): ProvisioningPlan {
  const { metadata, spec } = claim
  const isOurs = storageClass?.provisioner === LOCAL_PROVISIONER && !spec?.volumeName
  if (!isOurs || metadata.deletionTimestamp !== undefined) return { type: 'none' }
  const selected = metadata.annotations?.[SELECTED_NODE]
  if (selected === undefined && isDelayed(storageClass)) return { type: 'none' }
  const failure = refuseClaim(claim, selected)
  if (failure !== undefined) return { type: 'fail', message: failure }
  const folder = node?.metadata.annotations?.[LOCAL_VOLUMES_ANNOTATION]
  const hostname = node?.metadata.labels?.[HOSTNAME_LABEL]
  if (node === undefined || !folder || hostname === undefined) {
    const why = node === undefined ? 'not found' : 'keeps no local volumes'
    return { type: 'reschedule', message: `failed to get target node: node "${selected}" ${why}` }
  }
  const place = { nodeName: node.metadata.name, folder, hostname, resourcePartition }
  return { type: 'create', volume: makeVolume(claim, storageClass, place) }
}

function refuseClaim({ spec }: PersistentVolumeClaim, selected: string | undefined): string | undefined {
  const prefix = 'failed to provision volume: '
  if (selected === undefined)
    return `${prefix}no node was specified: the storage class must have volumeBindingMode WaitForFirstConsumer`
  if (spec?.selector !== undefined) return `${prefix}claim Selector is not supported`
  if (spec?.dataSource !== undefined || spec?.dataSourceRef !== undefined)
    return `${prefix}claim data sources are not supported`
  if (spec?.volumeMode === 'Block') return `${prefix}${LOCAL_PROVISIONER} does not support block volume provisioning`
  return undefined
}

interface VolumePlace {
  readonly nodeName: string
  readonly folder: string
  readonly hostname: string
  readonly resourcePartition: string | undefined
}

function makeVolume(
  { metadata, spec }: Stored<PersistentVolumeClaim>,
  { reclaimPolicy = 'Delete', metadata: { name: storageClassName } }: StorageClass,
  { nodeName, folder, hostname, resourcePartition }: VolumePlace,
): PersistentVolume {
  const { namespace, name: claimName, uid, resourceVersion } = metadata
  const name = `pvc-${uid}`
  const tenant = metadata.annotations?.[TENANT_ANNOTATION] ?? SYSTEM_TENANT
  const onNode = { matchExpressions: [{ key: HOSTNAME_LABEL, operator: 'In', values: [hostname] }] }
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name: qualifyName(name, tenant, OBJECT_NAME_LENGTH_MAX),
      labels: { [LOCAL_VOLUME_NODE_LABEL]: nodeName },
      annotations: {
        [PROVISIONED_BY]: LOCAL_PROVISIONER,
        ...(resourcePartition === undefined ? {} : { [RESOURCE_PARTITION_ANNOTATION]: resourcePartition }),
      },
      finalizers: [LOCAL_VOLUME_FINALIZER],
    },
    spec: {
      accessModes: [...(spec?.accessModes ?? [])],
      capacity: { storage: spec?.resources?.requests?.['storage'] ?? '0' },
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: claimName, uid, resourceVersion },
      local: { path: `${folder.replace(/\/+$/, '')}/${name}` },
      nodeAffinity: { required: { nodeSelectorTerms: [onNode] } },
      persistentVolumeReclaimPolicy: reclaimPolicy,
      storageClassName,
      volumeMode: 'Filesystem',
    },
  }
}
