import { SYSTEM_TENANT } from '@centaurus/api'
import { nodeNameOf, type CreateExtension, type ForwardedAnswer, type ForwardedWrite } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import { nowhere } from '../membership/links.ts'
import type { Membership } from '../membership/membership.ts'
import type { TenantOwners } from '../membership/tenant-owners.ts'
import type { OpenLink, PartitionLink } from '../membership/partition-link.ts'
import { BatchSender } from './batch-sender.ts'
import type { BatchItem } from './batch-wire.ts'
import { originOf } from './copies.ts'
import { CopyAwaiter } from './copy-awaiter.ts'
import { toOriginal, versionOf, withVersion } from './node-writes.ts'

/** How long a node waits at most for its write to come back as a copy. */
const COPY_TIMEOUT_MS = 1_000
/** How long, and how often, a write is tried again that its partition did not take since the tenant moves. */
const MOVING_TIMEOUT_MS = 4_000
const MOVING_RETRY_MS = 50

export interface WriteForwardingDeps {
  readonly membership: Pick<Membership, 'self' | 'get'>
  readonly owners: TenantOwners
  readonly openLink: OpenLink
}

interface Peer {
  readonly endpoints: string
  readonly link: PartitionLink
  readonly sender: BatchSender
}

/**
 * Hands what nodes of this partition write to other partitions' objects (the status of a pod, an event, a request for a token) on to where these are
 * kept, and answers when the copy here shows it. When that partition can't be reached the node is told to come back; nothing is guessed.
 */
export function createWriteForwarding(deps: WriteForwardingDeps): CreateExtension {
  return ({ stored, clock, logger }) => {
    const awaiter = new CopyAwaiter(stored, clock)
    const peers = new Peers(deps, { clock, logger })
    /** A tenant that moves takes no writes for a moment; then its new partition does. A node would come back much later. */
    const sendAgain = async (first: string, write: ForwardedWrite): Promise<ForwardedAnswer> => {
      const { tenant } = write
      const deadlineMs = clock.monotonicMs() + MOVING_TIMEOUT_MS
      for (let owner = first; ;) {
        const answer = await peers.sender(owner).send(toItem(write))
        const mayRetry = answer.status === 503 && answer.retryAfter !== undefined
        if (!mayRetry || clock.monotonicMs() > deadlineMs) return answer
        await clock.sleep(MOVING_RETRY_MS)
        owner = deps.owners.ownerOf(tenant) ?? owner
        if (owner === deps.membership.self) return answer
      }
    }
    return {
      writeForwarder: {
        ownerOf: (tenant, copy) => {
          const origin = copy === undefined ? undefined : originOf(copy)?.partition
          if (tenant === SYSTEM_TENANT) return origin
          const owner = deps.owners.ownerOf(tenant) ?? origin
          return owner === deps.membership.self ? undefined : owner
        },
        async send(owner, write) {
          const answer = await sendAgain(owner, write)
          const { storeKey } = write
          const revision = storeKey === undefined ? undefined : versionOf(answer)
          if (storeKey === undefined || revision === undefined) return answer
          const copy = await awaiter.wait(storeKey, revision, COPY_TIMEOUT_MS)
          return copy === undefined ? answer : withVersion(answer, copy.revision)
        },
      },
      async close() {
        awaiter.close()
        await peers.close()
      },
    }
  }
}

function toItem(write: ForwardedWrite): BatchItem {
  const { user, method, path, contentType, accept } = write
  return {
    node: nodeNameOf(user),
    method,
    path,
    contentType,
    accept,
    body: Buffer.from(toOriginal(write)).toString('base64'),
  }
}

/** Senders by partition, each opened when it is first needed, and anew when the partition moves. */
class Peers {
  readonly #deps: WriteForwardingDeps
  readonly #tools: { readonly clock: Clock; readonly logger: Logger }
  readonly #peers = new Map<string, Peer>()

  constructor(deps: WriteForwardingDeps, tools: { readonly clock: Clock; readonly logger: Logger }) {
    this.#deps = deps
    this.#tools = tools
  }

  sender(name: string): BatchSender {
    const partition = this.#deps.membership.get(name)
    const known = this.#peers.get(name)
    const endpoints = partition?.spec.endpoints.join(' ') ?? ''
    if (known !== undefined && known.endpoints === endpoints) return known.sender
    if (known !== undefined) void close(known)
    const link = this.#deps.openLink(partition ?? nowhere(name))
    const sender = new BatchSender({ peer: name, link, ...this.#tools })
    this.#peers.set(name, { endpoints, link, sender })
    return sender
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#peers.values(), close))
    this.#peers.clear()
  }
}

async function close({ sender, link }: Peer): Promise<void> {
  sender.close()
  await link.close()
}
