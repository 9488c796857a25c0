import type { PolicyRule, RoleRef } from '@centaurus/api/rbac/v1'
import { SYSTEM_TENANT, type UserInfo } from '../../request/request-info.ts'
import type { ObjectReader } from '../../resource/object-reader.ts'
import type { TenantDirectory } from '../../tenants/tenant-directory.ts'
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from '../access.ts'
import { followRbac, RbacPolicy } from './policy.ts'
import { isView } from '../../views/view-names.ts'

const DENIED: AuthorizationDecision = Object.freeze({ allowed: false, reason: '' })

export interface PolicyScope {
  readonly tenant: string
  /** `''`: the cluster alone. */
  readonly namespace: string
}

export interface HeldRules {
  readonly rules: readonly PolicyRule[]
  readonly errors: readonly string[]
}

/** What RBAC says in each tenant. */
export interface PolicySource {
  rulesFor(user: UserInfo, scope: PolicyScope): HeldRules
  /** Undefined when there is no such role. */
  rulesOfRole(roleRef: RoleRef, scope: PolicyScope): readonly PolicyRule[] | undefined
}

export interface TenantPoliciesDeps {
  readonly reader: ObjectReader
  readonly tenants: TenantDirectory
  /** Called when a tenant's roles begin to be followed. Returns the function that stops. */
  readonly onFollow: (tenant: string) => () => void
}

/**
 * The RBAC objects of every tenant, each read when somebody of that tenant is first asked about and followed from then on, until the
 * tenant is gone. Users are judged by the objects of their own tenant. An operator who acts in another tenant is judged by what
 * ClusterRoleBindings of `system` say: no binding of the tenant concerns operators, however it names its subjects, and a RoleBinding
 * of `system` speaks of a namespace of `system`.
 */
export class TenantPolicies implements Authorizer, PolicySource {
  readonly #deps: TenantPoliciesDeps
  readonly #policies = new Map<string, { readonly policy: RbacPolicy; readonly stop: () => void }>()
  readonly #nothing = new RbacPolicy()
  readonly #stop: () => void

  constructor(deps: TenantPoliciesDeps) {
    this.#deps = deps
    this.#stop = deps.tenants.onChange((tenant) => {
      if (!deps.tenants.isHosted(tenant)) this.#drop(tenant)
    })
  }

  /** Reads the roles of `system`; nothing is allowed there before. */
  start(): void {
    this.#follow(SYSTEM_TENANT)
  }

  close(): void {
    this.#stop()
    for (const tenant of Array.from(this.#policies.keys())) this.#drop(tenant)
  }

  authorize(attributes: AuthorizationAttributes): AuthorizationDecision {
    const { user, tenant } = attributes
    if (user.tenant === tenant) return this.#of(tenant).authorize(attributes)
    if (user.tenant !== SYSTEM_TENANT) return DENIED
    return this.#of(SYSTEM_TENANT).authorizeClusterWide(attributes)
  }

  rulesFor(user: UserInfo, { tenant, namespace }: PolicyScope): HeldRules {
    if (user.tenant === tenant) return this.#of(tenant).rulesFor(user, namespace)
    if (user.tenant !== SYSTEM_TENANT) return { rules: [], errors: [] }
    return this.#of(SYSTEM_TENANT).rulesFor(user, '')
  }

  rulesOfRole(roleRef: RoleRef, { tenant, namespace }: PolicyScope): readonly PolicyRule[] | undefined {
    return this.#of(isView(tenant) ? SYSTEM_TENANT : tenant).rulesOfRole(roleRef, namespace)
  }

  #of(tenant: string): RbacPolicy {
    const known = this.#policies.get(tenant)
    if (known !== undefined) return known.policy
    if (tenant === SYSTEM_TENANT || !this.#deps.tenants.isHosted(tenant)) return this.#nothing
    return this.#follow(tenant)
  }

  #follow(tenant: string): RbacPolicy {
    const policy = new RbacPolicy()
    const stops = [followRbac(policy, this.#deps.reader, tenant), this.#deps.onFollow(tenant)]
    this.#policies.set(tenant, { policy, stop: () => stops.forEach((stop) => stop()) })
    return policy
  }

  #drop(tenant: string): void {
    this.#policies.get(tenant)?.stop()
    this.#policies.delete(tenant)
  }
}
