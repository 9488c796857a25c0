/** The tenant of operators; every partition has its own. */
export const SYSTEM_TENANT = 'system'
/** Stands for every tenant of a partition at once; no tenant may be named so. */
export const ALL_TENANTS = 'all'

/** Which tenant an object of a view over all tenants belongs to. Set by the server, never stored. */
export const TENANT_ANNOTATION = 'centaurus.io/tenant'
/** The namespace as its tenant knows it, in views over all tenants. Set by the server, never stored. */
export const NAMESPACE_ANNOTATION = 'centaurus.io/namespace'
/** Resource partition of a bound pod's node. Written with the binding, durable. */
export const RESOURCE_PARTITION_ANNOTATION = 'centaurus.io/resource-partition'
/** Of a Binding: the scheduler's epoch, at which alone it holds. Never stored. */
export const EPOCH_ANNOTATION = 'centaurus.io/epoch'

/** On a copy of another partition's object: which partition keeps the original. Only in the store of a partition whose nodes need the copy. */
export const ORIGIN_ANNOTATION = 'centaurus.io/origin'
/** On a copy: revision of the original in its partition's store. */
export const ORIGIN_REVISION_ANNOTATION = 'centaurus.io/origin-revision'

/** ConfigMap in `kube-system`: what a tenant, or the operators for all, say of names outside of the cluster. */
export const DNS_SETTINGS_NAME = 'centaurus-dns'

/** Group of the client certificates with which partitions talk to each other. */
export const PARTITIONS_GROUP = 'system:partitions'
/** What the common name begins with; the partition's name follows. */
export const PARTITION_USER_PREFIX = 'system:partition:'
/** Group of the client certificates of gateways; the common name is `system:gateway`. */
export const GATEWAYS_GROUP = 'system:gateways'
/** An organization of a client certificate that begins so names the user's tenant instead of a group. */
export const TENANT_ORGANIZATION_PREFIX = 'tenant:'
/** Claim of service-account tokens that names the tenant; absent: `system`. */
export const TENANT_CLAIM = 'centaurus.io/tenant'
