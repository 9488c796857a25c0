import type { Vpc } from '@centaurus/api/centaurus/v1'
import type { ChannelKeeper } from '../channels/channel-keeper.ts'
import type { Dataplane } from '../dataplane/dataplane.ts'
import type { PodReference } from '../cni/pod-network-source.ts'
import type { DnsCounters } from '../dns/counters.ts'
import { describeAddresses, whyNoEgress, type EgressNetwork } from '../egress/egress-state.ts'
import type { RuleBook } from '../policy/rule-book.ts'
import type { ClusterView } from './cluster-view.ts'
import type { DropNames, NamedRule } from './drop-log.ts'
import type { AppliedChange, PodNetworks } from './pod-networks.ts'
import { endpointKey } from './local-pod.ts'
import type { MetricReadings } from './metrics.ts'
import type { AppliedEndpoint, NetworkState } from './network-state.ts'
import { nameOfLevel } from '../qos/levels.ts'
import type { ShapingState } from './shaping-keeper.ts'
import type { ChannelStatus, EgressAddressStatus, NetworkStatus, PodStatus, ShapingStatus } from './status.ts'
import { ownNameOf, tenantOf, unqualify } from './tenants.ts'
import { internalAddressOf, podBlocksOf } from './topology.ts'

export interface StatusSources {
  readonly view: ClusterView
  readonly networks: PodNetworks
  readonly dataplane: Dataplane
  /** Names of the host's devices by index. */
  readonly devices: ReadonlyMap<number, string>
  readonly rules: RuleBook
  readonly whyNotReady: () => string | undefined
  /** What names were asked for; undefined: they are not served yet. */
  readonly dnsCounters: () => DnsCounters | undefined
  readonly shaping: () => ShapingState
  readonly channels: Pick<ChannelKeeper, 'state' | 'look'>
  readonly lastChange: () => (AppliedChange & { readonly at: string }) | undefined
}

/** Everything that `centaurus network status` shows. */
export function gatherStatus(sources: StatusSources): NetworkStatus {
  const { view, networks, dataplane } = sources
  const node = view.ownNode
  const last = sources.lastChange()
  const plan = networks.services.plan
  return {
    node: view.nodeName,
    notReady: sources.whyNotReady(),
    attachments: gatherAttachments(sources),
    podBlocks: node === undefined ? [] : podBlocksOf(node),
    pods: [...networks.applier.networks.values()].flatMap((state) => gatherPods(sources, state)),
    networks: [...networks.applier.networks.values()].map(({ vni, endpoints, slots, identities }) => ({
      vni,
      tenant: view.tenantOfVni(vni),
      vpc: view.nameOfVni(vni),
      pods: endpoints.size,
      policySets: slots.size,
      identities: identities.size,
    })),
    egressAddresses: gatherEgress(sources),
    nodes: view.nodes
      .filter(({ metadata }) => metadata.name !== view.nodeName)
      .map((each) => ({ name: each.metadata.name, address: internalAddressOf(each), podBlocks: podBlocksOf(each) })),
    services: plan?.tables.frontends.length ?? 0,
    shaping: gatherShaping(sources),
    channels: gatherChannelStatus(sources),
    skippedServices: plan?.skipped ?? [],
    policyProblems: [...networks.planners.values()].flatMap((planner) => [...planner.problems()]),
    tables: dataplane.readTables(),
    drops: Object.fromEntries([...dataplane.readCounters().drops].map(([reason, { packets }]) => [reason, packets])),
    lastChange: last === undefined ? undefined : { at: last.at, effectiveAfterMs: last.effectiveAfterMs },
  }
}

function gatherEgress({ view, networks }: StatusSources): EgressAddressStatus[] {
  return view.vpcs.flatMap((vpc) => {
    const { vni = 0 } = vpc.status ?? {}
    const network = egressNetworkOf(vpc)
    const isOurs = network.addresses.some(({ node }) => node === view.nodeName)
    if (!isOurs && (networks.applier.networks.get(vni)?.endpoints.size ?? 0) === 0) return []
    const { tenant, vpc: name } = network
    return describeAddresses(network, view.nodes).map((state) => ({ ...state, vni, tenant, vpc: name }))
  })
}

function egressNetworkOf(vpc: Readonly<Vpc>): EgressNetwork {
  return { tenant: tenantOf(vpc), vpc: ownNameOf(vpc), addresses: vpc.spec?.egressAddresses ?? [] }
}

function gatherShaping({ dataplane, shaping }: StatusSources): ShapingStatus {
  const { device, mode, bandwidth, problem, rates } = shaping()
  const levels = dataplane.readLevels().map(({ level, packets, bytes, drops, marks, backlogNs }) => {
    return { name: nameOfLevel(level), rate: rates[level], packets, bytes, drops, marks, backlogMs: backlogNs / 1e6 }
  })
  return { device, mode, bandwidth, problem: problem?.message, levels }
}

function gatherChannelStatus({ channels }: StatusSources): ChannelStatus | undefined {
  const { state } = channels
  if (state === undefined) return undefined
  const { pods = 0, links = [], connections = 0, opened = 0, carried_bytes: carriedBytes = 0 } = state.report ?? {}
  return { problem: state.problem, pods, links, connections, opened, carriedBytes }
}

function gatherAttachments({ dataplane, devices }: StatusSources): NetworkStatus['attachments'] {
  return dataplane
    .listAttachments()
    .map(({ program, hook, ifindex }) => ({ device: devices.get(ifindex) ?? String(ifindex), program, hook }))
}

function gatherPods({ view, networks }: StatusSources, state: NetworkState): PodStatus[] {
  return [...state.endpoints.values()].map((endpoint) => {
    const { vni, ip, hostIP, identity, slot } = endpoint
    const reference = networks.localPods.get(endpointKey(endpoint))?.reference
    return {
      tenant: view.tenantOfVni(vni),
      namespace: reference === undefined ? undefined : view.ownNamespace(reference.namespace),
      name: reference?.name,
      vni,
      ip,
      hostIP,
      identity,
      policySet: slot === undefined ? 0 : (networks.applier.setOf(slot) ?? 0),
      isolated: isolationOf(state, endpoint),
      quality: endpoint.quality,
    }
  })
}

function isolationOf({ slots }: NetworkState, { slot }: AppliedEndpoint): PodStatus['isolated'] {
  const set = slot === undefined ? undefined : slots.get(slot)
  if (set === undefined) return { ingress: true, egress: true }
  const isOpen = set.ingress.others.every(({ allow }) => allow)
  const isOpenOutside = set.egress.outside.others.every(({ allow }) => allow)
  return { ingress: !isOpen, egress: set.egress.isolated || !isOpenOutside }
}

/** What Prometheus reads. */
export function gatherReadings(sources: StatusSources): MetricReadings {
  const { networks, dataplane, rules } = sources
  const states = [...networks.applier.networks.values()]
  const sum = (count: (state: NetworkState) => number): number => states.reduce((all, state) => all + count(state), 0)
  const counters = dataplane.readCounters()
  return {
    drops: counters.drops,
    rules: [...counters.rules].flatMap(([id, { packets }]) => {
      const entry = rules.describe(id)
      return entry === undefined ? [] : [{ rule: entry, tenant: entry.tenant, packets }]
    }),
    tables: dataplane.readTables(),
    endpoints: sum(({ endpoints }) => endpoints.size),
    policySets: sum(({ slots }) => slots.size),
    identities: sum(({ identities }) => identities.size),
    nodes: Math.max(0, sources.view.nodes.length - 1),
    services: networks.services.plan?.tables.frontends.length ?? 0,
    levels: dataplane.readLevels().map(({ level, ...counts }) => ({ name: nameOfLevel(level), ...counts })),
    rates: sources.shaping().rates,
    isReady: sources.whyNotReady() === undefined,
    channels: sources.channels.state?.report,
    dns: sources.dnsCounters(),
  }
}

/** Names of what this host knows: its own pods, nodes, identities. */
export function createDropNames({ view, networks, rules }: StatusSources): DropNames {
  const nodeOf = (address: string): string | undefined =>
    view.nodes.find(({ status }) => status?.addresses?.some((each) => each.address === address))?.metadata.name
  return {
    tenantOf: (vni) => view.tenantOfVni(vni),
    networkOf: (vni) => view.nameOfVni(vni),
    nameOf(vni, address) {
      const local =
        networks.localPods.get(endpointKey({ vni, ip: address }))?.reference ??
        podByHostAddress({ view, networks }, vni, address)
      if (local !== undefined) return `${view.ownNamespace(local.namespace)}/${local.name}`
      const node = nodeOf(address)
      return node === undefined ? undefined : `node ${node}`
    },
    nodeOf,
    groupOf: (vni, identity) => nameOfIdentity(view, vni, identity),
    ruleOf(rule): NamedRule | undefined {
      return rules.describe(rule)
    },
    whyNoEgress(vni) {
      const vpc = view.vpcs.find(({ status }) => status?.vni === vni)
      return vpc === undefined ? undefined : whyNoEgress(egressNetworkOf(vpc), view.nodes)
    },
  }
}

/** A pod with an address of its network's own has another one in the host's stack. */
function podByHostAddress(
  { view, networks: { localPods } }: Pick<StatusSources, 'view' | 'networks'>,
  vni: number,
  address: string,
): PodReference | undefined {
  // there it is another pod's, of another host
  if (view.vpcs.some(({ spec, status }) => status?.vni === vni && spec?.cidr !== undefined)) return undefined
  for (const { endpoint, reference } of localPods.values()) if (endpoint.hostIP === address) return reference
  return undefined
}

function nameOfIdentity(view: ClusterView, vni: number, identity: number): string | undefined {
  const tenant = view.tenantOfVni(vni)
  if (tenant === undefined) return undefined
  const vpc = view.nameOfVni(vni)
  const found = view
    .objectsOf(tenant)
    .identities.find(({ spec }) => spec.id === identity && unqualify(spec.vpc) === vpc)
  if (found === undefined) return undefined
  const { labels } = found.spec
  const namespace = view.ownNamespace(found.spec.namespace) ?? found.spec.namespace
  const text = Object.entries(labels).map(([key, value]) => `${key}=${value}`)
  return `a pod of ${namespace}${text.length === 0 ? '' : ` with ${text.join(',')}`}`
}
