import type { ApiServer } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import type { PeerStates } from '../epoch/peer-states.ts'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink, PartitionLink } from '../membership/partition-link.ts'
import { RelaySink } from './relay-sink.ts'

export interface RelayDeps {
  readonly server: Pick<ApiServer, 'stored' | 'client'>
  readonly store: Store
  readonly membership: Membership
  readonly openLink: OpenLink
  /** Started. */
  readonly peers: PeerStates
  readonly clock: Clock
  readonly logger: Logger
  /** Called when all copies show what the peer had bound before this epoch of its scheduler began: claims without a pod can be given back. */
  readonly onSynced?: ((peer: string, epoch: number) => void) | undefined
}

/** Streams from every tenant partition to this one. */
export interface Relay {
  /** True while everything that the partition has for this one's nodes is here, as far as it said. */
  isSynced(partition: string): boolean
  close(): Promise<void>
}

interface Peer {
  readonly endpoints: string
  readonly link: PartitionLink
  readonly sink: RelaySink
}

/** Follows every other tenant partition of the cluster, from when it joins to when it leaves. One server of a partition does. */
export function startRelay(deps: RelayDeps): Relay {
  const { membership, openLink, server, ...rest } = deps
  const peers = new Map<string, Peer>()
  const closing = new Set<Promise<void>>()
  const client = server.client()
  const stop = (name: string, { link, sink }: Peer): void => {
    peers.delete(name)
    const closed = Promise.all([sink.close(), link.close()]).then(() => void closing.delete(closed))
    closing.add(closed)
  }
  const review = (): void => {
    const wanted = new Map(
      membership.list().flatMap((partition) => {
        const { name } = partition.metadata
        return name !== membership.self && partition.spec.roles.includes('Tenant') ? [[name, partition] as const] : []
      }),
    )
    for (const [name, peer] of peers) {
      const endpoints = wanted.get(name)?.spec.endpoints.join(' ')
      if (endpoints !== peer.endpoints) stop(name, peer)
    }
    for (const [name, partition] of wanted) {
      if (peers.has(name)) continue
      const link = openLink(partition)
      const ownerOf = (tenant: string): string | undefined => membership.tenant(tenant)?.status?.partition
      const sink = new RelaySink({
        ...rest,
        peer: name,
        self: membership.self,
        link,
        stored: server.stored,
        client,
        ownerOf,
      })
      peers.set(name, { endpoints: partition.spec.endpoints.join(' '), link, sink })
    }
  }
  const stopListening = membership.onChange(review)
  review()
  return {
    isSynced: (partition) => peers.get(partition)?.sink.synced === true,
    async close() {
      stopListening()
      for (const [name, peer] of Array.from(peers)) stop(name, peer)
      await Promise.all(closing)
    },
  }
}
