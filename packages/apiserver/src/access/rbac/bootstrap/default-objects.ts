import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding } from '@centaurus/api/rbac/v1'
import { planAggregation } from '../aggregation.ts'
import { CLUSTER_BINDINGS, NAMESPACE_BINDINGS } from './bindings.ts'
import { CONTROLLER_ROLES } from './controller-roles.ts'
import { NAMESPACE_ROLES } from './namespace-roles.ts'
import { toClusterRole, toClusterRoleBinding, toRole, toRoleBinding } from './role-data.ts'
import { SYSTEM_ROLES } from './system-roles.ts'
import { USER_ROLES } from './user-roles.ts'

export interface DefaultObjects {
  readonly clusterRoles: readonly ClusterRole[]
  readonly clusterRoleBindings: readonly ClusterRoleBinding[]
  readonly roles: readonly Role[]
  readonly roleBindings: readonly RoleBinding[]
}

/** The roles and bindings that every cluster starts with; aggregated roles are filled in. */
export function defaultRbacObjects(): DefaultObjects {
  const entries = Object.entries({ ...USER_ROLES, ...SYSTEM_ROLES, ...CONTROLLER_ROLES })
  const clusterRoles = entries.map(([name, data]) => toClusterRole(name, data))
  // edit gathers view and admin gathers edit: three rounds reach the end
  for (let round = 0; round < 3; round++) {
    for (const { role, rules } of planAggregation(clusterRoles)) (role as ClusterRole).rules = [...rules]
  }
  const controllerBindings = Object.keys(CONTROLLER_ROLES).map((name) => {
    const account = name.replace('system:controller:', '')
    return toClusterRoleBinding(name, `ClusterRole:${name} -> ServiceAccount:kube-system:${account}`)
  })
  return {
    clusterRoles,
    clusterRoleBindings: [
      ...Object.entries(CLUSTER_BINDINGS).map(([name, text]) => toClusterRoleBinding(name, text)),
      ...controllerBindings,
    ],
    roles: Object.entries(NAMESPACE_ROLES).map(([key, data]) => toRole(key, data)),
    roleBindings: Object.entries(NAMESPACE_BINDINGS).map(([key, text]) => toRoleBinding(key, text)),
  }
}

/** Roles beyond {@link USER_ROLES} that make sense in a tenant, which has no nodes and no controllers of its own. */
const TENANT_SYSTEM_ROLES = [
  'system:auth-delegator',
  'system:basic-user',
  'system:discovery',
  'system:public-info-viewer',
  'system:service-account-issuer-discovery',
]

/** The roles and bindings that every tenant starts with: those for people. */
export function tenantRbacObjects(): DefaultObjects {
  const { clusterRoles, clusterRoleBindings } = defaultRbacObjects()
  const names = new Set([...Object.keys(USER_ROLES), ...TENANT_SYSTEM_ROLES])
  return {
    clusterRoles: clusterRoles.filter(({ metadata }) => names.has(metadata.name ?? '')),
    clusterRoleBindings: clusterRoleBindings.filter(({ metadata }) => names.has(metadata.name ?? '')),
    roles: [],
    roleBindings: [],
  }
}
