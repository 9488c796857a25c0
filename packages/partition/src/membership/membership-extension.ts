import { badRequest, forbidden } from '@centaurus/api'
import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import { nodes, pods } from '@centaurus/api/core/v1'
import {
  SYSTEM_TENANT,
  type CheckedWrite,
  type CreateExtension,
  type NonResourceRoute,
  type WriteCheck,
} from '@centaurus/apiserver'
import { decodeText } from '@centaurus/base'
import { createMembership } from './membership.ts'
import { memberOf } from './require-member.ts'

const NODES_GROUP = 'system:nodes'
/** Where a partition is asked to believe another one again. */
export const READMIT_PATH = '/partition/v1/readmit'
const BODY_BYTES_MAX = 1024

export interface MembershipExtensionOptions {
  /** Name of this partition. */
  readonly self: string
  /** True in the partition that keeps the registry. */
  readonly home: boolean
  /** Believes a partition again that was fenced; absent: nobody can ask for it. */
  readonly readmit?: ((partition: string) => Promise<void>) | undefined
}

/**
 * Lets the other partitions of the cluster in: they hold the same certificate authority, so refusing them would protect nothing. In a
 * partition that is not home, keeps people from writing to copies of the registry, and pods out of its `system` tenant, whose
 * namespaces every partition has of its own. A partition that drains takes no new nodes. `POST /partition/v1/readmit` with a
 * `partition` believes one again that was fenced; it is for operators.
 */
export function createMembershipExtension({ self, home, readmit }: MembershipExtensionOptions): CreateExtension {
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
      routes: readmit === undefined ? [] : [readmitRoute(readmit)],
      writeChecks: [
        refuseNodes((name) => {
          const isThere = reader.get(nodes, { name }) !== undefined // agents register again at each start
          return membership.get(self)?.spec.draining === true && !isThere
        }),
        ...(home ? [] : [refuseCopies(partitions, homeName), refuseCopies(tenants, homeName), refusePods(homeName)]),
      ],
    }
  }
}

function readmitRoute(readmit: (partition: string) => Promise<void>): NonResourceRoute {
  return {
    path: READMIT_PATH,
    methods: ['POST'],
    async handle(exchange) {
      const body = decodeText(await exchange.readBody(BODY_BYTES_MAX))
      const partition = /^{"partition":"([-a-z0-9]+)"}$/.exec(body)?.[1]
      if (partition === undefined) throw badRequest('the body must be {"partition":"NAME"}')
      await readmit(partition)
      exchange.respond(200, { 'content-type': 'application/json' }, '{}')
    },
  }
}

function refuseNodes(isRefused: (name: string) => boolean): WriteCheck {
  return {
    group: nodes.group,
    resource: nodes.resource,
    check(write) {
      if (write.operation !== 'create' || write.info.subresource !== '' || !isRefused(nameOf(write))) return
      throw forbidden(nodes, nameOf(write), 'this partition is draining: join another one')
    },
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
