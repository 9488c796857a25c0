import type { ClusterCertificates, CreateExtension } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import {
  ClaimBook,
  claimStore,
  createMembership,
  createOpenLink,
  issuePartitionCertificate,
  NodePorts,
  PeerStates,
  TenantFences,
  TenantOwners,
  TenantPriorities,
  type LinkIdentity,
  type Membership,
  type OpenLink,
  type PreemptionRules,
  readStoreState,
  recordStart,
  type StoreState,
} from '@centaurus/partition'
import type { Store } from '@centaurus/store'
import type { PartitionSetup } from './partition-setup.ts'

/** What one server of a partition has once, for its extensions and for the parts that it runs while it leads. */
export interface PartitionShared {
  readonly identity: LinkIdentity
  readonly openLink: OpenLink
  /** Where tenants' originals are. */
  readonly owners: TenantOwners
  /** What tenants' priorities count beside those of others. */
  readonly priorities: TenantPriorities
  /** What it remembers of other partitions' stores. */
  readonly peers: PeerStates
  /** Ports of nodes that its Services may have. */
  readonly nodePorts: NodePorts
  /** Room on its nodes; undefined in a partition without nodes. */
  readonly claims: ClaimBook | undefined
  /** What it may do for its tenants; undefined in a partition without tenants. */
  readonly fences: TenantFences | undefined
  /** Identity and present revision of its own store. */
  readonly storeState: () => Promise<StoreState>
  /** Tells it who is in the cluster, as soon as the server that knows is made. */
  join(membership: Membership): void
}

export interface SharedOptions {
  readonly store: Store
  readonly certificates: ClusterCertificates
  readonly partition: PartitionSetup
  readonly clock: Clock
  readonly logger: Logger
}

/** Makes it; what has to be loaded is loaded when the server's extensions start. */
export async function createShared(options: SharedOptions): Promise<PartitionShared> {
  const { store, certificates, partition, clock, logger } = options
  const deps = { store, clock, logger }
  const late: { membership?: Membership } = {}
  const owners = new TenantOwners(() => late.membership)
  const priorities = new TenantPriorities()
  const peers = new PeerStates(deps)
  const rules: PreemptionRules = {
    maxPriorityOf: (tenant) => priorities.maxPriorityOf(tenant),
    canEvict: (name) => priorities.isThere(name) && peers.whyFenced(name) === undefined,
  }
  const ownerOf = (tenant: string): string | undefined => owners.ownerOf(tenant)
  await claimStore(store, partition.name)
  // Servers that share a store start at any time: what one of them is told of the others' starts would be old.
  if (partition.serverName === undefined) await recordStart(store)
  const certificate = await issuePartitionCertificate(certificates, partition.name)
  const identity: LinkIdentity = { ca: certificates.authority.certificatePem, certificate, clock }
  const openLink = createOpenLink(identity)
  return {
    identity,
    owners,
    openLink,
    nodePorts: new NodePorts({ store, openLink, membership: () => late.membership, clock }),
    peers,
    priorities,
    claims: partition.roles.includes('Resource') ? new ClaimBook({ ...deps, ownerOf, rules }) : undefined,
    fences: partition.roles.includes('Tenant') ? new TenantFences(deps) : undefined,
    join(membership) {
      late.membership = membership
      priorities.follow(membership)
    },
    storeState: () => readStoreState(store),
  }
}

/**
 * Loads what is remembered of other partitions before requests are taken, and keeps it when the server stops. A partition that was removed is
 * forgotten: another one may have its name later.
 */
export function createPeersExtension(peers: PeerStates, membership: Membership): CreateExtension {
  return ({ logger }) => {
    let known = new Set<string>()
    const review = (): void => {
      const present = new Set(membership.list().map(({ metadata }) => metadata.name))
      for (const name of known) {
        if (present.has(name)) continue
        peers.readmit(name).catch((error: unknown) => {
          logger.warn('Could not forget a partition that was removed', { partition: name, error })
        })
      }
      known = present
    }
    let remove: (() => void) | undefined
    return {
      async start() {
        await peers.start()
        remove = membership.onChange(review)
        review()
      },
      async close() {
        remove?.()
        await peers.close()
      },
    }
  }
}

/** For an extension that reads who is in the cluster. */
export function withMembership(self: string, create: (membership: Membership) => CreateExtension): CreateExtension {
  return (core) => create(createMembership(core.reader, self))(core)
}
