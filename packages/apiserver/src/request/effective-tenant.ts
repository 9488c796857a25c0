import { ALL_TENANTS } from '@centaurus/api'
import { NODES_GROUP } from '../access/operator-groups.ts'
import { NODES_VIEW } from '../views/view-names.ts'
import { SYSTEM_TENANT, type UserInfo } from './request-info.ts'

const UNAUTHENTICATED_GROUP = 'system:unauthenticated'

/**
 * The tenant that a request runs in; undefined when there is nothing at that address for `user`, who then gets what a path gets that
 * does not exist. `named` is the tenant in the URL, or `''`. Pure.
 *
 * Users stay in their tenant. Those of `system` may name any that is hosted here, or `all`, the view over every tenant; nobody else
 * learns from an answer which names exist, so who is not known has no tenants at all. Node agents see, wherever they look, what runs on
 * nodes.
 */
export function effectiveTenant(
  user: UserInfo,
  named: string,
  isHosted: (tenant: string) => boolean,
): string | undefined {
  if (isNode(user)) return named === '' || named === SYSTEM_TENANT || named === ALL_TENANTS ? NODES_VIEW : undefined
  if (named === '') return user.tenant
  if (user.groups.includes(UNAUTHENTICATED_GROUP)) return undefined
  if (user.tenant !== SYSTEM_TENANT) return named === user.tenant ? named : undefined
  if (named === SYSTEM_TENANT || named === ALL_TENANTS) return named
  return isHosted(named) ? named : undefined
}

function isNode({ name, groups, tenant }: UserInfo): boolean {
  return tenant === SYSTEM_TENANT && name.startsWith('system:node:') && groups.includes(NODES_GROUP)
}
