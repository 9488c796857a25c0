import { ALL_TENANTS, splitQualifiedName, SYSTEM_TENANT } from '@centaurus/api'
import { standIn, type ClusterMap } from './cluster-map.ts'
import type { Target } from './target.ts'

/** Where a request goes. */
export type Route =
  /** To that partition, as it is. */
  | { readonly type: 'pass'; readonly partition: string }
  /** To that of the partitions which has the object; to the fallback when none has. */
  | {
      readonly type: 'locate'
      readonly partitions: readonly string[]
      readonly fallback: string
      /** Whether to look for it with the caller's rights instead of the gateway's. */
      readonly asCaller: boolean
    }
  /** A new object, whose name none of the partitions may have: to the fallback, or to the one that has the name and says so. */
  | { readonly type: 'place'; readonly partitions: readonly string[]; readonly fallback: string }
  /** A list or watch that is put together from those of all the partitions. */
  | { readonly type: 'merge'; readonly partitions: readonly string[]; readonly shows: MergedObjects }
  /** The deletion of a collection, in each of the partitions. */
  | { readonly type: 'broadcast'; readonly partitions: readonly string[] }
  | { readonly type: 'metrics'; readonly partitions: readonly string[] }
  /** The gateway's own health. */
  | { readonly type: 'health' }
  /** Nothing for clients of a gateway. */
  | { readonly type: 'absent' }
  | { readonly type: 'method-not-allowed' }
  /** Nobody knows yet where that is. */
  | { readonly type: 'unknown' }

/** Which of the partitions' objects a merged answer shows. */
export type MergedObjects =
  | 'everything'
  /** Of a tenant's objects those of its own partition, and not the copies that others hold for their nodes; all of `system`. */
  | 'originals'
  /** Of `system` only what home has, too: each partition has namespaces, roles … of its own. */
  | 'originals-and-home'
  /** Of what partitions know of each other's nodes one copy each: that of the first partition, and of its own nodes that of the second. */
  | 'copies'

export interface RouteQuestion {
  readonly method: string
  readonly target: Target
  /** Tenant of the credentials. */
  readonly callerTenant: string
}

/** Routes between partitions are for their members alone, which dial each other. */
const MEMBERS_PREFIX = '/partition/'
const HEALTH_PATH = /^\/(?:readyz|livez|healthz)(?:\/|$)/

/** Who keeps a kind's objects of the `system` tenant. */
type Keeper = 'home' | 'resource-partitions' | 'home-and-resource-partitions'

/** Kinds that belong to nodes, and so to resource partitions; by group and resource. */
const NODE_KINDS = new Set([
  '/nodes',
  'storage.k8s.io/csinodes',
  'centaurus.io/nodeallocations',
  'centaurus.io/networkreports',
  'centaurus.io/remotenodes',
  'certificates.k8s.io/certificatesigningrequests',
  'metrics.k8s.io/nodes',
])
/** Each partition with nodes has copies of all nodes but its own: two have all. */
const COPY_HOLDERS = 2
const NODE_LEASE_NAMESPACE = 'kube-node-lease'

/** Decides where a request goes. Pure. Users of a tenant never leave the partition of their tenant, whatever they ask for. */
export function chooseRoute(map: ClusterMap, question: RouteQuestion): Route {
  const { target, callerTenant } = question
  if (!target.isResource) {
    if (target.tenant === undefined && HEALTH_PATH.test(target.path)) return { type: 'health' }
    if (target.path.startsWith(MEMBERS_PREFIX)) return { type: 'absent' }
  }
  if (callerTenant !== SYSTEM_TENANT) return passTo(tenantPartition(map, callerTenant))
  const tenant = target.tenant ?? SYSTEM_TENANT
  if (tenant !== SYSTEM_TENANT && tenant !== ALL_TENANTS) return passTo(tenantPartition(map, tenant))
  if (map.home === undefined) return { type: 'unknown' }
  if (!target.isResource) {
    if (target.path === '/metrics') return { type: 'metrics', partitions: map.partitions }
    return passTo(map.home)
  }
  const keeper = keeperOf(target)
  if (keeper !== 'home') return routeNodeKind(map, question, keeper)
  return tenant === ALL_TENANTS ? routeAllView(map, question, map.home) : passTo(map.home)
}

function passTo(partition: string | undefined): Route {
  return partition === undefined ? { type: 'unknown' } : { type: 'pass', partition }
}

function tenantPartition(map: ClusterMap, tenant: string): string | undefined {
  return map.partitionOf(tenant) ?? standIn(map, tenant)
}

function keeperOf({ group, resource, namespace }: Target): Keeper {
  if (NODE_KINDS.has(`${group}/${resource}`)) return 'resource-partitions'
  if (group === 'coordination.k8s.io' && resource === 'leases' && namespace === NODE_LEASE_NAMESPACE) {
    return 'resource-partitions'
  }
  // what happens to nodes is told where they are
  if (resource === 'events' && (group === '' || group === 'events.k8s.io')) return 'home-and-resource-partitions'
  return 'home'
}

function routeNodeKind(map: ClusterMap, { method, target }: RouteQuestion, keeper: Exclude<Keeper, 'home'>): Route {
  const home = map.home!
  const isAll = target.tenant === ALL_TENANTS
  if (keeper === 'home-and-resource-partitions' && isAll && target.namespace !== '') {
    const tenant = splitQualifiedName(target.namespace)?.tenant
    if (tenant !== undefined && tenant !== SYSTEM_TENANT) return passTo(tenantPartition(map, tenant))
  }
  const others = keeper === 'resource-partitions' ? [] : isAll ? [home, ...map.tenantPartitions] : [home]
  const partitions = [...new Set([...others, ...map.resourcePartitions])].toSorted()
  // home first: it has the operators' own
  const fallback = partitions.includes(home) || partitions.length === 0 ? home : partitions[0]!
  if (partitions.length === 0) return passTo(home)
  const areCopies = target.resource === 'remotenodes'
  const holders = areCopies ? partitions.slice(0, COPY_HOLDERS) : partitions
  if (target.name !== '') return { type: 'locate', partitions: holders, fallback, asCaller: false }
  switch (method) {
    case 'GET':
    case 'HEAD': {
      const shows = areCopies ? 'copies' : others.length > 0 && isAll ? 'originals' : 'everything'
      return { type: 'merge', partitions: holders, shows }
    }
    case 'DELETE':
      return { type: 'broadcast', partitions }
    default:
      return keeper === 'resource-partitions' ? { type: 'place', partitions, fallback } : passTo(fallback)
  }
}

/** The view over all tenants of all partitions. Names there tell their tenant, unless they were shortened. */
function routeAllView(map: ClusterMap, { method, target }: RouteQuestion, home: string): Route {
  const qualified = target.namespace !== '' ? target.namespace : target.name
  if (qualified !== '') {
    const tenant = splitQualifiedName(qualified)?.tenant
    const partitions = map.tenantPartitions
    if (tenant === undefined) return { type: 'locate', partitions, fallback: home, asCaller: true }
    return passTo(tenant === SYSTEM_TENANT ? home : tenantPartition(map, tenant))
  }
  switch (method) {
    case 'GET':
    case 'HEAD':
      return { type: 'merge', partitions: map.tenantPartitions, shows: 'originals-and-home' }
    case 'DELETE': // each partition's own system objects would go with them
      return { type: 'method-not-allowed' }
    default:
      return passTo(home)
  }
}
