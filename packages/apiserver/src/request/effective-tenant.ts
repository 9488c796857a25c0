import { ALL_TENANTS } from '@centaurus/api'
import { SYSTEM_TENANT, type RequestInfo, type UserInfo } from './request-info.ts'

/**
 * The tenant that a request runs in; undefined when there is nothing at that address for `user`. Pure.
 *
 * `all` is the view over every tenant, for operators.
 */
export function effectiveTenant(user: UserInfo, info: RequestInfo): string | undefined {
  if (info.tenant === SYSTEM_TENANT) return SYSTEM_TENANT
  if (info.tenant === ALL_TENANTS && user.tenant === SYSTEM_TENANT) return ALL_TENANTS
  return undefined
}
