import { refuseTenantName, unauthorized } from '@centaurus/api'
import { SYSTEM_TENANT, type UserInfo } from '../../request/request-info.ts'
import { isOperatorsGroup } from '../operator-groups.ts'

/**
 * Throws Unauthorized unless credentials may speak for such a user: the tenant has a name that a tenant can have, and its users are
 * in none of the groups of the cluster's own parts.
 */
export function checkTenantUser({ tenant, groups }: Pick<UserInfo, 'tenant' | 'groups'>): void {
  if (tenant === SYSTEM_TENANT) return
  if (refuseTenantName(tenant) !== undefined || groups.some(isOperatorsGroup)) throw unauthorized()
}
