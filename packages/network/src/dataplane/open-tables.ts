import { identity, identityKey, node, nodeKey, OWN_ADDRESSES_MAX } from '../layouts/layouts.ts'
import { DataplaneError } from '../kernel/dataplane-error.ts'
import { createServiceWriter } from '../services/service-writer.ts'
import type { Dataplane, Endpoint } from './dataplane.ts'
import { createEgressTable } from './egress-table.ts'
import { EndpointStore } from './endpoint-store.ts'
import { HostState } from './host-state.ts'
import { countPossibleCpus, type OpenPrograms } from './open-programs.ts'
import { PolicySetStore } from './policy-set-store.ts'
import { readCounters } from './read-counters.ts'
import { RouteStore } from './route-store.ts'
import { ShapingTables } from './shaping-tables.ts'

const DROP_LOG_PER_SECOND = 100
/** Tables that can be full. */
const COUNTED_TABLES = [
  'endpoints',
  'routes',
  'nodes',
  'aliases',
  'pairs',
  'lists',
  'cidrs',
  'identities',
  'ct',
  'fragments',
  'rule_hits',
]

/** What programs must know of their host. */
export interface HostFacts {
  /** This node's address on the network between hosts. */
  readonly nodeIP: string
  /** The host's end of the pod network. */
  readonly hostDevice: { readonly ifindex: number; readonly address: string }
  /** Devices to other hosts; routes without one of their own lead out of the first. None: there are no other hosts yet. */
  readonly uplinks: readonly { readonly ifindex: number }[]
  /** Devices with others of this host's addresses: node ports answer there too, and the tunnel is met in tcx alone. */
  readonly entrances?: readonly { readonly ifindex: number }[]
  /** Largest packet of a pod: the uplinks' MTU without the tunnel's headers. */
  readonly podMtu: number
  /** Every other address of this host that node ports answer at. */
  readonly ownAddresses?: readonly string[]
  /** Samples of drops a second. */
  readonly dropLogPerSecond?: number
}

/** The part of a {@link Dataplane} that is tables and no devices. */
export type DataplaneTables = Omit<Dataplane, 'activate' | 'attachPod' | 'listAttachments' | 'onDrop' | 'remove'>

/** Takes over what the tables hold, and writes what the programs must know of the host. */
export function openTables(programs: OpenPrograms, host: HostFacts): DataplaneTables {
  const map = (name: string): ReturnType<OpenPrograms['map']> => programs.map(name)
  const state = new HostState(map('.data.state').fd)
  writeConfig(state, host)
  const endpoints = new EndpointStore({ endpoints: map('endpoints'), devices: map('devices') })
  const routes = new RouteStore({ routes: map('routes'), networks: map('networks'), state })
  const [pairs, cidrs, lists, ruleHits] = [map('pairs'), map('cidrs'), map('lists'), map('rule_hits')]
  const sets = new PolicySetStore({ state, pairs, cidrs, lists, ruleHits })
  const serviceWriter = createServiceWriter(map)
  const shaping = new ShapingTables(map, (id) => endpoints.list().find(({ shaper }) => shaper === id)?.ip)
  /** A set of an earlier daemon that nobody asked for again goes with its last pod. */
  const dropLeft = (before: Endpoint | undefined): void => {
    if (before !== undefined && sets.isLeft(before.policySet) && !endpoints.usesSet(before.policySet))
      sets.remove(before.policySet)
  }
  return {
    setEndpoint(endpoint) {
      if (endpoint.policySet !== 0 && !sets.has(endpoint.policySet))
        throw new DataplaneError(`Cannot give pod ${endpoint.ip} policy set ${endpoint.policySet}: there is none`)
      shaping.require(endpoint)
      const before = endpoints.set(endpoint)
      if (before?.policySet !== endpoint.policySet) dropLeft(before)
    },
    removeEndpoint: (key) => dropLeft(endpoints.remove(key)),
    listEndpoints: () => endpoints.list(),
    setRoute: (route) => routes.set(route),
    removeRoute: (route) => routes.remove(route),
    listRoutes: () => routes.list(),
    setNetwork: (network) => routes.setNetwork(network),
    removeNetwork: (vni) => routes.removeNetwork(vni),
    listNetworks: () => routes.listNetworks(),
    setHost: (facts) => writeConfig(state, facts),
    ...createEgressTable({ egresses: map('egresses'), aliases: map('aliases'), ownBlocks: map('own_blocks') }),
    setNode: (address) => map('nodes').set(nodeKey.encode({ ip: address }), node.encode({ flags: 0 })),
    removeNode: (address) => void map('nodes').delete(nodeKey.encode({ ip: address })),
    listNodes: () =>
      map('nodes')
        .keys()
        .map((key) => nodeKey.decode(key).ip),
    addPolicySet: (set) => sets.add(set),
    extendPolicySet: (id, peers) => sets.extend(id, peers),
    removePolicySet(id) {
      if (endpoints.usesSet(id)) throw new DataplaneError(`Cannot remove policy set ${id}: a pod uses it`)
      sets.remove(id)
    },
    addIdentities: (vni, ids) =>
      map('identities').setMany(
        ids.map((id) => [identityKey.encode({ vni, id }), identity.encode({ known: 1 })] as const),
      ),
    removeIdentities: (vni, ids) => map('identities').deleteMany(ids.map((id) => identityKey.encode({ vni, id }))),
    listIdentities: () =>
      map('identities')
        .keys()
        .map((key) => identityKey.decode(key)),
    applyServices: (services) => serviceWriter.apply(services),
    readTables: () =>
      COUNTED_TABLES.map((name) => ({ name, entries: map(name).count(), maxEntries: map(name).maxEntries })),
    readCounters: () => readCounters({ drops: map('drops'), rules: map('rule_hits') }),
    ...shaping.calls(),
    close() {
      state.close()
      shaping.close()
    },
  }
}

function writeConfig(state: HostState, host: HostFacts): void {
  const { nodeIP, hostDevice, podMtu } = host
  const [uplink] = host.uplinks
  const own = [...new Set([nodeIP, hostDevice.address, ...(host.ownAddresses ?? [])])]
  if (own.length > OWN_ADDRESSES_MAX)
    throw new DataplaneError(
      `Node ports can't answer at more than ${OWN_ADDRESSES_MAX} addresses; this host has ${own.length}`,
    )
  state.writeConfig({
    nodeIP,
    hostIP: hostDevice.address,
    hostIfindex: hostDevice.ifindex,
    uplinkIfindex: uplink?.ifindex ?? 0,
    podMtu,
    blockPrefix: state.readConfig().blockPrefix,
    logPerSecond: Math.ceil((host.dropLogPerSecond ?? DROP_LOG_PER_SECOND) / countPossibleCpus()),
    ownAddressCount: own.length,
    ownAddresses: [...own, ...Array.from({ length: OWN_ADDRESSES_MAX - own.length }, () => '0.0.0.0')],
  })
}
