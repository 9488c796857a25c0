import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client, InformerFactory } from '@centaurus/client'
import { createChannelKeeper, type ChannelKeeper } from '../channels/channel-keeper.ts'
import type { ChannelProgram } from '../channels/channel-service.ts'
import { gatherChannels, whyNoChannels } from '../channels/gather-channels.ts'
import { planChannels } from '../channels/plan-channels.ts'
import { attachmentsDir, AttachmentStore } from '../cni/attachment-store.ts'
import { startCniServer } from '../cni/cni-server.ts'
import { deletionsDir, DeletionSpool } from '../cni/deletion-spool.ts'
import { PodAttachments } from '../cni/pod-attachments.ts'
import { startClusterDns, type ClusterDns } from '../dns/cluster-dns.ts'
import type { DnsCounters } from '../dns/counters.ts'
import type { Dataplane } from '../dataplane/dataplane.ts'
import { describeEgress } from '../egress/describe-egress.ts'
import { startEgress } from '../egress/egress-keeper.ts'
import { ensureHostNetwork, type HostNetwork, type HostNetworkOptions } from '../host/host-network.ts'
import { HOST_DEVICE } from '../host/host-plan.ts'
import { systemPodHost } from '../host/pod-host.ts'
import { createNodeBlocks } from '../ipam/address-blocks.ts'
import type { HeldSockets } from '../kernel/held-sockets.ts'
import { PolicyReporter } from '../policy-report/policy-reporter.ts'
import { reportTenant } from '../policy-report/report-tenant.ts'
import { TRANSIT_CIDR } from '../ipam/ipam.ts'
import { createVpcBlocks } from '../ipam/vpc-blocks.ts'
import { RuleBook } from '../policy/rule-book.ts'
import { createHealthCheckServer } from '../services/health-check-server.ts'
import { ClusterView } from './cluster-view.ts'
import { findDnsClient } from './dns-clients.ts'
import { DropLog } from './drop-log.ts'
import { createDropNames, gatherReadings, gatherStatus, type StatusSources } from './gather-status.ts'
import { startHostKeeper } from './host-keeper.ts'
import { describeShaping, readStatedBandwidth } from './describe-shaping.ts'
import { startShapingKeeper, type ShapingKeeper, type ShapingKeeperDeps } from './shaping-keeper.ts'
import { startLocalServer } from './local-server.ts'
import { createNetworkMetrics } from './metrics.ts'
import { describeNetwork, startNodeCondition } from './node-condition.ts'
import { OutsideKeeper } from './outside-keeper.ts'
import { PodNetworks, type AppliedChange } from './pod-networks.ts'
import { createPodSource } from './pod-source.ts'
import { internalAddressOf, podBlocksOf, podNetworksOf } from './topology.ts'

export interface NetworkDaemonOptions {
  readonly nodeName: string
  /** As the node's agent: writes the Node's condition, and tells tenants of settings of DNS that are wrong. */
  readonly client: Client
  /** As the node's agent: pods of the node. */
  readonly podInformers: InformerFactory
  /** With a view over all tenants. */
  readonly informers: InformerFactory
  /** Folder for what must outlive the process. */
  readonly stateDir: string
  /** Where the runtime's plugin asks. */
  readonly cniSocket: string
  /** Where people and Prometheus ask. */
  readonly localSocket: string
  /** Blocks of all the cluster's pods. */
  readonly podNetworks: readonly string[]
  /** Where addresses of Services are; undefined: not known yet. */
  readonly serviceCIDRs: () => readonly string[] | undefined
  readonly dns: {
    readonly address: string
    readonly domain: string
    /** Held by who started this process: questions wait in them until it answers. */
    readonly sockets?: HeldSockets | undefined
  }
  /** Ids of the runtime's sandboxes; undefined: it does not say. */
  readonly listSandboxes: () => Promise<ReadonlySet<string> | undefined>
  /** What carries connections between sandboxes past the network; undefined: the sandbox runtime is not here now. */
  readonly channels: () => ChannelProgram | undefined
  /** Loads the programs and attaches them to the host's devices; rejects with what to do when this kernel can't. */
  readonly openDataplane: (host: HostNetwork) => Promise<Dataplane>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface NetworkDaemon {
  /** Resolves when pods can be attached and everything is in the kernel. */
  readonly ready: Promise<void>
  /** Stops following; programs and tables stay, so that traffic goes on. */
  close(): Promise<void>
}

/** The same in every network namespace of Linux. */
const LOOPBACK_IFINDEX = 1
/** How often the daemon looks whether it is ready. */
const LOOK_MS = 50

/**
 * The network of this host's pods. Rejects when the host can't have one, with what to do; everything else, such as an API server that is away, is waited for.
 */
export async function startNetworkDaemon(options: NetworkDaemonOptions): Promise<NetworkDaemon> {
  const { nodeName, podInformers, informers, clock, logger, client } = options
  const stop = new AbortController()
  const view = new ClusterView({ podInformers, informers, nodeName })
  const closers: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    stop.abort(new Error('The network daemon stops'))
    for (const closer of closers.toReversed()) await closer()
  }
  let problem = (): string | undefined => 'The network daemon has just begun'
  closers.push(startNodeCondition({ client, view, clock, logger, describe: () => describeNetwork(problem()) }).close)
  problem = () => 'This node has no spec.podCIDR yet: the controller node-ipam gives it one'
  const running = (async () => {
    const podCIDR = await waitForBlock(view, { clock, signal: stop.signal })
    problem = () => 'The API has not said yet which addresses Services have'
    while (options.serviceCIDRs() === undefined) await clock.sleep(LOOK_MS, { signal: stop.signal })
    const started = await startOnHost(options, { view, podCIDR, closers, signal: stop.signal })
    problem = started.problem
    while (problem() !== undefined) await clock.sleep(LOOK_MS, { signal: stop.signal })
    started.serveChannels()
    logger.info('The pod network is ready', { node: nodeName, podCIDR })
  })()
  running.catch(() => {}) // told by `ready`
  return {
    ready: running,
    async close() {
      await close()
      await running.catch(() => {}) // it ends because it is told to
    },
  }
}

async function waitForBlock(
  view: ClusterView,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<string> {
  for (;;) {
    const [block] = view.ownNode === undefined ? [] : podBlocksOf(view.ownNode)
    if (block !== undefined) return block
    await clock.sleep(LOOK_MS, { signal })
  }
}

interface OnHost {
  readonly view: ClusterView
  readonly podCIDR: string
  /** What is started is added. */
  readonly closers: (() => Promise<void> | void)[]
  /** Aborts when the daemon stops. */
  readonly signal: AbortSignal
}

async function startOnHost(
  options: NetworkDaemonOptions,
  { view, podCIDR, closers, signal }: OnHost,
): Promise<{ problem(): string | undefined; serveChannels(): void }> {
  const { clock, random, logger, dns } = options
  const reporter = new PolicyReporter(options)
  closers.push(() => reporter.close())
  const hostOptions = hostOptionsOf(options, { view, podCIDR })
  const host = await ensureHostNetwork(hostOptions)
  const dataplane = await options.openDataplane(host)
  closers.push(() => dataplane.close())
  const rules = new RuleBook()
  let dnsCounters: DnsCounters | undefined
  let lastChange: (AppliedChange & { readonly at: string }) | undefined
  const healthChecks = createHealthCheckServer({ logger, isHealthy: () => networks.problem === undefined })
  closers.push(() => healthChecks.close())
  const networks: PodNetworks = new PodNetworks({
    view,
    dataplane,
    rules,
    clock,
    random,
    logger,
    dnsAddresses: [dns.address],
    onApplied: (change) => {
      lastChange = { ...change, at: new Date(clock.now()).toISOString() }
      metrics.observeApplied(change)
      void shaping.followShapers()
    },
    onPlanned: (planned) => reportTenant(reporter, view, planned),
    onChanged: () => channels.follow(),
    onTopology: () => void keeper.look().then(() => outside.look()),
    onServices({ healthChecks: checks }) {
      void healthChecks.apply(checks)
      outside.look()
    },
  })
  closers.push(() => networks.close())
  const wanted = () => hostOptionsOf(options, { view, podCIDR })
  const keeper = startHostKeeper({ host, routed: hostOptions, dataplane, wanted, clock, logger })
  closers.push(() => keeper.close())
  const nodeIP = (): string => keeper.host.nodeIP
  const outside = new OutsideKeeper({ view, networks, nodeIP, logger })
  closers.push(() => outside.close())
  const channels = keepChannels(options, { closers, view, networks, nodeIP })
  const shaping = shapeUplink(options, { closers, view, dataplane, device: () => keeper.host.uplink?.device })
  const sources: StatusSources = {
    view,
    networks,
    dataplane,
    devices: devicesOf(host),
    rules,
    whyNotReady: () => networks.problem,
    shaping: () => shaping.state,
    channels,
    dnsCounters: () => dnsCounters,
    lastChange: () => lastChange,
  }
  const metrics = createNetworkMetrics(() => gatherReadings(sources))
  const attachments = createAttachments(options, { view, podCIDR, networks, shaping, podMtu: () => keeper.host.podMtu })
  await attachments.start()
  closers.push(() => attachments.close())
  networks.adopt(attachments.list())
  // ports that were open before are in the table again
  await ensureHostNetwork({ ...hostOptions, hostPorts: attachments.listHostPorts() })
  networks.start()
  const names = await startServers(options, { closers, attachments, sources, metrics, networks, nodeIP, signal })
  dnsCounters = names.counters
  return { problem: () => networks.problem, serveChannels: channels.start }
}

function keepChannels(
  { channels, clock, logger }: NetworkDaemonOptions,
  { closers, view, networks, nodeIP }: Pick<Servers, 'closers' | 'networks' | 'nodeIP'> & Pick<OnHost, 'view'>,
): ChannelKeeper {
  const keeper = createChannelKeeper({
    program: channels,
    whyNone: () => whyNoChannels(view.ownNode),
    plan() {
      const { nodeName, nodes } = view
      const { applier, localPods } = networks
      return planChannels(gatherChannels({ nodeName, nodes, networks: applier.networks, localPods }))
    },
    nodeIP,
    clock,
    logger,
  })
  closers.push(() => keeper.close())
  return keeper
}

/** Names of the host's devices that programs are at, by ifindex. */
function devicesOf({ uplink, entrances, ifindex }: HostNetwork): StatusSources['devices'] {
  const outer = [...(uplink === undefined ? [] : [uplink]), ...entrances]
  return new Map([
    ...outer.map((each) => [each.ifindex, each.device] as const),
    [ifindex, HOST_DEVICE],
    [LOOPBACK_IFINDEX, 'lo'],
  ])
}

function createAttachments(
  { stateDir, listSandboxes, clock, logger }: NetworkDaemonOptions,
  {
    view,
    podCIDR,
    networks,
    shaping,
    podMtu,
  }: Pick<OnHost, 'view' | 'podCIDR'> & {
    readonly networks: PodNetworks
    readonly shaping: ShapingKeeper
    readonly podMtu: () => number
  },
): PodAttachments {
  return new PodAttachments({
    source: createPodSource(networks, shaping),
    store: new AttachmentStore(attachmentsDir(stateDir)),
    deletions: new DeletionSpool(deletionsDir(stateDir)),
    blocks: createVpcBlocks({
      nodeName: view.nodeName,
      shared: createNodeBlocks(() => podCIDR),
      vpcs: () => view.vpcs,
      subnets: () => view.subnets,
      whenChanged: (signal) => networks.whenChanged(signal),
    }),
    host: systemPodHost,
    podMtu,
    listSandboxes,
    clock,
    logger,
  })
}

function hostOptionsOf(
  { podNetworks, serviceCIDRs, stateDir }: NetworkDaemonOptions,
  { view, podCIDR }: Pick<OnHost, 'view' | 'podCIDR'>,
): HostNetworkOptions {
  const nodeAddress = view.ownNode === undefined ? undefined : internalAddressOf(view.ownNode)
  return {
    podCIDR,
    podNetworks: podNetworksOf(view.nodes, podNetworks),
    serviceCIDRs: serviceCIDRs() ?? [],
    stateDir,
    nodeAddress,
  }
}

function shapeUplink(
  { client, clock, logger }: NetworkDaemonOptions,
  { closers, view, ...where }: Pick<OnHost, 'closers' | 'view'> & Pick<ShapingKeeperDeps, 'dataplane' | 'device'>,
): ShapingKeeper {
  const keeper = startShapingKeeper({ ...where, stated: () => readStatedBandwidth(view.ownNode), clock, logger })
  closers.push(() => keeper.close())
  const describe = () => describeShaping(keeper.state)
  closers.push(startNodeCondition({ client, view, clock, logger, describe }).close)
  return keeper
}

function keepEgress(
  { podNetworks, serviceCIDRs, client, clock, logger }: NetworkDaemonOptions,
  { closers, sources: { view, dataplane }, nodeIP }: Pick<Servers, 'closers' | 'sources' | 'nodeIP'>,
): void {
  const blocks = () => [...podNetworksOf(view.nodes, podNetworks), ...(serviceCIDRs() ?? []), TRANSIT_CIDR]
  const egress = startEgress({ view, dataplane, nodeIP, blocks, clock, logger })
  closers.push(() => egress.close())
  const describe = () => describeEgress(view.ownNode, egress.missing)
  closers.push(startNodeCondition({ client, view, clock, logger, describe }).close)
}

interface Servers {
  readonly closers: OnHost['closers']
  readonly attachments: PodAttachments
  readonly sources: StatusSources
  readonly metrics: ReturnType<typeof createNetworkMetrics>
  readonly networks: PodNetworks
  readonly nodeIP: () => string
  readonly signal: AbortSignal
}

async function startServers(
  options: NetworkDaemonOptions,
  { closers, attachments, sources, metrics, networks, nodeIP, signal }: Servers,
): Promise<ClusterDns> {
  const { cniSocket, localSocket, informers, client, dns, clock, random, logger } = options
  keepEgress(options, { closers, sources, nodeIP })
  const drops = new DropLog(clock, createDropNames(sources))
  closers.push(sources.dataplane.onDrop((event) => drops.add(event)))
  const local = await startLocalServer(localSocket, {
    status: () => sources.channels.look().then(() => gatherStatus(sources)),
    metrics: () => sources.channels.look().then(() => metrics.read()),
    drops,
  })
  closers.push(() => local.close())
  const whyNotReady = (): string | undefined => networks.problem
  const cni = await startCniServer({
    socket: cniSocket,
    attachments,
    whyNotReady,
    onCall(command) {
      const beganMs = clock.monotonicMs()
      return (result) => metrics.observeCni({ command, result, durationMs: clock.monotonicMs() - beganMs })
    },
    logger,
  })
  closers.push(() => cni.close())
  // until then nobody is known and nothing found; questions wait
  await sources.view.whenSynced(signal)
  const names = await startClusterDns({
    informers,
    ...dns,
    client,
    clientAt: (address) => findDnsClient(sources, address),
    clock,
    random,
    logger,
  })
  closers.push(() => names.close())
  return names
}
