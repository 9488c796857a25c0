import { forbidden } from '@centaurus/api'
import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import { pods } from '@centaurus/api/core/v1'
import { SYSTEM_TENANT, type CheckedWrite, type CreateExtension, type WriteCheck } from '@centaurus/apiserver'
import { createMembership } from './membership.ts'
import { memberOf } from './require-member.ts'

const NODES_GROUP = 'system:nodes'

export interface MembershipExtensionOptions {
  /** Name of this partition. */
  readonly self: string
  /** True in the partition that keeps the registry. */
  readonly home: boolean
}

/**
 * Lets the other partitions of the cluster in: they hold the same certificate authority, so refusing them would protect nothing. In a
 * partition that is not home, keeps people from writing to copies of the registry, and pods out of its `system` tenant, whose
 * namespaces every partition has of its own.
 */
export function createMembershipExtension({ self, home }: MembershipExtensionOptions): CreateExtension {
  return ({ reader }) => {
    const membership = createMembership(reader, self)
    const homeName = (): string => membership.list().find(({ spec }) => spec.home === true)?.metadata.name ?? ''
    return {
      authorizer: {
        authorize: ({ user }) =>
          memberOf(user) === undefined
            ? { allowed: false, reason: '' }
            : { allowed: true, reason: 'a partition of this cluster' },
      },
      writeChecks: home
        ? []
        : [refuseCopies(partitions, homeName), refuseCopies(tenants, homeName), refusePods(homeName)],
    }
  }
}

function refuseCopies({ group, resource }: { group: string; resource: string }, homeName: () => string): WriteCheck {
  return {
    group,
    resource,
    check(write) {
      const why = `this is a copy; partition "${homeName()}" keeps the registry: write there`
      throw forbidden({ group, resource }, nameOf(write), why)
    },
  }
}

function refusePods(homeName: () => string): WriteCheck {
  return {
    group: pods.group,
    resource: pods.resource,
    check(write) {
      const { user, info, operation } = write
      if (operation !== 'create' || info.subresource !== '' || info.tenant !== SYSTEM_TENANT) return
      if (user.groups.includes(NODES_GROUP)) return // the mirror of a pod that the node runs by itself
      const why = `pods of operators live in the home partition ("${homeName()}"), those of tenants in their own namespaces`
      throw forbidden(pods, nameOf(write), why)
    },
  }
}

function nameOf({ info, object }: CheckedWrite): string {
  return info.name === '' ? (object?.metadata.name ?? '') : info.name
}
