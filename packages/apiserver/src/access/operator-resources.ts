import { SYSTEM_TENANT } from '../request/request-info.ts'
import { isView } from '../views/view-names.ts'
import type { AuthorizationAttributes } from './access.ts'

/**
 * What belongs to those who run the cluster, `group/resource`: in a tenant there are none of these but what operators put there, and
 * nobody makes any.
 */
const OPERATORS_RESOURCES = new Set([
  '/nodes',
  'apiregistration.k8s.io/apiservices',
  'centaurus.io/networkidentities',
  'centaurus.io/networkreports',
  'centaurus.io/nodeallocations',
  'centaurus.io/partitions',
  'centaurus.io/remotenodes',
  'centaurus.io/subnets',
  'centaurus.io/tenants',
  'certificates.k8s.io/certificatesigningrequests',
  'certificates.k8s.io/clustertrustbundles',
  'certificates.k8s.io/podcertificaterequests',
  'flowcontrol.apiserver.k8s.io/flowschemas',
  'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations',
  'internal.apiserver.k8s.io/storageversions',
  'networking.k8s.io/ipaddresses',
  'networking.k8s.io/servicecidrs',
  'node.k8s.io/runtimeclasses',
  'resource.k8s.io/deviceclasses',
  'resource.k8s.io/devicetaintrules',
  'resource.k8s.io/resourceslices',
  'storage.k8s.io/csidrivers',
  'storage.k8s.io/csinodes',
  'storage.k8s.io/csistoragecapacities',
  'storage.k8s.io/volumeattachments',
  'storagemigration.k8s.io/storageversionmigrations',
])

/**
 * Where pods run, at which addresses they and Services are, and which number their network has, is not for tenants to say: the server connects to what a
 * pod's status names, and nodes take traffic for what a Service's names and a network's number.
 */
const PLACEMENTS = new Set([
  '/bindings',
  '/pods/binding',
  '/pods/status',
  '/services/status',
  'centaurus.io/vpcs/status',
])

const READS = new Set(['get', 'list', 'watch'])

type AskedResource = Pick<
  AuthorizationAttributes,
  'tenant' | 'isResourceRequest' | 'verb' | 'group' | 'resource' | 'subresource'
>

/** True for a request inside a tenant that only operators may make, and these in the `system` tenant. */
export function isForOperators(attributes: AskedResource): boolean {
  const { tenant, isResourceRequest, verb, group, resource, subresource } = attributes
  if (tenant === SYSTEM_TENANT || isView(tenant) || !isResourceRequest) return false
  const name = `${group}/${resource}`
  if (name === '/nodes' && subresource !== '') return true
  if (READS.has(verb)) return false
  if (subresource !== '' && PLACEMENTS.has(`${name}/${subresource}`)) return true
  return OPERATORS_RESOURCES.has(name) || PLACEMENTS.has(name)
}
