import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  RoleRef,
  Subject,
} from '@centaurus/api/rbac/v1'
import { clusterrolebindings, clusterroles, rolebindings, roles } from '@centaurus/api/rbac/v1'
import type { UserInfo } from '../../request/request-info.ts'
import type { ObjectReader } from '../../resource/object-reader.ts'
import type { AuthorizationAttributes, AuthorizationDecision } from '../access.ts'
import { defaultRbacObjects } from './bootstrap/default-objects.ts'
import { combinedResource, compileRule, ruleAllowsPath, ruleAllowsResource, type CompiledRule } from './rule.ts'

/** Compiled rules of one user are forgotten beyond so many namespaces: they are made again in microseconds. */
const NAMESPACES_PER_USER_MAX = 256
const DENIED: AuthorizationDecision = Object.freeze({ allowed: false, reason: '' })

/** A rule that a user holds, and why. */
interface Grant {
  readonly compiled: CompiledRule
  readonly decision: AuthorizationDecision
}

/** What a user may do in one scope, indexed by resource so that a decision looks at few rules. */
interface GrantIndex {
  /** Sequence number of the newest change that it contains. */
  readonly changedAt: number
  readonly byResource: ReadonlyMap<string, readonly Grant[]>
  /** Those with `*` or `*``/sub` among their resources. */
  readonly wild: readonly Grant[]
  readonly paths: readonly Grant[]
  readonly all: readonly Grant[]
  /** Bindings whose role does not exist. */
  readonly missing: readonly string[]
}

interface UserGrants {
  cluster: GrantIndex | undefined
  readonly namespaces: Map<string, GrantIndex>
}

interface Binding {
  readonly name: string
  /** '' for a ClusterRoleBinding. */
  readonly namespace: string
  readonly roleRef: RoleRef
  readonly subjects: readonly Subject[]
}

/** Bindings of one scope (the cluster, or one namespace), by the users and groups that they name. */
class BindingScope {
  /** Sequence number of the last change. */
  changedAt = 0
  readonly bindings = new Map<string, Binding>()
  readonly #bySubject = new Map<string, Set<Binding>>()

  put(binding: Binding, sequence: number): void {
    this.remove(binding.name, sequence)
    this.bindings.set(binding.name, binding)
    for (const subject of binding.subjects) {
      const key = subjectKey(subject, binding.namespace)
      if (key === undefined) continue
      const found = this.#bySubject.get(key)
      if (found === undefined) this.#bySubject.set(key, new Set([binding]))
      else found.add(binding)
    }
  }

  remove(name: string, sequence: number): void {
    this.changedAt = sequence
    const binding = this.bindings.get(name)
    if (binding === undefined) return
    this.bindings.delete(name)
    for (const subject of binding.subjects) {
      const key = subjectKey(subject, binding.namespace)
      if (key === undefined) continue
      const found = this.#bySubject.get(key)
      found?.delete(binding)
      if (found?.size === 0) this.#bySubject.delete(key)
    }
  }

  /** Bindings that name the user or one of its groups, each once. */
  of(user: UserInfo): Set<Binding> {
    const found = new Set<Binding>(this.#bySubject.get(`u:${user.name}`))
    for (const group of user.groups) for (const binding of this.#bySubject.get(`g:${group}`) ?? []) found.add(binding)
    return found
  }
}

/**
 * The RBAC objects of one tenant, kept ready to decide: bindings by subject, rules compiled, and for each `UserInfo` object (the
 * authenticators hand out the same one again) its grants by resource. A decision takes about 0.2 µs; a change of a role or binding
 * is taken in as it comes and costs the users that are asked about next, not all. Source of the rules: plugin/pkg/auth/authorizer/rbac (v1.37).
 */
export class RbacPolicy {
  readonly #clusterRoles = new Map<string, readonly CompiledRule[]>()
  readonly #roles = new Map<string, Map<string, readonly CompiledRule[]>>()
  readonly #cluster = new BindingScope()
  readonly #namespaces = new Map<string, BindingScope>()
  readonly #users = new WeakMap<UserInfo, UserGrants>()
  /** Numbers the changes. */
  #sequence = 0
  /** The last change that may concern every scope. */
  #clusterRolesChangedAt = 0

  authorize(attributes: AuthorizationAttributes): AuthorizationDecision {
    const grants = this.#grantsOf(attributes.user)
    const cluster = this.#clusterIndex(attributes.user, grants)
    const granted = findGrant(cluster, attributes)
    if (granted !== undefined) return granted
    if (attributes.namespace === '') return refusal(cluster.missing)
    const local = this.#namespaceIndex(attributes.user, grants, attributes.namespace)
    return findGrant(local, attributes) ?? refusal([...cluster.missing, ...local.missing])
  }

  /** By ClusterRoleBindings alone, whatever the namespace. */
  authorizeClusterWide(attributes: AuthorizationAttributes): AuthorizationDecision {
    const { user } = attributes
    const cluster = this.#clusterIndex(user, this.#grantsOf(user))
    return findGrant(cluster, attributes) ?? refusal(cluster.missing)
  }

  /** Every rule that the user holds in the namespace ('' for the cluster alone), in the order of bindings. */
  rulesFor(
    user: UserInfo,
    namespace: string,
  ): { readonly rules: readonly PolicyRule[]; readonly errors: readonly string[] } {
    const grants = this.#grantsOf(user)
    const indexes = [this.#clusterIndex(user, grants)]
    if (namespace !== '') indexes.push(this.#namespaceIndex(user, grants, namespace))
    return {
      rules: indexes.flatMap((index) => index.all.map((grant) => grant.compiled.rule)),
      errors: indexes.flatMap((index) => index.missing),
    }
  }

  /** Rules of the role that a binding in `namespace` refers to; undefined when there is none. */
  rulesOfRole(roleRef: RoleRef, namespace: string): readonly PolicyRule[] | undefined {
    return this.#compiledRole(roleRef, namespace)?.map((compiled) => compiled.rule)
  }

  putClusterRole(role: ClusterRole): void {
    this.#clusterRoles.set(role.metadata.name ?? '', compileRules(role.rules ?? []))
    this.#clusterRolesChangedAt = ++this.#sequence
  }

  removeClusterRole(name: string): void {
    this.#clusterRoles.delete(name)
    this.#clusterRolesChangedAt = ++this.#sequence
  }

  putRole(role: Role): void {
    const namespace = role.metadata.namespace ?? ''
    let found = this.#roles.get(namespace)
    if (found === undefined) this.#roles.set(namespace, (found = new Map()))
    found.set(role.metadata.name ?? '', (role.rules ?? []).map(compileRule))
    this.#touch(namespace)
  }

  removeRole(namespace: string, name: string): void {
    const found = this.#roles.get(namespace)
    found?.delete(name)
    if (found?.size === 0) this.#roles.delete(namespace)
    this.#touch(namespace)
  }

  putClusterRoleBinding(binding: ClusterRoleBinding): void {
    this.#cluster.put(toBinding(binding, ''), ++this.#sequence)
  }

  removeClusterRoleBinding(name: string): void {
    this.#cluster.remove(name, ++this.#sequence)
  }

  putRoleBinding(binding: RoleBinding): void {
    const namespace = binding.metadata.namespace ?? ''
    let scope = this.#namespaces.get(namespace)
    if (scope === undefined) this.#namespaces.set(namespace, (scope = new BindingScope()))
    scope.put(toBinding(binding, namespace), ++this.#sequence)
  }

  removeRoleBinding(namespace: string, name: string): void {
    const scope = this.#namespaces.get(namespace)
    if (scope === undefined) return
    scope.remove(name, ++this.#sequence)
    if (scope.bindings.size === 0) this.#namespaces.delete(namespace)
  }

  #touch(namespace: string): void {
    const scope = this.#namespaces.get(namespace)
    if (scope !== undefined) scope.changedAt = ++this.#sequence
  }

  #grantsOf(user: UserInfo): UserGrants {
    let grants = this.#users.get(user)
    if (grants === undefined) this.#users.set(user, (grants = { cluster: undefined, namespaces: new Map() }))
    return grants
  }

  #clusterIndex(user: UserInfo, grants: UserGrants): GrantIndex {
    const changedAt = Math.max(this.#clusterRolesChangedAt, this.#cluster.changedAt)
    if (grants.cluster?.changedAt === changedAt) return grants.cluster
    return (grants.cluster = this.#buildIndex(this.#cluster, user, changedAt))
  }

  #namespaceIndex(user: UserInfo, grants: UserGrants, namespace: string): GrantIndex {
    const scope = this.#namespaces.get(namespace)
    const changedAt = Math.max(this.#clusterRolesChangedAt, scope?.changedAt ?? 0)
    const found = grants.namespaces.get(namespace)
    if (found?.changedAt === changedAt) return found
    if (grants.namespaces.size >= NAMESPACES_PER_USER_MAX) grants.namespaces.clear()
    const built = this.#buildIndex(scope, user, changedAt)
    grants.namespaces.set(namespace, built)
    return built
  }

  #buildIndex(scope: BindingScope | undefined, user: UserInfo, changedAt: number): GrantIndex {
    const all: Grant[] = []
    const missing: string[] = []
    for (const binding of scope?.of(user) ?? []) {
      const rules = this.#compiledRole(binding.roleRef, binding.namespace)
      if (rules === undefined) {
        missing.push(describeMissing(binding.roleRef))
        continue
      }
      const decision = Object.freeze({ allowed: true, reason: describeBinding(binding, user) })
      for (const compiled of rules) all.push({ compiled, decision })
    }
    return indexGrants(all, missing, changedAt)
  }

  #compiledRole(roleRef: RoleRef, namespace: string): readonly CompiledRule[] | undefined {
    if (roleRef.kind === 'ClusterRole') return this.#clusterRoles.get(roleRef.name)
    return roleRef.kind === 'Role' ? this.#roles.get(namespace)?.get(roleRef.name) : undefined
  }
}

/** Fills `policy` from the cache and keeps it up to date. Returns the function that stops. */
export function followRbac(policy: RbacPolicy, reader: ObjectReader, tenant: string): () => void {
  const options = { tenant }
  const stops = [
    reader.onChange(
      clusterroles,
      (event) =>
        event.type === 'DELETED' ? policy.removeClusterRole(event.name) : policy.putClusterRole(event.object()),
      options,
    ),
    reader.onChange(
      roles,
      (event) =>
        event.type === 'DELETED' ? policy.removeRole(event.namespace, event.name) : policy.putRole(event.object()),
      options,
    ),
    reader.onChange(
      clusterrolebindings,
      (event) =>
        event.type === 'DELETED'
          ? policy.removeClusterRoleBinding(event.name)
          : policy.putClusterRoleBinding(event.object()),
      options,
    ),
    reader.onChange(
      rolebindings,
      (event) =>
        event.type === 'DELETED'
          ? policy.removeRoleBinding(event.namespace, event.name)
          : policy.putRoleBinding(event.object()),
      options,
    ),
  ]
  for (const role of reader.list(clusterroles, undefined, options)) policy.putClusterRole(role)
  for (const role of reader.list(roles, undefined, options)) policy.putRole(role)
  for (const binding of reader.list(clusterrolebindings, undefined, options)) policy.putClusterRoleBinding(binding)
  for (const binding of reader.list(rolebindings, undefined, options)) policy.putRoleBinding(binding)
  return () => stops.forEach((stop) => stop())
}

/** Every tenant has the default roles, with the same rules: these are compiled once and shared. */
let defaultRules: ReadonlyMap<string, readonly CompiledRule[]> | undefined

function compileRules(rules: readonly PolicyRule[]): readonly CompiledRule[] {
  defaultRules ??= new Map(
    defaultRbacObjects().clusterRoles.map((role) => [JSON.stringify(role.rules), (role.rules ?? []).map(compileRule)]),
  )
  return defaultRules.get(JSON.stringify(rules)) ?? rules.map(compileRule)
}

function toBinding(binding: ClusterRoleBinding | RoleBinding, namespace: string): Binding {
  return { name: binding.metadata.name ?? '', namespace, roleRef: binding.roleRef, subjects: binding.subjects ?? [] }
}

/** A service account is the user of that name. In a RoleBinding its namespace may be left out. */
function subjectKey(subject: Subject, bindingNamespace: string): string | undefined {
  if (subject.kind === 'User') return `u:${subject.name}`
  if (subject.kind === 'Group') return `g:${subject.name}`
  if (subject.kind !== 'ServiceAccount') return undefined
  const namespace = subject.namespace === undefined || subject.namespace === '' ? bindingNamespace : subject.namespace
  return namespace === '' ? undefined : `u:system:serviceaccount:${namespace}:${subject.name}`
}

function indexGrants(all: readonly Grant[], missing: readonly string[], changedAt: number): GrantIndex {
  const byResource = new Map<string, Grant[]>()
  const wild: Grant[] = []
  const paths: Grant[] = []
  for (const grant of all) {
    if (grant.compiled.paths.length > 0) paths.push(grant)
    const isWild = [...grant.compiled.resources].some((resource) => resource.startsWith('*'))
    if (isWild) wild.push(grant)
    for (const resource of grant.compiled.resources) {
      const found = byResource.get(resource)
      if (found === undefined) byResource.set(resource, [grant])
      else found.push(grant)
    }
  }
  return { changedAt, byResource, wild, paths, all, missing }
}

function findGrant(index: GrantIndex, attributes: AuthorizationAttributes): AuthorizationDecision | undefined {
  if (!attributes.isResourceRequest) {
    return index.paths.find((grant) => ruleAllowsPath(grant.compiled, attributes.verb, attributes.path))?.decision
  }
  const combined = combinedResource(attributes)
  for (const grant of index.wild) if (ruleAllowsResource(grant.compiled, attributes, combined)) return grant.decision
  const exact = index.byResource.get(combined)
  if (exact === undefined) return undefined
  for (const grant of exact) if (ruleAllowsResource(grant.compiled, attributes, combined)) return grant.decision
  return undefined
}

function refusal(missing: readonly string[]): AuthorizationDecision {
  if (missing.length === 0) return DENIED
  const unique = [...new Set(missing)]
  return { allowed: false, reason: `RBAC: ${unique.length === 1 ? unique[0]! : `[${unique.join(', ')}]`}` }
}

function describeMissing({ kind, name }: RoleRef): string {
  const resource = kind === 'ClusterRole' ? 'clusterrole' : 'role'
  return `${resource}.rbac.authorization.k8s.io ${JSON.stringify(name)} not found`
}

function describeBinding(binding: Binding, user: UserInfo): string {
  const { name, namespace, roleRef, subjects } = binding
  const names = new Set([`u:${user.name}`, ...user.groups.map((group) => `g:${group}`)])
  const subject = subjects.find((entry) => names.has(subjectKey(entry, namespace) ?? ''))
  const kind = namespace === '' ? 'ClusterRoleBinding' : 'RoleBinding'
  const title = namespace === '' ? name : `${name}/${namespace}`
  return `RBAC: allowed by ${kind} ${JSON.stringify(title)} of ${roleRef.kind} ${JSON.stringify(roleRef.name)} to ${describeSubject(subject, namespace)}`
}

function describeSubject(subject: Subject | undefined, bindingNamespace: string): string {
  if (subject === undefined) return ''
  if (subject.kind !== 'ServiceAccount') return `${subject.kind} ${JSON.stringify(subject.name)}`
  return `${subject.kind} ${JSON.stringify(`${subject.name}/${subject.namespace ?? bindingNamespace}`)}`
}
