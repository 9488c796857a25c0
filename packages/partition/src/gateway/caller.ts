import { X509Certificate } from 'node:crypto'
import { SYSTEM_TENANT, TENANT_CLAIM, TENANT_ORGANIZATION_PREFIX, unauthorized } from '@centaurus/api'
import type { Clock } from '@centaurus/base'
import { CALLERS_MAX } from './limits.ts'

/** Headers with which the gateway tells a partition whose certificate it has seen. Lists are sent as repeated headers. */
export type IdentityHeaders = Readonly<Record<string, string | readonly string[]>>

/** Who sends a request, as far as its way depends on it. */
export interface Caller {
  /** Of a token this is what it says of itself: good enough to choose the partition, which checks it. */
  readonly tenant: string
  /** Of a client certificate that TLS has verified; undefined: the credentials, if any, are in the request's own headers. */
  readonly identity: IdentityHeaders | undefined
}

export interface CallerInput {
  /** DER; only what TLS has verified against the cluster's authority. */
  readonly certificate: Uint8Array | undefined
  readonly authorization: string | undefined
}

export type ReadCaller = (input: CallerInput) => Caller

const NOBODY: Caller = { tenant: SYSTEM_TENANT, identity: undefined }
/** What every header of an API server's front proxy begins with; nobody else may send them. */
export const IDENTITY_HEADER_PREFIX = 'x-remote-'
/** Longest token that is looked into. */
const TOKEN_LENGTH_MAX = 16 * 1024

interface KnownCertificate {
  readonly caller: Caller
  readonly expiresMs: number
}

/**
 * Makes the function that reads callers and remembers them. It throws Unauthorized for a certificate that is past its end or that
 * names no user, two tenants, or what no header can carry. `tenantClaims`: names of JWT claims that tell the tenant.
 */
export function createCallerReader(clock: Clock, tenantClaims: readonly string[] = [TENANT_CLAIM]): ReadCaller {
  // one buffer a connection, so most requests are answered without hashing it
  const byBuffer = new WeakMap<Uint8Array, KnownCertificate>()
  const byToken = new Map<string, Caller>()
  return ({ certificate, authorization }) => {
    if (certificate !== undefined) {
      let known = byBuffer.get(certificate)
      if (known === undefined) byBuffer.set(certificate, (known = readCertificate(certificate)))
      if (known.expiresMs < clock.now()) throw unauthorized()
      return known.caller
    }
    if (authorization === undefined) return NOBODY
    let caller = byToken.get(authorization)
    if (caller !== undefined) return caller
    const tenant = readTokenTenant(authorization, tenantClaims)
    if (tenant === SYSTEM_TENANT) return NOBODY
    caller = { tenant, identity: undefined }
    if (byToken.size >= CALLERS_MAX) byToken.delete(byToken.keys().next().value ?? '')
    byToken.set(authorization, caller)
    return caller
  }
}

/** Source: apiserver pkg/authentication/request/x509 and headerrequest (v0.37). */
function readCertificate(der: Uint8Array): KnownCertificate {
  const certificate = new X509Certificate(der)
  const { CN: names, O: organizations } = certificate.toLegacyObject().subject as {
    CN?: string | string[]
    O?: string | string[]
  }
  const user = [names ?? []].flat().at(-1) ?? ''
  const all = [organizations ?? []].flat()
  const tenants = all.filter((name) => name.startsWith(TENANT_ORGANIZATION_PREFIX))
  const groups = [...new Set(all.filter((name) => !name.startsWith(TENANT_ORGANIZATION_PREFIX)))]
  if (user === '' || tenants.length > 1 || !isHeaderText(user) || !groups.every(isListText)) throw unauthorized()
  const tenant = tenants[0]?.slice(TENANT_ORGANIZATION_PREFIX.length) ?? SYSTEM_TENANT
  if (!isListText(tenant) || tenant === '') throw unauthorized()
  const identity = {
    'x-remote-user': user,
    'x-remote-tenant': tenant,
    'x-remote-extra-authentication.kubernetes.io%2fcredential-id': `X509SHA256=${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`,
    ...(groups.length === 0 ? {} : { 'x-remote-group': groups }),
  }
  return { caller: { tenant, identity }, expiresMs: certificate.validToDate.getTime() }
}

function isHeaderText(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text) && text.trim() === text
}

/** Repeated headers arrive joined by commas: a group that holds one would become two. */
function isListText(text: string): boolean {
  return isHeaderText(text) && !text.includes(',')
}

/** What a bearer token says of its tenant, unchecked; `system` when it says nothing that can be read. */
function readTokenTenant(authorization: string, claims: readonly string[]): string {
  const token = /^bearer +(\S+)$/i.exec(authorization)?.[1]
  if (token === undefined || token.length > TOKEN_LENGTH_MAX) return SYSTEM_TENANT
  const payload = token.split('.')[1]
  if (payload === undefined) return SYSTEM_TENANT
  try {
    const parsed: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    if (typeof parsed !== 'object' || parsed === null) return SYSTEM_TENANT
    for (const claim of claims) {
      const value = (parsed as Record<string, unknown>)[claim]
      if (typeof value === 'string' && value !== '') return value
    }
  } catch {
    // not a JWT: the partition knows what it is
  }
  return SYSTEM_TENANT
}
