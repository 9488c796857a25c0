import type { KubeObject, ResourceType } from '@centaurus/api'

/** One resource of the tenant, and how many objects it has. */
export interface TenantContent {
  readonly type: ResourceType<KubeObject>
  readonly count: number
}

/**
 * What makes objects anew, or counts on others, goes before what it makes and counts on. Kinds that are not named go in between.
 * Definitions of custom resources come late: their objects may need someone to finish them. Roles come last: until then people see
 * what is left.
 */
const FIRST = [
  'apps/deployments',
  'apps/statefulsets',
  'apps/daemonsets',
  'batch/cronjobs',
  'batch/jobs',
  'apps/replicasets',
  '/replicationcontrollers',
  '/pods',
]
const LAST = [
  '/persistentvolumeclaims',
  '/persistentvolumes',
  '/namespaces',
  'apiextensions.k8s.io/customresourcedefinitions',
  'rbac.authorization.k8s.io/rolebindings',
  'rbac.authorization.k8s.io/roles',
  'rbac.authorization.k8s.io/clusterrolebindings',
  'rbac.authorization.k8s.io/clusterroles',
]

/** Waits for everything before it to be gone, so that nothing stays behind that only it could name. */
const BARRIERS = new Set(['/namespaces', 'apiextensions.k8s.io/customresourcedefinitions'])

/**
 * The resources whose objects are to be deleted now, in order; empty when nothing is left. Namespaces wait until they are empty, and
 * what has no namespace until these are gone, as when a namespace is deleted. Pure.
 */
export function planDeletion(content: readonly TenantContent[]): ResourceType<KubeObject>[] {
  const left = content.filter(({ count }) => count > 0).map(({ type }) => type)
  const sorted = left.toSorted((a, b) => rankOf(a) - rankOf(b))
  const namespaced = sorted.filter((type) => type.namespaced)
  if (namespaced.length > 0) return namespaced
  const steps: ResourceType<KubeObject>[] = []
  for (const type of sorted) {
    if (BARRIERS.has(keyOf(type)) && steps.length > 0) break
    steps.push(type)
    if (BARRIERS.has(keyOf(type))) break
  }
  return steps
}

function keyOf({ group, resource }: ResourceType<KubeObject>): string {
  return `${group}/${resource}`
}

function rankOf(type: ResourceType<KubeObject>): number {
  const first = FIRST.indexOf(keyOf(type))
  if (first >= 0) return first - FIRST.length
  return LAST.indexOf(keyOf(type)) + 1
}
