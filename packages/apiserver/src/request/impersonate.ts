import { badRequest } from '@centaurus/api'
import type { AuthorizationAttributes, Authorizer } from '../access/access.ts'
import type { Exchange } from '../http/exchange.ts'
import { isOperatorsGroup } from '../access/operator-groups.ts'
import { authorize, forbiddenRequest } from './authenticate.ts'
import { SYSTEM_TENANT, type UserInfo } from './request-info.ts'
import { isView } from '../views/view-names.ts'

const EXTRA_PREFIX = 'impersonate-extra-'
const SERVICE_ACCOUNT_PREFIX = 'system:serviceaccount:'

export interface ImpersonationRequest {
  readonly headers: Exchange['headers']
  /** Where the request runs: users of a tenant are found in theirs, operators in any. */
  readonly tenant: string
}

/**
 * The user that the request wants to be taken for; `user` itself without the headers. It belongs to the tenant in which the request
 * runs. Throws Forbidden unless `user` may impersonate each part. Source: apiserver pkg/endpoints/filters/impersonation.go, v0.37.
 */
export function impersonate(
  authorizers: readonly Authorizer[],
  user: UserInfo,
  { headers, tenant: runsIn }: ImpersonationRequest,
): UserInfo {
  if (!isAsked(headers)) return user
  const tenant = isView(runsIn) ? user.tenant : runsIn
  const name = headers['impersonate-user'] ?? ''
  const groups = splitHeader(headers['impersonate-group'])
  const uid = headers['impersonate-uid'] ?? ''
  const extra = readExtra(headers)
  if (name === '') {
    throw badRequest('requested impersonation without impersonating a user')
  }
  const check = (part: Partial<AuthorizationAttributes>): void => {
    authorize(authorizers, { ...IMPERSONATE, ...part, user, tenant: user.tenant })
  }
  // nobody becomes a part of the cluster itself from inside a tenant
  const refused = tenant === SYSTEM_TENANT ? undefined : groups.find(isOperatorsGroup)
  if (refused !== undefined) {
    const asked = { ...IMPERSONATE, user, tenant, resource: 'groups', name: refused }
    throw forbiddenRequest(asked, '')
  }
  const account = readServiceAccount(name)
  if (account !== undefined) check({ resource: 'serviceaccounts', namespace: account.namespace, name: account.name })
  else check({ resource: 'users', name })
  for (const group of groups) check({ resource: 'groups', name: group })
  if (uid !== '') check({ group: 'authentication.k8s.io', resource: 'uids', name: uid })
  for (const [key, values] of Object.entries(extra)) {
    for (const value of values) {
      check({ group: 'authentication.k8s.io', resource: 'userextras', subresource: key, name: value })
    }
  }
  return { name, uid, groups: impersonatedGroups(name, groups, account), extra, tenant }
}

const IMPERSONATE: Omit<AuthorizationAttributes, 'user'> = {
  tenant: SYSTEM_TENANT,
  verb: 'impersonate',
  isResourceRequest: true,
  path: '',
  group: '',
  version: 'v1',
  resource: '',
  subresource: '',
  namespace: '',
  name: '',
}

function impersonatedGroups(name: string, groups: readonly string[], account: Account | undefined): readonly string[] {
  const own =
    account !== undefined && groups.length === 0
      ? ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`]
      : groups
  if (name === 'system:anonymous')
    return own.includes('system:unauthenticated') ? own : [...own, 'system:unauthenticated']
  return own.includes('system:authenticated') ? own : [...own, 'system:authenticated']
}

/** Runs for every request, so it makes no garbage. */
function isAsked(headers: Exchange['headers']): boolean {
  for (const header in headers) if (header.startsWith('impersonate-')) return true
  return false
}

interface Account {
  readonly namespace: string
  readonly name: string
}

function readServiceAccount(user: string): Account | undefined {
  if (!user.startsWith(SERVICE_ACCOUNT_PREFIX)) return undefined
  const [namespace = '', name = '', ...more] = user.slice(SERVICE_ACCOUNT_PREFIX.length).split(':')
  return namespace === '' || name === '' || more.length > 0 ? undefined : { namespace, name }
}

function readExtra(headers: Exchange['headers']): Record<string, string[]> {
  const extra: Record<string, string[]> = {}
  for (const header in headers) {
    if (!header.startsWith(EXTRA_PREFIX)) continue
    extra[decodeURIComponent(header.slice(EXTRA_PREFIX.length))] = splitHeader(headers[header])
  }
  return extra
}

/** Repeated headers come joined. */
function splitHeader(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
