import { forbidden, StatusError, unauthorized } from '@centaurus/api'
import type { Authenticator, AuthorizationAttributes, AuthorizationDecision, Authorizer } from '../access/access.ts'
import type { Exchange } from '../http/exchange.ts'
import { SYSTEM_TENANT, type RequestInfo, type UserInfo } from './request-info.ts'

export const ANONYMOUS: UserInfo = {
  name: 'system:anonymous',
  uid: '',
  groups: ['system:unauthenticated'],
  extra: {},
  tenant: SYSTEM_TENANT,
}

/** Asks each authenticator in turn; nobody known is the anonymous user. Throws Unauthorized for bad credentials. */
export async function authenticate(authenticators: readonly Authenticator[], exchange: Exchange): Promise<UserInfo> {
  let refusal: unknown
  for (const authenticator of authenticators) {
    try {
      const user = await authenticator.authenticate(exchange)
      if (user !== undefined) return user
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      refusal = error // another authenticator may know these credentials
    }
  }
  if (refusal !== undefined) throw unauthorized()
  return ANONYMOUS
}

export function attributesOf(
  user: UserInfo,
  info: RequestInfo,
  exchange: Exchange | undefined,
): AuthorizationAttributes {
  const query = info.isResourceRequest ? exchange?.query : undefined
  return {
    user,
    tenant: info.tenant,
    verb: info.verb,
    isResourceRequest: info.isResourceRequest,
    path: info.path,
    group: info.group,
    version: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    fieldSelector: query?.get('fieldSelector') ?? undefined,
    labelSelector: query?.get('labelSelector') ?? undefined,
  }
}

/** Asks each authorizer until one allows. */
export function decide(authorizers: readonly Authorizer[], attributes: AuthorizationAttributes): AuthorizationDecision {
  const reasons: string[] = []
  for (const authorizer of authorizers) {
    const decision = authorizer.authorize(attributes)
    if (decision.allowed) return decision
    if (decision.reason !== '') reasons.push(decision.reason)
  }
  return { allowed: false, reason: reasons.join(', ') }
}

/** Throws Forbidden with upstream's sentence unless the caller may. */
export function authorize(authorizers: readonly Authorizer[], attributes: AuthorizationAttributes): void {
  const decision = decide(authorizers, attributes)
  if (decision.allowed) return
  throw forbiddenRequest(attributes, decision.reason)
}

/** Source: apiserver pkg/endpoints/handlers/responsewriters/errors.go ForbiddenStatusError. */
export function forbiddenRequest(attributes: AuthorizationAttributes, reason: string): StatusError {
  const { group, resource, name } = attributes
  const why = describeRefusal(attributes)
  const text = reason === '' ? why : `${why}: ${reason}`
  if (!attributes.isResourceRequest) return forbidden({ group: '', resource: '' }, '', text)
  return forbidden({ group, resource }, name, text)
}

function describeRefusal(attributes: AuthorizationAttributes): string {
  const { user, verb, path, resource, subresource, namespace } = attributes
  const who = `User ${JSON.stringify(user.name)} cannot ${verb}`
  if (!attributes.isResourceRequest) return `${who} path ${JSON.stringify(path)}`
  const full = subresource === '' ? resource : `${resource}/${subresource}`
  const what = `${who} resource ${JSON.stringify(full)} in API group ${JSON.stringify(attributes.group)}`
  return namespace === '' ? `${what} at the cluster scope` : `${what} in the namespace ${JSON.stringify(namespace)}`
}
