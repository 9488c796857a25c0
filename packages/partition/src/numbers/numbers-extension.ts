import { forbidden } from '@centaurus/api'
import { partitions } from '@centaurus/api/centaurus/v1'
import type { CreateExtension } from '@centaurus/apiserver'
import type { Store } from '@centaurus/store'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink } from '../membership/partition-link.ts'
import { requireMember } from '../membership/require-member.ts'
import { leaveVniBlock } from '../vpcs/vni-allocator.ts'
import { formatNumbers, NUMBERS_PATH, readNumbers } from './known-numbers.ts'
import { PeerNumbers } from './peer-numbers.ts'
import { raiseNextVni, respectIdentities, respectVnis } from './respect-numbers.ts'

export interface NumbersExtensionDeps {
  readonly membership: Membership
  readonly openLink: OpenLink
  readonly store: Store
  /** True in the partition that keeps the registry. */
  readonly isHome: boolean
}

/** What `POST` to {@link NUMBERS_PATH} answers. */
export interface RespectedNumbers {
  /** Partitions that have told which numbers they know of. */
  readonly heard: readonly string[]
  /** Networks here, as `tenant/name`, whose pods have a number that another network has. */
  readonly twice: readonly string[]
}

/**
 * `GET /partition/v1/numbers` tells another partition which numbers of networks and identities this one knows of. `POST`, for operators, has this one ask all others,
 * and neither give nor keep what any of them knows otherwise ({@link RespectedNumbers}). It is the first step of readmitting a partition whose store may be old:
 * that says that numbers are free which others have seen.
 */
export function createNumbersExtension({ membership, openLink, store, isHome }: NumbersExtensionDeps): CreateExtension {
  return (core) => {
    const peers = new PeerNumbers({ membership, openLink, logger: core.logger })
    const tell = async (peer: string, wantsHolders: boolean): Promise<string> => {
      if (membership.get(peer) === undefined) throw forbidden(partitions, peer, 'it is not a partition of this cluster')
      return formatNumbers(await readNumbers({ store, stored: core.stored }, { peer, wantsHolders }))
    }
    const respect = async (): Promise<RespectedNumbers> => {
      const { numbers, heard } = await peers.ask()
      if (isHome) await raiseNextVni(core.client, numbers.nextVni)
      await leaveVniBlock(store)
      await core.stored.waitCurrent()
      await respectIdentities(core, numbers)
      return { heard, twice: await respectVnis(core, numbers) }
    }
    return {
      routes: [
        {
          path: NUMBERS_PATH,
          methods: ['GET', 'POST'],
          async handle(exchange, context) {
            const answer =
              exchange.method === 'GET'
                ? await tell(requireMember(context), exchange.query.get('holders') === 'true')
                : JSON.stringify(await respect())
            exchange.respond(200, { 'content-type': 'application/json' }, answer)
          },
        },
      ],
      close: () => peers.close(),
    }
  }
}
