/** Whom a request comes from. Source: authentication.k8s.io/v1 UserInfo, plus the tenant. */
export interface UserInfo {
  readonly name: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly extra: Readonly<Record<string, readonly string[]>>
  /** The tenant that the credentials belong to; `system` for operators and until tenants exist. */
  readonly tenant: string
}

/** The one tenant until tenants exist. Store keys, requests, informers and RBAC carry it from the first day. */
export const SYSTEM_TENANT = 'system'

/** What a URL and method ask for. Source: apiserver pkg/endpoints/request/requestinfo.go. */
export interface RequestInfo {
  readonly tenant: string
  /** False for `/healthz`, `/openapi/v2`, `/apis` … */
  readonly isResourceRequest: boolean
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the lower-case method when not a resource. */
  readonly verb: string
  /** Without the `/tenants/{t}` prefix. */
  readonly path: string
  /** `''` for the core group. */
  readonly group: string
  readonly version: string
  /** Decoded; `''` when absent. */
  readonly namespace: string
  readonly resource: string
  readonly subresource: string
  readonly name: string
  /** Decoded path segments after the subresource (for `proxy`). */
  readonly rest: readonly string[]
}
