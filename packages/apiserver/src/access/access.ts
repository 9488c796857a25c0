import type { Exchange } from '../http/exchange.ts'
import type { UserInfo } from '../request/request-info.ts'

/** Finds out who calls. */
export interface Authenticator {
  /** Undefined: no credentials were given (the caller is anonymous). Throws `unauthorized()` for bad ones. */
  authenticate(
    exchange: Pick<Exchange, 'headers' | 'clientCertificate'>,
  ): UserInfo | undefined | Promise<UserInfo | undefined>
}

/** What an authorizer is asked. Source: authorization.k8s.io/v1 SubjectAccessReviewSpec. */
export interface AuthorizationAttributes {
  readonly user: UserInfo
  readonly tenant: string
  readonly verb: string
  readonly isResourceRequest: boolean
  readonly path: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  /** As in the query, of `list`, `watch` and `deletecollection`; for authorizers that allow a caller only its own share. */
  readonly fieldSelector?: string | undefined
  readonly labelSelector?: string | undefined
}

export type AuthorizationDecision =
  | { readonly allowed: true; readonly reason: string }
  /** `reason` may be empty; it ends the message that the client reads. */
  | { readonly allowed: false; readonly reason: string }

export interface Authorizer {
  /** Synchronous: it decides from what the watch cache holds, since it runs for every request. */
  authorize(attributes: AuthorizationAttributes): AuthorizationDecision
}
