/** Whom a request comes from. Source: authentication.k8s.io/v1 UserInfo, plus the tenant. */
export interface UserInfo {
  readonly name: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly extra: Readonly<Record<string, readonly string[]>>
  /** The tenant that the credentials belong to; `system` for operators and for nobody known. */
  readonly tenant: string
}

/** The tenant of operators. Store keys, requests, informers and RBAC carry a tenant everywhere. */
export const SYSTEM_TENANT = 'system'

/** What a URL and method ask for. Source: apiserver pkg/endpoints/request/requestinfo.go. */
export interface RequestInfo {
  /** The tenant that the request runs in; after parsing alone the one that the URL names, or `''`. */
  readonly tenant: string
  /** False for `/healthz`, `/openapi/v2`, `/apis` … */
  readonly isResourceRequest: boolean
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the lower-case method when not a resource. */
  readonly verb: string
  /** Without the tenant's part. */
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
