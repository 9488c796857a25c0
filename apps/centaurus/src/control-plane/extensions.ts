import {
  createAccessExtension,
  createApiServicesExtension,
  createCrdExtension,
  createDiscoveryExtension,
  createNetworkExtension,
  createOpenApiExtension,
  createProxyExtension,
  createQueueExtension,
  createResourceMetricsExtension,
  createTrainingExtension,
  KUBELET_CLIENT_IDENTITY,
  type ClusterCertificates,
  type CreateExtension,
  type OidcOptions,
  type ProxyOptions,
  type ResourceMetricsOptions,
  type TokenSigner,
} from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import {
  createBatchServer,
  createClaimsExtension,
  createMembership,
  createMembershipExtension,
  createMoveSource,
  createNodePortsExtension,
  createNumbersExtension,
  createPeerUsage,
  createPolicyStatusExtension,
  createReachNodes,
  createRegistryExtension,
  createRelaySource,
  createRequestForwarding,
  createTenantsExtension,
  createWriteForwarding,
  readmitHome,
} from '@centaurus/partition'
import type { Store } from '@centaurus/store'
import { serviceNetworksOf } from '../service-ranges.ts'
import { readDescriptions } from '../descriptions.ts'
import type { PartitionSetup } from './partition-setup.ts'
import { createPeersExtension, withMembership, type PartitionShared } from './shared.ts'

export interface ExtensionsOptions {
  readonly certificates: ClusterCertificates
  readonly advertiseAddress: string
  readonly port: number
  /** OpenID Connect issuers whose tokens are believed; default none. */
  readonly oidc?: readonly OidcOptions[] | undefined
  /** Asked after who the caller is known, before everything else. */
  readonly more?: readonly CreateExtension[] | undefined
  /** The way to nodes of other partitions; absent: there are none. */
  readonly reach?: ProxyOptions['reach']
  /** The way to what they use. */
  readonly usage?: ResourceMetricsOptions['peers']
}

/** What is served beyond the built-in kinds, in the order in which it is asked. */
export async function createExtensions(options: ExtensionsOptions, signer: TokenSigner): Promise<CreateExtension[]> {
  const { certificates, advertiseAddress, port, oidc } = options
  const toNodes = await certificates.client('apiserver-kubelet-client', KUBELET_CLIENT_IDENTITY)
  const tls = { ca: certificates.authority.certificatePem, cert: toNodes.certificatePem, key: toNodes.keyPem }
  return [
    createAccessExtension({ signer, oidc }),
    ...(options.more ?? []),
    createDiscoveryExtension({ serverAddress: `${advertiseAddress}:${port}` }),
    createOpenApiExtension({ descriptions: readDescriptions }),
    createCrdExtension(),
    createApiServicesExtension(),
    createProxyExtension({ tls, reach: options.reach }),
    createResourceMetricsExtension({ tls, peers: options.usage }),
  ]
}

export interface PartitionExtensionsOptions {
  readonly partition: PartitionSetup
  readonly store: Store
  readonly shared: PartitionShared
  readonly clock: Clock
  readonly logger: Logger
}

/** What makes a server a partition: the registry, and what its roles offer to other partitions. */
export function partitionExtensions(options: PartitionExtensionsOptions): CreateExtension[] {
  const { partition, store, shared, clock, logger } = options
  const { name, homeEndpoints } = partition
  const { peers, claims, fences, identity, openLink, owners, storeState } = shared
  const isHome = homeEndpoints === undefined
  const whyFenced = (peer: string): string | undefined => peers.whyFenced(peer)
  return [
    withMembership(name, (membership) => createPeersExtension(peers, membership)),
    withMembership(name, (membership) =>
      createMembershipExtension({
        self: name,
        home: isHome,
        async readmit(peer) {
          await peers.readmit(peer)
          if (!isHome && membership.get(peer)?.spec.home === true) await readmitHome(store)
        },
      }),
    ),
    withMembership(name, (membership) => createRequestForwarding({ membership, identity, fences })),
    createRegistryExtension(),
    withMembership(name, (membership) =>
      createNetworkExtension({ hostsSystem: isHome, serviceRanges: () => serviceNetworksOf(membership.list()) }),
    ),
    createQueueExtension(),
    createTrainingExtension(),
    withMembership(name, (membership) => createPolicyStatusExtension({ membership, openLink })),
    createNodePortsExtension(shared.nodePorts),
    withMembership(name, (membership) => createNumbersExtension({ membership, openLink, store, isHome })),
    ...(isHome ? [createTenantsExtension()] : []),
    ...(claims === undefined
      ? []
      : [
          withMembership(name, (membership) =>
            createClaimsExtension({ claims, membership, store, storeState, whyFenced }),
          ),
          withMembership(name, (membership) => createWriteForwarding({ membership, owners, openLink })),
        ]),
    ...(fences === undefined
      ? []
      : [
          withMembership(name, (membership) =>
            createMoveSource({ store, fences, membership: () => membership, clock, logger }),
          ),
          withMembership(name, (membership) => createRelaySource({ store, membership })),
          withMembership(name, (membership) => createBatchServer({ membership })),
        ]),
  ]
}

/** The way to nodes of other partitions. */
export function reachNodes({ name }: PartitionSetup, { identity }: PartitionShared): ProxyOptions['reach'] {
  return ({ reader }) => createReachNodes({ ...identity, membership: createMembership(reader, name) })
}

/** The way to what other partitions' nodes use, and theirs to this one's. */
export function peerUsage({ name }: PartitionSetup, { openLink }: PartitionShared): ResourceMetricsOptions['peers'] {
  return ({ reader }) => createPeerUsage({ membership: createMembership(reader, name), openLink })
}
