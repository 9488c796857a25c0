import { refuseTenantName, SYSTEM_TENANT, TENANT_CLAIM } from '@centaurus/api'

/** Source: pkg/serviceaccount/claims.go and jwt.go (v1.37). Times are seconds since the epoch. */
export interface ServiceAccountClaims {
  readonly aud: readonly string[]
  readonly exp: number
  readonly iat: number
  readonly iss: string
  readonly jti: string
  readonly nbf: number
  readonly sub: string
  readonly 'kubernetes.io': BoundClaims
  /** Absent: `system`. */
  readonly [TENANT_CLAIM]?: string | undefined
}

export interface BoundClaims {
  readonly namespace: string
  readonly serviceaccount: ObjectClaim
  readonly pod?: ObjectClaim | undefined
  readonly secret?: ObjectClaim | undefined
  readonly node?: ObjectClaim | undefined
  /** From then on the token should have been replaced. */
  readonly warnafter?: number | undefined
}

export interface ObjectClaim {
  readonly name: string
  readonly uid?: string | undefined
}

/** Tokens in Secrets, which never end. Source: pkg/serviceaccount/legacy.go. */
export const LEGACY_ISSUER = 'kubernetes/serviceaccount'

export interface LegacyClaims {
  readonly iss: typeof LEGACY_ISSUER
  readonly sub: string
  readonly 'kubernetes.io/serviceaccount/namespace': string
  readonly 'kubernetes.io/serviceaccount/secret.name': string
  readonly 'kubernetes.io/serviceaccount/service-account.name': string
  readonly 'kubernetes.io/serviceaccount/service-account.uid': string
  /** Absent: `system`. */
  readonly [TENANT_CLAIM]?: string | undefined
}

/** The user name of a service account. Source: apiserver pkg/authentication/serviceaccount/util.go. */
export function serviceAccountUserName(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`
}

/** What tokens of the tenant say beyond those of `system`. */
export function tenantClaim(tenant: string): { readonly [TENANT_CLAIM]?: string } {
  return tenant === SYSTEM_TENANT ? {} : { [TENANT_CLAIM]: tenant }
}

/** The tenant of a token's service account. */
export function tenantOfClaims({ [TENANT_CLAIM]: tenant }: { readonly [TENANT_CLAIM]?: string | undefined }): string {
  return tenant ?? SYSTEM_TENANT
}

function hasTenant({ [TENANT_CLAIM]: tenant }: Record<string, unknown>): boolean {
  return tenant === undefined || (typeof tenant === 'string' && refuseTenantName(tenant) === undefined)
}

/** Claims of a bound token, when they have the right shape. */
export function readBoundClaims(claims: Record<string, unknown>): ServiceAccountClaims | undefined {
  const bound = claims['kubernetes.io'] as Partial<BoundClaims> | undefined
  const isWhole =
    typeof claims.sub === 'string' &&
    typeof claims.exp === 'number' &&
    typeof claims.nbf === 'number' &&
    typeof bound === 'object' &&
    bound !== null &&
    typeof bound.namespace === 'string' &&
    typeof bound.serviceaccount?.name === 'string' &&
    claims.sub === serviceAccountUserName(bound.namespace, bound.serviceaccount.name) &&
    hasTenant(claims)
  if (!isWhole) return undefined
  const audiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
  return { ...claims, aud: audiences.filter((entry) => typeof entry === 'string') } as unknown as ServiceAccountClaims
}

/** Claims of a token that lives in a Secret, when they have the right shape. */
export function readLegacyClaims(claims: Record<string, unknown>): LegacyClaims | undefined {
  const names = ['namespace', 'secret.name', 'service-account.name', 'service-account.uid']
  const isWhole =
    claims.iss === LEGACY_ISSUER &&
    hasTenant(claims) &&
    names.every((name) => typeof claims[`kubernetes.io/serviceaccount/${name}`] === 'string')
  return isWhole ? (claims as unknown as LegacyClaims) : undefined
}
