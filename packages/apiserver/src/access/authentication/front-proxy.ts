import { GATEWAYS_GROUP, PARTITION_USER_PREFIX, PARTITIONS_GROUP, unauthorized } from '@centaurus/api'
import { SYSTEM_TENANT, type UserInfo } from '../../request/request-info.ts'
import type { Authenticator } from '../access.ts'
import { AUTHENTICATED_GROUP } from './client-certificate.ts'
import { checkTenantUser } from './tenant-user.ts'

export const GATEWAY_USER = 'system:gateway'

const USER_HEADER = 'x-remote-user'
const UID_HEADER = 'x-remote-uid'
const GROUP_HEADER = 'x-remote-group'
const TENANT_HEADER = 'x-remote-tenant'
const EXTRA_PREFIX = 'x-remote-extra-'
/** Users that are remembered, so that what is computed for them can be kept; the one seen longest ago goes first. */
const USERS_MAX = 20_000

/**
 * Believes what a gateway says about whom it speaks for, and a partition that hands on what tenants send to their old address. Only a client
 * certificate with `CN=system:gateway, O=system:gateways` or `CN=system:partition:NAME, O=system:partitions` of the `system` tenant makes the
 * headers count; from anybody else they are as if they were not there. Who names no user acts as itself. `certificates` reads the caller's certificate.
 * Source: apiserver pkg/authentication/request/headerrequest (v0.37); `X-Remote-Tenant` is ours.
 */
export function createFrontProxyAuthenticator(certificates: Authenticator): Authenticator {
  const users = new Map<string, UserInfo>()
  return {
    async authenticate(exchange) {
      const { headers } = exchange
      if (headers[USER_HEADER] === undefined || exchange.clientCertificate === undefined) return undefined
      const caller = await certificates.authenticate(exchange)
      if (caller === undefined || !(isGateway(caller) || isPartition(caller))) return undefined
      const user = readUser(headers)
      const key = JSON.stringify(user)
      const known = users.get(key)
      if (known !== undefined) return known
      checkTenantUser(user)
      if (users.size >= USERS_MAX) users.delete(users.keys().next().value ?? '')
      users.set(key, user)
      return user
    },
  }
}

function isPartition({ name, groups, tenant }: UserInfo): boolean {
  return tenant === SYSTEM_TENANT && name.startsWith(PARTITION_USER_PREFIX) && groups.includes(PARTITIONS_GROUP)
}

export function isGateway({ name, groups, tenant }: UserInfo): boolean {
  return tenant === SYSTEM_TENANT && name === GATEWAY_USER && groups.includes(GATEWAYS_GROUP)
}

type Headers = Readonly<Record<string, string | undefined>>

function readUser(headers: Headers): UserInfo {
  const name = headers[USER_HEADER]?.trim() ?? ''
  if (name === '') throw unauthorized()
  const groups = splitHeader(headers[GROUP_HEADER])
  // who was nobody to the gateway is nobody here
  const isKnown = name !== 'system:anonymous' && !groups.includes('system:unauthenticated')
  return Object.freeze({
    name,
    uid: headers[UID_HEADER]?.trim() ?? '',
    groups: isKnown ? [...new Set([...groups, AUTHENTICATED_GROUP])] : ['system:unauthenticated'],
    extra: readExtra(headers),
    tenant: headers[TENANT_HEADER]?.trim() || SYSTEM_TENANT,
  })
}

function readExtra(headers: Headers): Record<string, string[]> {
  const extra: Record<string, string[]> = {}
  for (const header in headers) {
    if (!header.startsWith(EXTRA_PREFIX)) continue
    extra[decodeKey(header.slice(EXTRA_PREFIX.length))] = splitHeader(headers[header])
  }
  return extra
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key)
  } catch {
    return key
  }
}

/** Repeated headers come joined. */
function splitHeader(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
