import { SYSTEM_TENANT } from '../request/request-info.ts'
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from './access.ts'
import { MASTERS_GROUP } from './operator-groups.ts'
import { isForOperators } from './operator-resources.ts'

const ALLOWED: AuthorizationDecision = Object.freeze({ allowed: true, reason: '' })
const NO_OPINION: AuthorizationDecision = Object.freeze({ allowed: false, reason: '' })

/**
 * Members of `system:masters` may do everything, whatever RBAC says: those of `system` everywhere, those of a tenant in theirs.
 * Source: apiserver authorizerfactory.NewPrivilegedGroups.
 */
export const mastersAuthorizer: Authorizer = {
  authorize: ({ user, tenant }) =>
    user.groups.includes(MASTERS_GROUP) && (user.tenant === SYSTEM_TENANT || user.tenant === tenant)
      ? ALLOWED
      : NO_OPINION,
}

/**
 * Refuses, inside a tenant, what only operators may do, and asks `authorizer` about the rest. It refuses whoever asks: even who may
 * do everything in the tenant, and operators who act in it.
 */
export function createTenantBoundary(authorizer: Authorizer): Authorizer {
  return {
    authorize: (attributes) => (isForOperators(attributes) ? NO_OPINION : authorizer.authorize(attributes)),
  }
}

/** Allows what one of `authorizers` allows, asked in order. The reasons of the others are joined. */
export function createUnionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  return {
    authorize(attributes: AuthorizationAttributes): AuthorizationDecision {
      let reasons = ''
      for (const authorizer of authorizers) {
        const decision = authorizer.authorize(attributes)
        if (decision.allowed) return decision
        if (decision.reason !== '') reasons = reasons === '' ? decision.reason : `${reasons}\n${decision.reason}`
      }
      return reasons === '' ? NO_OPINION : { allowed: false, reason: reasons }
    },
  }
}
