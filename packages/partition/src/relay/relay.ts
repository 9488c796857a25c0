import type { ApiServer } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import type { PeerStates } from '../epoch/peer-states.ts'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink, PartitionLink } from '../membership/partition-link.ts'
import type { TenantOwners } from '../membership/tenant-owners.ts'
import { RelaySink, type OnSynced } from './relay-sink.ts'

export interface RelayDeps {
  readonly server: Pick<ApiServer, 'stored' | 'client'>
  readonly store: Store
  readonly membership: Membership
  readonly owners: TenantOwners
  readonly openLink: OpenLink
  /** Started. */
  readonly peers: PeerStates
  readonly clock: Clock
  readonly logger: Logger
  /**
   * Called when all copies show what the peer had bound before this epoch of its scheduler began, and again when the same is true of a tenant that
   * came to it: claims without a pod can be given back.
   */
  readonly onSynced?: OnSynced | undefined
}

/** Streams from every tenant partition to this one. */
export interface Relay {
  /** True while everything that the partition has for this one's nodes is here, as far as it said. */
  isSynced(partition: string): boolean
  /**
   * True when everything that the nodes here need of the tenant is a copy of what its present partition has. When something was left alone that
   * should be a copy by now, it is asked for again.
   */
  holdsAll(tenant: string): boolean
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
      const sink = new RelaySink({
        ...rest,
        peer: name,
        self: membership.self,
        link,
        stored: server.stored,
        client,
        isArriving: (tenant) => isArriving(membership, tenant),
      })
      peers.set(name, { endpoints: partition.spec.endpoints.join(' '), link, sink })
    }
  }
  const stopListening = membership.onChange(review)
  review()
  return {
    isSynced: (partition) => peers.get(partition)?.sink.synced === true,
    holdsAll: (tenant) => peers.get(deps.owners.ownerOf(tenant) ?? '')?.sink.holdsAll(tenant) === true,
    async close() {
      stopListening()
      for (const [name, peer] of Array.from(peers)) stop(name, peer)
      await Promise.all(closing)
    },
  }
}

/** Whether the registry wants the tenant here and has it elsewhere. */
function isArriving({ self, tenant }: Membership, name: string): boolean {
  const found = tenant(name)
  const isWanted = found?.spec?.partition === self && found.metadata.deletionTimestamp === undefined
  return isWanted && found.status?.partition !== undefined && found.status.partition !== self
}
