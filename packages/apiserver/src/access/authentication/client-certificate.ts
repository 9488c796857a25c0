import { X509Certificate } from 'node:crypto'
import { TENANT_ORGANIZATION_PREFIX, unauthorized } from '@centaurus/api'
import type { Clock } from '@centaurus/base'
import { SYSTEM_TENANT, type UserInfo } from '../../request/request-info.ts'
import type { Authenticator } from '../access.ts'
import { checkTenantUser } from './tenant-user.ts'

/** Callers whose certificates are remembered; the one that was seen longest ago goes first. About 1 KB each. */
const CERTIFICATES_MAX = 20_000
/** Source: authentication/user: every caller who proved who it is. */
export const AUTHENTICATED_GROUP = 'system:authenticated'

interface KnownCertificate {
  readonly user: UserInfo
  readonly expiresMs: number
}

/**
 * Users by client certificate, which TLS has verified: CN is the name, each O a group, and an O of `tenant:NAME` the tenant. The same
 * certificate gives the same `UserInfo` object, so that what is computed for it can be kept.
 * Source: apiserver pkg/authentication/request/x509 (v0.37); the tenant as Arktos has it.
 */
export function createCertificateAuthenticator(clock: Clock): Authenticator {
  // one buffer a connection, so most requests are answered without hashing it
  const byBuffer = new WeakMap<Uint8Array, KnownCertificate>()
  const byContent = new Map<string, KnownCertificate>()
  const find = (der: Uint8Array): KnownCertificate => {
    const key = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('latin1')
    const found = byContent.get(key)
    if (found !== undefined) return found
    const known = readCertificate(der)
    if (byContent.size >= CERTIFICATES_MAX) byContent.delete(byContent.keys().next().value ?? '')
    byContent.set(key, known)
    return known
  }
  return {
    authenticate({ clientCertificate }) {
      if (clientCertificate === undefined) return undefined
      let known = byBuffer.get(clientCertificate)
      if (known === undefined) byBuffer.set(clientCertificate, (known = find(clientCertificate)))
      if (known.expiresMs < clock.now()) throw unauthorized()
      return known.user
    },
  }
}

function readCertificate(der: Uint8Array): KnownCertificate {
  const certificate = new X509Certificate(der)
  const { CN: name, O: organizations } = certificate.toLegacyObject().subject as {
    CN?: string | string[]
    O?: string | string[]
  }
  const commonName = [name ?? []].flat().at(-1) ?? ''
  if (commonName === '') throw unauthorized()
  const { tenant, groups } = splitOrganizations([organizations ?? []].flat())
  const user: UserInfo = Object.freeze({
    name: commonName,
    uid: '',
    groups: [...new Set([...groups, AUTHENTICATED_GROUP])],
    extra: {
      'authentication.kubernetes.io/credential-id': [
        `X509SHA256=${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`,
      ],
    },
    tenant,
  })
  return { user, expiresMs: certificate.validToDate.getTime() }
}

/** Throws Unauthorized for what nobody can be: a member of two tenants, or of a tenant and of the cluster's own parts. */
function splitOrganizations(organizations: readonly string[]): { tenant: string; groups: string[] } {
  const isTenant = (organization: string): boolean => organization.startsWith(TENANT_ORGANIZATION_PREFIX)
  const named = organizations.filter(isTenant)
  const groups = organizations.filter((organization) => !isTenant(organization))
  if (named.length > 1) throw unauthorized()
  const tenant = named[0]?.slice(TENANT_ORGANIZATION_PREFIX.length) ?? SYSTEM_TENANT
  checkTenantUser({ tenant, groups })
  return { tenant, groups }
}
