import { PARTITION_USER_PREFIX, PARTITIONS_GROUP, StatusError } from '@centaurus/api'
import type { RequestContext, UserInfo } from '@centaurus/apiserver'

/** Name of the partition that a user is, or undefined for everybody else. */
export function memberOf(user: Pick<UserInfo, 'name' | 'groups'>): string | undefined {
  if (!user.groups.includes(PARTITIONS_GROUP) || !user.name.startsWith(PARTITION_USER_PREFIX)) return undefined
  const name = user.name.slice(PARTITION_USER_PREFIX.length)
  return name === '' ? undefined : name
}

/** Name of the partition that asks. Throws 403 Forbidden for everybody else. */
export function requireMember({ user, info }: RequestContext): string {
  const name = memberOf(user)
  if (name !== undefined) return name
  throw new StatusError({
    reason: 'Forbidden',
    message: `User "${user.name}" cannot ${info.verb} path "${info.path}": only partitions of this cluster may`,
  })
}
