import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from './access.ts'

const ALLOWED: AuthorizationDecision = Object.freeze({ allowed: true, reason: '' })
const NO_OPINION: AuthorizationDecision = Object.freeze({ allowed: false, reason: '' })

/** Members of `system:masters` may do everything, whatever RBAC says. Source: apiserver authorizerfactory.NewPrivilegedGroups. */
export const mastersAuthorizer: Authorizer = {
  authorize: ({ user }) => (user.groups.includes('system:masters') ? ALLOWED : NO_OPINION),
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
