import {
  DNS_SETTINGS_NAME,
  LOCAL_PROVISIONER,
  LOCAL_VOLUME_NODE_LABEL,
  ORIGIN_ANNOTATION,
  PROVISIONED_BY,
  RESOURCE_PARTITION_ANNOTATION,
  type KubeObject,
} from '@centaurus/api'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '@centaurus/api/core/v1'
import { podReferences, volumeSecrets } from '@centaurus/apiserver'

export const PODS = 'core/pods'
const CLAIMS = 'core/persistentvolumeclaims'
export const VOLUMES = 'core/persistentvolumes'
const SECRETS = 'core/secrets'

/** What nodes need of a tenant as a whole, once they run one of its pods: names resolve, services balance and policies hold over all of it. */
export const TENANT_WIDE: readonly string[] = [
  'core/namespaces',
  'core/services',
  'discovery.k8s.io/endpointslices',
  'centaurus.io/vpcs',
  'centaurus.io/subnets',
  'centaurus.io/networkidentities',
  'networking.k8s.io/networkpolicies',
  'policy.networking.k8s.io/clusternetworkpolicies',
]

/** Single objects that nodes need too: what a tenant says of names outside of the cluster. */
export const TENANT_WIDE_OBJECTS: readonly { readonly resource: string; readonly key: string }[] = [
  { resource: 'core/configmaps', key: `kube-system/${DNS_SETTINGS_NAME}` },
]

/** Whether nodes need an object of every tenant that has pods there. */
export function isTenantWide(resource: string, key: string): boolean {
  return (
    TENANT_WIDE.includes(resource) ||
    TENANT_WIDE_OBJECTS.some((object) => object.resource === resource && object.key === key)
  )
}

/** What pods refer to. */
export const REFERRED: readonly string[] = [
  SECRETS,
  'core/configmaps',
  CLAIMS,
  VOLUMES,
  'core/serviceaccounts',
  'resource.k8s.io/resourceclaims',
  'node.k8s.io/runtimeclasses',
]

/** Everything of which there may be copies. */
export const RELAYED: readonly string[] = [PODS, ...TENANT_WIDE, ...REFERRED]

/** False for stored bytes of a pod or volume that can't be on a node of the partition; a cheap look before parsing it. */
export function mayBeOf(partition: string, value: Uint8Array): boolean {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return bytes.includes(`"${RESOURCE_PARTITION_ANNOTATION}":${JSON.stringify(partition)}`)
}

/** Resource partition whose node the pod is on; `''`: none, or the pod is itself a copy. */
export function partitionOfPod({ metadata, spec }: Readonly<Pod>): string {
  const { annotations } = metadata
  if ((spec?.nodeName ?? '') === '' || annotations?.[ORIGIN_ANNOTATION] !== undefined) return ''
  return annotations?.[RESOURCE_PARTITION_ANNOTATION] ?? ''
}

/** Resource partition whose node has the volume as a folder, and has to remove it when nobody uses it any more; `''`: none, or it is a copy. */
export function partitionOfVolume({ metadata: { annotations, labels } }: Readonly<PersistentVolume>): string {
  const isFolder =
    annotations?.[PROVISIONED_BY] === LOCAL_PROVISIONER && labels?.[LOCAL_VOLUME_NODE_LABEL] !== undefined
  return isFolder && annotations[ORIGIN_ANNOTATION] === undefined
    ? (annotations[RESOURCE_PARTITION_ANNOTATION] ?? '')
    : ''
}

/** What a node that has the object needs too, each as `resource/key` of the same tenant. Pure. */
export function referencesOf(resource: string, object: KubeObject): readonly string[] {
  switch (resource) {
    case PODS:
      return referencesOfPod(object as Pod)
    case CLAIMS: {
      const volume = (object as PersistentVolumeClaim).spec?.volumeName ?? ''
      return volume === '' ? [] : [`${VOLUMES}/${volume}`]
    }
    case VOLUMES:
      return [...new Set(volumeSecrets(object as PersistentVolume))].map((key) => `${SECRETS}/${key}`)
    default:
      return []
  }
}

function referencesOfPod(pod: Pod): string[] {
  const namespace = pod.metadata.namespace ?? ''
  const { secrets, configmaps, persistentvolumeclaims, resourceclaims, serviceaccounts } = podReferences(pod)
  const inNamespace = (resource: string, names: ReadonlySet<string>): string[] =>
    Array.from(names, (name) => `${resource}/${namespace}/${name}`)
  const runtimeClass = pod.spec?.runtimeClassName ?? ''
  return [
    ...inNamespace('core/serviceaccounts', serviceaccounts),
    ...inNamespace('core/configmaps', configmaps),
    ...inNamespace(SECRETS, secrets),
    ...inNamespace(CLAIMS, persistentvolumeclaims),
    ...inNamespace('resource.k8s.io/resourceclaims', resourceclaims),
    ...(runtimeClass === '' ? [] : [`node.k8s.io/runtimeclasses/${runtimeClass}`]),
  ]
}
