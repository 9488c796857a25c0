import { ALL_TENANTS } from '@centaurus/api'
import { pods } from '@centaurus/api/core/v1'
import {
  fillTokenSecret,
  isInQuotaScope,
  quotaUsageOf,
  SERVER_USER,
  SYSTEM_TENANT,
  type ApiServer,
  type ClusterCertificates,
  type TokenSigner,
  type UserInfo,
} from '@centaurus/apiserver'
import { parseCertificateRequest, signCertificateRequest } from '@centaurus/apiserver/certificates'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'
import {
  controllerNames,
  discoverFrom,
  startControllers,
  type ControllerDeps,
  type ControllerInputs,
  type ControllerName,
} from '@centaurus/controllers'
import {
  acquireEpoch,
  BoundPodClaimer,
  ClaimAuditor,
  createClaimBinder,
  createForeignUse,
  createHostedInformers,
  createIsBound,
  createNodesSource,
  createPodBlocks,
  PartitionReach,
  PeerNumbers,
  partitionClientConfig,
  startMover,
  startPortKeeper,
  startReclaimer,
  startRelay,
  startRemoteNodes,
  startTenants,
  startVpcs,
  withNodes,
  type BoundPodClaimerDeps,
  type ClaimAuditorDeps,
  type Hosting,
  type Membership,
  type ReclaimerDeps,
  type Relay,
} from '@centaurus/partition'
import { startScheduler } from '@centaurus/scheduler'
import { remotenodes, type PartitionRole } from '@centaurus/api/centaurus/v1'
import type { Store } from '@centaurus/store'
import type { Closable } from './leadership.ts'
import type { PartitionSetup } from './partition-setup.ts'
import type { PartitionShared } from './shared.ts'

/** Controllers of what nodes are; they run where the nodes are. */
const NODE_CONTROLLERS: ReadonlySet<ControllerName> = new Set([
  'node-lifecycle-controller',
  'node-object-collector-controller',
  'node-ipam-controller',
  'certificatesigningrequest-approving-controller',
  'certificatesigningrequest-signing-controller',
  'certificatesigningrequest-cleaner-controller',
])

export interface PartsOptions {
  readonly partition: PartitionSetup
  readonly certificates: ClusterCertificates
  readonly signer: TokenSigner
  readonly store: Store
  readonly shared: PartitionShared
  readonly membership: Membership
  /** Of the home partition's `system` tenant. Stays open. */
  readonly registryClient: Client
  /** Stops these parts: another server leads. */
  readonly resign: () => void
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** Starts controllers and scheduler, as far as the partition's roles ask for them: one set for all of its tenants. */
export async function startParts(server: ApiServer, options: PartsOptions): Promise<Closable> {
  const { clock, random, logger, partition, signer } = options
  const view = createInformerFactory(server.client({ ...SERVER_USER, tenant: ALL_TENANTS }), { clock, random, logger })
  const informers = createHostedInformers(view, hostingOf(server, partition), logger)
  const deps = { informers, clock, random, logger, ...controllerInputs(server, options, signer) }
  const running: Closable[] = []
  let relay: Relay | undefined
  if (partition.roles.includes('Resource')) {
    const client = server.client(componentUser('kube-controller-manager'))
    const nodeCidrs = createPodBlocks(options)
    running.push(startControllers({ ...deps, client, nodeCidrs, names: controllersOf('Resource') }))
    running.push((relay = startRelayOf(server, options)))
    running.push(startRemoteNodesOf(server, view, options))
  }
  const { nodePorts } = options.shared
  const hasTenants = partition.roles.includes('Tenant')
  if (hasTenants) running.push(await startTenantParts(server, { ...options, deps }))
  running.push(startPortKeeper({ nodePorts, stored: server.stored, hasTenants, clock, logger }))
  if (options.partition.homeEndpoints === undefined || hasTenants)
    running.push(...startTenantLife(server, { ...options, relay }))
  return {
    async close() {
      await Promise.all(running.map((part) => part.close()))
      await informers.close()
    },
  }
}

type Shared = Omit<ControllerInputs, 'client'>

/** What runs on the nodes here comes from all tenant partitions; room whose pod never came is given back. */
function startRelayOf(server: ApiServer, options: PartsOptions): Relay {
  const { shared, logger } = options
  const { claims, peers, openLink, owners } = shared
  return startRelay({
    ...options,
    server,
    peers,
    openLink,
    owners,
    onSynced(partition, { epoch, isKnown }) {
      const isBound = createIsBound(claims!, server.reader)
      claims?.reconcile(partition, { epoch, isBound, isKnown }).catch((error: unknown) => {
        logger.warn('Could not look for room without pods', { partition, error }) // at the next epoch, or start
      })
    },
  })
}

/** Its nodes learn where pods on other partitions' nodes are. */
function startRemoteNodesOf(server: ApiServer, view: InformerFactory, options: PartsOptions): Closable {
  const { shared } = options
  return startRemoteNodes({
    ...options,
    openClient: ({ spec }) => createHttpClient(partitionClientConfig(spec.endpoints, shared.identity)),
    whyFenced: (partition) => shared.peers.whyFenced(partition),
    client: server.client(SERVER_USER),
    informer: view.informer(remotenodes),
  })
}

/** Pods find nodes of every resource partition, claim room there, and are looked after. */
async function startTenantParts(
  server: ApiServer,
  { deps, ...options }: PartsOptions & { readonly deps: Shared },
): Promise<Closable> {
  const { store, shared, membership, clock, random, logger } = options
  const whyFenced = (partition: string): string | undefined => shared.peers.whyFenced(partition)
  const { epoch } = await acquireEpoch(store)
  const nodes = createNodesSource({
    membership,
    openClient: ({ metadata, spec }) =>
      metadata.name === membership.self
        ? server.client(SERVER_USER)
        : createHttpClient(partitionClientConfig(spec.endpoints, shared.identity)),
    whyFenced,
    clock,
    random,
    logger,
  })
  const partitionOf = (node: string): string | undefined => nodes.partitionOf(node)
  const common = { membership, openLink: shared.openLink, localClaims: shared.claims, clock, random, logger }
  const reach = new PartitionReach({ self: membership.self, peers: shared.peers, clock })
  const foreignUse = createForeignUse({ ...common, peers: shared.peers, reach })
  const schedulerClient = server.client(componentUser('kube-scheduler', ALL_TENANTS))
  const binder = createClaimBinder({
    ...common,
    client: schedulerClient,
    epoch,
    partitionOf,
    whyFenced,
    reach,
    onDeposed: options.resign,
  })
  const keepers = startClaimKeepers({
    ...common,
    peers: shared.peers,
    pods: deps.informers.informer(pods),
    client: schedulerClient,
    binder,
    epoch,
    partitionOf,
  })
  const informers = withNodes(deps.informers, nodes)
  const scheduler = startScheduler({
    ...deps,
    informers,
    client: schedulerClient,
    binder,
    foreignUse,
    reach: reach.ofNodes(partitionOf),
    maxPriorityOf: (tenant) => shared.priorities.maxPriorityOf(tenant),
  })
  const controllers = startTenantControllers(server, { ...options, deps: { ...deps, informers, nodeAuthority: nodes } })
  return {
    async close() {
      await Promise.all([scheduler.close(), controllers.close()])
      await keepers.close()
      await Promise.all([binder.close(), foreignUse.close(), nodes.close()])
      reach.close()
    },
  }
}

/** They ask other partitions before they give numbers. */
function startTenantControllers(
  server: ApiServer,
  { deps, ...options }: PartsOptions & { readonly deps: Shared },
): Closable {
  const user = componentUser('kube-controller-manager', ALL_TENANTS)
  const client = server.client({ ...user, groups: ['system:masters', ...user.groups] })
  const numbers = new PeerNumbers({ ...options, openLink: options.shared.openLink })
  const controllers = startControllers({
    ...deps,
    client,
    nextIdentityElsewhere: (uid) => numbers.nextIdentity(uid),
    names: controllersOf('Tenant'),
  })
  const networks = startVpcs({
    ...options,
    ...deps,
    client,
    tenants: server.tenants,
    nextVniElsewhere: () => numbers.nextVni(),
  })
  return {
    async close() {
      await Promise.all([controllers.close(), networks.close()])
      await numbers.close()
    },
  }
}

/** What keeps claims and pods in agreement, whatever happened to whom. */
function startClaimKeepers(deps: BoundPodClaimerDeps & ClaimAuditorDeps & ReclaimerDeps): Closable {
  const keepers: Closable[] = [new BoundPodClaimer(deps), new ClaimAuditor(deps), startReclaimer(deps)]
  return {
    async close() {
      await Promise.all(keepers.map((keeper) => keeper.close()))
    },
  }
}

/** Home decides where tenants live; the partitions of their own make, move and delete them. */
function startTenantLife(
  server: ApiServer,
  { relay, ...options }: PartsOptions & { readonly relay: Relay | undefined },
): Closable[] {
  const { store, shared, membership, registryClient, clock, logger } = options
  const deps = { store, membership, registryClient, clock, logger }
  const { fences, openLink } = shared
  return [
    startTenants({ ...deps, server, onGone: async (tenant) => fences?.remove(tenant) }),
    ...(fences === undefined
      ? []
      : [
          startMover({
            ...deps,
            fences,
            openLink,
            isTakenOver: relay === undefined ? undefined : (tenant) => relay.holdsAll(tenant),
            dropUsage: (tenant) => server.dropTenantUsage(tenant),
          }),
        ]),
  ]
}

/**
 * The `system` tenant of a partition that is not home holds nothing that controllers work on: pods of operators live in home, and what
 * there is of them here are copies.
 */
function hostingOf({ tenants }: ApiServer, { homeEndpoints }: PartitionSetup): Hosting {
  return {
    isHosted: (tenant) => (tenant === SYSTEM_TENANT ? homeEndpoints === undefined : tenants.isHosted(tenant)),
    onChange: (listener) => tenants.onChange(listener),
  }
}

/** Those that a partition with this role runs. */
export function controllersOf(role: PartitionRole): ControllerName[] {
  return controllerNames.filter((name) => NODE_CONTROLLERS.has(name) === (role === 'Resource'))
}

/** What controllers need of the server that they belong to. */
export function controllerInputs(
  server: ApiServer,
  { certificates, clock }: Pick<PartsOptions, 'certificates' | 'clock'>,
  signer: TokenSigner,
): Omit<ControllerInputs, keyof ControllerDeps> {
  const caPem = certificates.authority.certificatePem
  return {
    discovery: discoverFrom(server.registries.of(ALL_TENANTS)),
    rootCa: caPem,
    quotaRules: { usageOf: quotaUsageOf, isInScope: isInQuotaScope },
    fillTokenSecret: (secret, account) => fillTokenSecret(secret, account, { signer, caPem }),
    certificateSigner: {
      parse: parseCertificateRequest,
      sign: (asked) => signCertificateRequest(certificates.authority, clock, asked),
    },
  }
}

/** Who writes what in managed fields and in the log. Calls inside the process are not authorized again. */
export function componentUser(name: string, tenant: string = SYSTEM_TENANT): UserInfo {
  return { name: `system:${name}`, uid: '', groups: ['system:authenticated'], extra: {}, tenant }
}
