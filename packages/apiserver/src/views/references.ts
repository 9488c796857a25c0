import { findKind } from '@centaurus/api'

/** `group/resource` of the stored form; the core group's is `core`. */
export type ResourceKey = string

export const NAMESPACES: ResourceKey = 'core/namespaces'
const VPCS: ResourceKey = 'centaurus.io/vpcs'
const QUEUES: ResourceKey = 'centaurus.io/queues'

/**
 * A place in an object that names another one which the view shows under another name. `path` is of members, `*` stands for each
 * element of a list.
 */
export type Reference =
  /** The text is the name of a namespace, or of an object without namespace of that resource. */
  | { readonly type: 'name'; readonly path: readonly string[]; readonly resource: ResourceKey }
  /** The value has `kind`, `namespace` and `name`, like `core/v1.ObjectReference`. */
  | { readonly type: 'object'; readonly path: readonly string[] }
  /** The value has `kind` and `name` of a role; only cluster roles have no namespace. */
  | { readonly type: 'role'; readonly path: readonly string[] }
  /** The value is a selector of namespaces by their labels, of which it means the tenant's own. */
  | { readonly type: 'namespaces'; readonly path: readonly string[] }

/**
 * Every reference of the built-in kinds that the view must translate. References within a namespace need none, and neither do
 * templates: who makes objects of them makes them in the tenant's namespace, where their names are right. Selectors of namespaces in
 * network policies stay as they are: each tenant's are compiled by themselves, against its own namespaces.
 */
const REFERENCES: Readonly<Record<ResourceKey, readonly Reference[]>> = {
  'core/events': [object('involvedObject'), object('related')],
  'core/endpoints': [object('subsets.*.addresses.*.targetRef'), object('subsets.*.notReadyAddresses.*.targetRef')],
  'discovery.k8s.io/endpointslices': [object('endpoints.*.targetRef')],
  'core/pods': [
    name('spec.runtimeClassName', 'node.k8s.io/runtimeclasses'),
    ...affinityNamespaces('podAffinity'),
    ...affinityNamespaces('podAntiAffinity'),
    name('spec.volumes.*.ephemeral.volumeClaimTemplate.spec.storageClassName', 'storage.k8s.io/storageclasses'),
  ],
  'core/persistentvolumes': [
    object('spec.claimRef'),
    name('spec.storageClassName', 'storage.k8s.io/storageclasses'),
    name('spec.volumeAttributesClassName', 'storage.k8s.io/volumeattributesclasses'),
    ...[
      'spec.csi.controllerPublishSecretRef',
      'spec.csi.nodeStageSecretRef',
      'spec.csi.nodePublishSecretRef',
      'spec.csi.controllerExpandSecretRef',
      'spec.csi.nodeExpandSecretRef',
      'spec.rbd.secretRef',
      'spec.cephfs.secretRef',
      'spec.iscsi.secretRef',
      'spec.flexVolume.secretRef',
      'spec.scaleIO.secretRef',
    ].map((path) => name(`${path}.namespace`, NAMESPACES)),
    name('spec.azureFile.secretNamespace', NAMESPACES),
    name('spec.glusterfs.endpointsNamespace', NAMESPACES),
    object('spec.storageos.secretRef'),
  ],
  'core/persistentvolumeclaims': [
    name('spec.volumeName', 'core/persistentvolumes'),
    name('spec.storageClassName', 'storage.k8s.io/storageclasses'),
    name('spec.volumeAttributesClassName', 'storage.k8s.io/volumeattributesclasses'),
    name('spec.dataSourceRef.namespace', NAMESPACES),
    name('status.currentVolumeAttributesClassName', 'storage.k8s.io/volumeattributesclasses'),
  ],
  'storage.k8s.io/csistoragecapacities': [name('storageClassName', 'storage.k8s.io/storageclasses')],
  'rbac.authorization.k8s.io/rolebindings': [name('subjects.*.namespace', NAMESPACES), role('roleRef')],
  'rbac.authorization.k8s.io/clusterrolebindings': [name('subjects.*.namespace', NAMESPACES), role('roleRef')],
  'networking.k8s.io/ingresses': [name('spec.ingressClassName', 'networking.k8s.io/ingressclasses')],
  'centaurus.io/networkidentities': [name('spec.namespace', NAMESPACES), name('spec.vpc', VPCS)],
  'centaurus.io/queues': [name('spec.parent', QUEUES)],
  'centaurus.io/queuedworkloads': [name('spec.queueName', QUEUES)],
  'centaurus.io/subnets': [name('spec.vpc', VPCS)],
  'apiregistration.k8s.io/apiservices': [name('spec.service.namespace', NAMESPACES)],
  'apiextensions.k8s.io/customresourcedefinitions': [
    name('spec.conversion.webhook.clientConfig.service.namespace', NAMESPACES),
  ],
  'admissionregistration.k8s.io/mutatingwebhookconfigurations': [
    name('webhooks.*.clientConfig.service.namespace', NAMESPACES),
  ],
  'admissionregistration.k8s.io/validatingwebhookconfigurations': [
    name('webhooks.*.clientConfig.service.namespace', NAMESPACES),
  ],
  'admissionregistration.k8s.io/validatingadmissionpolicybindings': [
    name('spec.policyName', 'admissionregistration.k8s.io/validatingadmissionpolicies'),
    name('spec.paramRef.namespace', NAMESPACES),
  ],
}

/** What belongs to the partition and not to a tenant: never renamed, and only the `system` tenant's is in the view. */
const OF_SYSTEM: ReadonlySet<ResourceKey> = new Set([
  'core/nodes',
  'core/componentstatuses',
  'networking.k8s.io/ipaddresses',
  'networking.k8s.io/servicecidrs',
  'flowcontrol.apiserver.k8s.io/flowschemas',
  'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations',
  'internal.apiserver.k8s.io/storageversions',
  'certificates.k8s.io/certificatesigningrequests',
  'storage.k8s.io/csidrivers',
  'storage.k8s.io/csinodes',
  'storage.k8s.io/volumeattachments',
  'resource.k8s.io/resourceslices',
  'resource.k8s.io/devicetaintrules',
  'centaurus.io/partitions',
  'centaurus.io/tenants',
  'centaurus.io/nodeallocations',
  'centaurus.io/networkreports',
  'centaurus.io/remotenodes',
])

/** Ours that tenants have and that are renamed, by kind. */
const OWN_KINDS: Readonly<Record<string, ResourceKey>> = {
  Vpc: VPCS,
  Subnet: 'centaurus.io/subnets',
  NetworkIdentity: 'centaurus.io/networkidentities',
}

const NONE: readonly Reference[] = []

export function referencesOf(resource: ResourceKey): readonly Reference[] {
  return REFERENCES[resource] ?? NONE
}

export function isOfSystem(resource: ResourceKey): boolean {
  return OF_SYSTEM.has(resource)
}

/** The resource of a kind whose objects have no namespace and are renamed; undefined for all others, and for kinds that nobody knows. */
export function renamedResource(apiVersion: string, kind: string): ResourceKey | undefined {
  const slash = apiVersion.indexOf('/')
  const group = slash < 0 ? '' : apiVersion.slice(0, slash)
  if (apiVersion === 'centaurus.io/v1') return OWN_KINDS[kind]
  const info = findKind(group, apiVersion.slice(slash + 1), kind)
  if (info === undefined || info.namespaced) return undefined
  const resource = `${info.storageGroup === '' ? 'core' : info.storageGroup}/${info.resource}`
  return isOfSystem(resource) ? undefined : resource
}

function affinityNamespaces(affinity: string): Reference[] {
  const terms = [
    `spec.affinity.${affinity}.requiredDuringSchedulingIgnoredDuringExecution.*`,
    `spec.affinity.${affinity}.preferredDuringSchedulingIgnoredDuringExecution.*.podAffinityTerm`,
  ]
  return terms.flatMap((term): Reference[] => [
    name(`${term}.namespaces.*`, NAMESPACES),
    { type: 'namespaces', path: `${term}.namespaceSelector`.split('.') },
  ])
}

function name(path: string, resource: ResourceKey): Reference {
  return { type: 'name', path: path.split('.'), resource }
}

function object(path: string): Reference {
  return { type: 'object', path: path.split('.') }
}

function role(path: string): Reference {
  return { type: 'role', path: path.split('.') }
}
