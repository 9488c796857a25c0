import { forbidden } from '@centaurus/api'
import type { ContainersUsage, PeerUsage } from '@centaurus/apiserver'
import { Links } from '../membership/links.ts'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink } from '../membership/partition-link.ts'
import { requireMember } from '../membership/require-member.ts'
import {
  formatUsageAnswer,
  parseUsageAnswer,
  parseUsageRequest,
  splitAsks,
  USAGE_BODY_BYTES_MAX,
  USAGE_PATH,
} from './usage-wire.ts'

/** The other partition gives its nodes 20 s; then it answers with what it has. */
const ANSWER_MS_MAX = 25_000

export interface PeerUsageDeps {
  readonly membership: Pick<Membership, 'self' | 'get'>
  readonly openLink: OpenLink
}

/**
 * Asks a partition what pods on its nodes use: one request for all of them, over one connection, however many nodes they are on; further requests
 * only beyond {@link splitAsks}' limit. The partition asks its nodes, and tells of no pods but those that were asked for.
 */
export function createPeerUsage({ membership, openLink }: PeerUsageDeps): PeerUsage {
  const links = new Links(membership, openLink)
  return {
    self: membership.self,
    async ask(partition, asks) {
      const link = links.of(partition)
      const found = new Map<string, ContainersUsage>()
      for (const nodes of splitAsks(asks)) {
        const { status, body } = await link.request({
          method: 'POST',
          path: USAGE_PATH,
          body: { nodes },
          signal: AbortSignal.timeout(ANSWER_MS_MAX),
        })
        if (status !== 200) throw new Error(`Partition "${partition}" answered with ${status}`)
        for (const [uid, containers] of parseUsageAnswer(body)) found.set(uid, containers)
      }
      return found
    },
    serve: (usageOf) => ({
      path: USAGE_PATH,
      methods: ['POST'],
      async handle(exchange, context) {
        const member = requireMember(context)
        if (membership.get(member) === undefined) {
          const what = { group: 'centaurus.io', resource: 'partitions' }
          throw forbidden(what, member, 'it is not a partition of this cluster')
        }
        const usage = await usageOf(parseUsageRequest(await exchange.readBody(USAGE_BODY_BYTES_MAX)))
        exchange.respond(200, { 'content-type': 'application/json' }, formatUsageAnswer(usage))
      },
    }),
    close: () => links.close(),
  }
}
