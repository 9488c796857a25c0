import { assert, assertNever, type Random } from '@centaurus/base'
import type { Dataplane, Route } from '../dataplane/dataplane.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import { ShaperBook } from '../qos/shaper-book.ts'
import { diffNetwork } from './diff-network.ts'
import {
  advance,
  emptyNetwork,
  type NetworkPlan,
  type NetworkState,
  type PlannedEndpoint,
  type Step,
} from './network-state.ts'
import { routeKey, type TopologyPlan } from './topology.ts'

type Tables = Pick<
  Dataplane,
  | 'addIdentities'
  | 'addPolicySet'
  | 'extendPolicySet'
  | 'listEndpoints'
  | 'listIdentities'
  | 'listNetworks'
  | 'listNodes'
  | 'listRoutes'
  | 'listShapers'
  | 'removeEndpoint'
  | 'removeIdentities'
  | 'removeNetwork'
  | 'removeNode'
  | 'removePolicySet'
  | 'removeRoute'
  | 'removeShaper'
  | 'setEndpoint'
  | 'setNetwork'
  | 'setNode'
  | 'setRoute'
  | 'setShaper'
>

/** Stands for a set that an earlier daemon filled: whatever is planned replaces it, and until then it stays. */
const ADOPTED: PolicySet = {
  key: 'adopted',
  ingress: { byIdentity: new Map(), others: [], cidrs: [] },
  egressOfPeers: new Map(),
  egress: { isolated: true, toPods: [], outside: { others: [], cidrs: [] } },
}

/**
 * Brings the kernel to what is planned, and knows how far it came: a call that fails ends the work there, and the next plan goes on from that.
 */
export class PlanApplier {
  readonly #dataplane: Tables
  readonly #networks = new Map<number, NetworkState>()
  /** Numbers that the data plane gave to slots. */
  readonly #sets = new Map<string, number>()
  readonly #keyPrefix: string
  readonly #shapers: ShaperBook
  #routes: ReadonlyMap<string, Route>
  #believed: ReadonlySet<string>
  #ownCidrs: ReadonlyMap<number, string>

  /** Takes over what an earlier daemon left in the kernel. */
  constructor(dataplane: Tables, random: Random) {
    this.#dataplane = dataplane
    this.#shapers = new ShaperBook(dataplane)
    // Sets of an earlier daemon may have grown since they got their keys: none of ours may be taken for one of them.
    this.#keyPrefix = `${random.integer(2 ** 32)}-${random.integer(2 ** 32)}`
    this.#routes = new Map(dataplane.listRoutes().map((route) => [routeKey(route), route]))
    this.#believed = new Set(dataplane.listNodes())
    this.#ownCidrs = new Map(dataplane.listNetworks().map(({ vni, cidr }) => [vni, cidr]))
    for (const { vni, id } of dataplane.listIdentities()) this.#network(vni).identities.add(id)
    for (const { policySet, shaper, ...endpoint } of dataplane.listEndpoints()) {
      const state = this.#network(endpoint.vni)
      const slot = policySet === 0 ? undefined : `adopted/${policySet}`
      if (slot !== undefined) {
        this.#sets.set(slot, policySet)
        state.slots.set(slot, { ...ADOPTED, key: slot })
      }
      state.endpoints.set(endpoint.ip, { ...endpoint, quality: this.#shapers.qualityOf(shaper), slot })
    }
  }

  /** What is in the kernel. Do not change it. */
  get networks(): ReadonlyMap<number, NetworkState> {
    return this.#networks
  }

  /** Number of the policy set in a slot, for people. */
  setOf(slot: string): number | undefined {
    return this.#sets.get(slot)
  }

  /** Returns what was done. */
  applyNetwork(plan: NetworkPlan): Step[] {
    const state = this.#network(plan.vni)
    const steps = diffNetwork(state, plan)
    for (const step of steps) {
      this.#take(state, step)
      advance(state, step)
    }
    if (state.endpoints.size === 0 && state.slots.size === 0 && state.identities.size === 0)
      this.#networks.delete(plan.vni)
    return steps
  }

  /** Takes away an endpoint of a network that nobody can plan now. */
  removeEndpoint({ vni, ip }: { readonly vni: number; readonly ip: string }): void {
    const state = this.#networks.get(vni)
    if (state?.endpoints.has(ip) !== true) return
    const endpoints = new Map<string, PlannedEndpoint>()
    for (const each of state.endpoints.values())
      if (each.ip !== ip) endpoints.set(each.ip, { ...each, set: undefined, quality: undefined })
    this.applyNetwork({ vni, endpoints, identities: state.identities })
  }

  /** Takes away what is left of networks that have no pods here. */
  dropEmptyNetworks(): void {
    for (const { vni, endpoints } of this.#networks.values())
      if (endpoints.size === 0) this.applyNetwork({ vni, endpoints: new Map(), identities: new Set() })
  }

  #applyOwnCidrs(networks: ReadonlyMap<number, string>): number {
    const changed = [...networks].filter(([vni, cidr]) => this.#ownCidrs.get(vni) !== cidr)
    const gone = [...this.#ownCidrs.keys()].filter((vni) => !networks.has(vni))
    for (const [vni, cidr] of changed) this.#dataplane.setNetwork({ vni, cidr })
    for (const vni of gone) this.#dataplane.removeNetwork(vni)
    this.#ownCidrs = networks
    return changed.length + gone.length
  }

  /** New nodes are believed before anything is sent to them, and old ones as long as something is. Returns the number of writes. */
  applyTopology({ routes, believed, networks }: TopologyPlan): number {
    let writes = this.#applyOwnCidrs(networks)
    for (const address of believed) {
      if (this.#believed.has(address)) continue
      this.#dataplane.setNode(address)
      writes++
    }
    for (const [key, route] of routes) {
      if (this.#routes.get(key)?.node === route.node) continue
      this.#dataplane.setRoute(route)
      writes++
    }
    for (const [key, route] of this.#routes) {
      if (routes.has(key)) continue
      this.#dataplane.removeRoute(route)
      writes++
    }
    for (const address of this.#believed) {
      if (believed.has(address)) continue
      this.#dataplane.removeNode(address)
      writes++
    }
    this.#routes = routes
    this.#believed = believed
    return writes
  }

  #network(vni: number): NetworkState {
    let state = this.#networks.get(vni)
    if (state === undefined) {
      state = emptyNetwork(vni)
      this.#networks.set(vni, state)
    }
    return state
  }

  #take({ vni }: NetworkState, step: Step): void {
    const dataplane = this.#dataplane
    switch (step.type) {
      case 'addSet':
        // its key is not what the set says, since that grows while it is in use
        this.#sets.set(step.slot, dataplane.addPolicySet({ ...step.set, key: `${this.#keyPrefix} ${step.slot}` }))
        return
      case 'extendSet':
        if (step.peers.ingress.size > 0 || step.peers.egressOfPeers.size > 0)
          dataplane.extendPolicySet(this.#numberOf(step.slot), step.peers)
        return
      case 'removeSet':
        dataplane.removePolicySet(this.#numberOf(step.slot))
        this.#sets.delete(step.slot)
        return
      case 'setEndpoint': {
        const { slot, quality, ...endpoint } = step.endpoint
        const shaper = this.#shapers.shaperOf(endpoint, quality)
        dataplane.setEndpoint({ ...endpoint, shaper, policySet: slot === undefined ? 0 : this.#numberOf(slot) })
        return
      }
      case 'removeEndpoint':
        dataplane.removeEndpoint({ vni, ip: step.ip })
        this.#shapers.release({ vni, ip: step.ip })
        return
      case 'addIdentities':
        dataplane.addIdentities(vni, step.ids)
        return
      case 'removeIdentities':
        dataplane.removeIdentities(vni, step.ids)
        return
      default:
        assertNever(step)
    }
  }

  #numberOf(slot: string): number {
    const number = this.#sets.get(slot)
    assert(number !== undefined, `slot ${slot} is used before it is filled`)
    return number
  }
}
