import { ALL_TENANTS, forbidden, notFound, type KubeObject } from '@centaurus/api'
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef } from '@centaurus/api/rbac/v1'
import type { CheckedWrite, WriteCheck } from '../../extension.ts'
import { SYSTEM_TENANT } from '../../request/request-info.ts'
import type { AuthorizationAttributes, Authorizer } from '../access.ts'
import { MASTERS_GROUP } from '../operator-groups.ts'
import type { PolicyScope, PolicySource } from './tenant-policies.ts'
import { compactRules, formatRule, quoteList, uncoveredRules } from './rule.ts'

const RBAC_GROUP = 'rbac.authorization.k8s.io'
const FULL_AUTHORITY: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]

export interface EscalationDeps {
  readonly policies: PolicySource
  /** Everything that the server asks, for the verbs `escalate` and `bind`. */
  readonly authorizer: Authorizer
}

/**
 * Refuses roles and bindings that would give more than their author holds, unless the author may `escalate` or `bind`.
 * Source: pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go (v1.37).
 */
export function createEscalationChecks(deps: EscalationDeps): WriteCheck[] {
  const roleCheck = (write: CheckedWrite): void => checkRole(write, deps)
  const bindingCheck = (write: CheckedWrite): void => checkBinding(write, deps)
  return [
    { group: RBAC_GROUP, resource: 'roles', check: roleCheck },
    { group: RBAC_GROUP, resource: 'clusterroles', check: roleCheck },
    { group: RBAC_GROUP, resource: 'rolebindings', check: bindingCheck },
    { group: RBAC_GROUP, resource: 'clusterrolebindings', check: bindingCheck },
  ]
}

function checkRole(write: CheckedWrite, deps: EscalationDeps): void {
  const { object, old, user, info } = write
  if (write.operation === 'delete' || object === undefined || isTrusted(write)) return
  const name = object.metadata.name ?? ''
  if (isAllowed(deps, write, { verb: 'escalate', resource: info.resource, name: info.name, namespace: info.namespace }))
    return
  if (old !== undefined && sameBesidesCollection(object, old)) return
  const role = object as Role | ClusterRole
  confirmHeld(write, deps, role.rules ?? [])
  const aggregates = isAggregated(object) || (old !== undefined && isAggregated(old))
  if (!aggregates) return
  const held = deps.policies.rulesFor(user, info).rules
  if (uncoveredRules(held, FULL_AUTHORITY).length === 0) return
  throw forbidden(
    { group: RBAC_GROUP, resource: info.resource },
    name,
    'must have cluster-admin privileges to use an aggregationRule',
  )
}

function checkBinding(write: CheckedWrite, deps: EscalationDeps): void {
  const { object, old, info } = write
  if (write.operation === 'delete' || object === undefined || isTrusted(write)) return
  if (old !== undefined && sameBesidesCollection(object, old)) return
  const { roleRef } = object as RoleBinding | ClusterRoleBinding
  const resource = roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles'
  if (isAllowed(deps, write, { verb: 'bind', resource, name: roleRef.name, namespace: info.namespace })) return
  confirmHeld(write, deps, rulesOfRole(deps.policies, roleRef, info))
}

function rulesOfRole(policies: PolicySource, roleRef: RoleRef, scope: PolicyScope): readonly PolicyRule[] {
  const rules = policies.rulesOfRole(roleRef, scope)
  if (rules !== undefined) return rules
  throw notFound(
    { group: RBAC_GROUP, resource: roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles' },
    roleRef.name,
  )
}

function confirmHeld({ object, user, info }: CheckedWrite, deps: EscalationDeps, wanted: readonly PolicyRule[]): void {
  const { rules, errors } = deps.policies.rulesFor(user, info)
  const missing = uncoveredRules(rules, wanted)
  if (missing.length === 0) return
  const lines = [...new Set(compactRules(missing).map(formatRule))].toSorted()
  const resolution = errors.length === 0 ? '' : `; resolution errors: [${errors.join(', ')}]`
  const who = `user ${JSON.stringify(user.name)} (groups=${quoteList(user.groups)})`
  const why = `${who} is attempting to grant RBAC permissions not currently held:\n${lines.join('\n')}${resolution}`
  throw forbidden({ group: RBAC_GROUP, resource: info.resource }, object?.metadata.name ?? '', why)
}

/** Operators, a tenant's administrators in it, and the partition's own controllers, which give workers of a job what they need. */
function isTrusted({ user, info }: CheckedWrite): boolean {
  if (!user.groups.includes(MASTERS_GROUP)) return false
  return user.tenant === SYSTEM_TENANT || user.tenant === ALL_TENANTS || user.tenant === info.tenant
}

function isAllowed(
  { authorizer }: EscalationDeps,
  { user, info }: CheckedWrite,
  asked: Pick<AuthorizationAttributes, 'verb' | 'resource' | 'name' | 'namespace'>,
): boolean {
  const attributes = {
    ...asked,
    user,
    tenant: info.tenant,
    isResourceRequest: true,
    path: '',
    group: RBAC_GROUP,
    version: '*',
    subresource: '',
  }
  return authorizer.authorize(attributes).allowed
}

function isAggregated(object: KubeObject): boolean {
  return (object as ClusterRole).aggregationRule !== undefined
}

/** The garbage collector may take finalizers and owners off, whoever it is. Source: pkg/registry/rbac/helpers.go IsOnlyMutatingGCFields. */
function sameBesidesCollection(object: KubeObject, old: KubeObject): boolean {
  const strip = (value: KubeObject): string => {
    const {
      ownerReferences: _owners,
      finalizers: _finalizers,
      managedFields: _fields,
      resourceVersion: _version,
      ...metadata
    } = value.metadata
    return JSON.stringify(sortKeys({ ...value, metadata }))
  }
  return strip(object) === strip(old)
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, entry]) => [key, sortKeys(entry)]),
  )
}
