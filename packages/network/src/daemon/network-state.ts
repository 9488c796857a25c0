import type { NetworkQuality } from '@centaurus/api'
import type { Endpoint } from '../dataplane/dataplane.ts'
import type { PolicySet, PolicySetPeers } from '../policy/policy-set.ts'

/** A pod of this host, without what policies say about it and what it gets of the host's network. */
export type LocalEndpoint = Omit<Endpoint, 'policySet' | 'shaper'>

/** What one network of this host, a VPC, should have in the kernel. */
export interface NetworkPlan {
  readonly vni: number
  /** By address. */
  readonly endpoints: ReadonlyMap<string, PlannedEndpoint>
  /** That its policy sets know of. */
  readonly identities: ReadonlySet<number>
}

export interface PlannedEndpoint extends LocalEndpoint {
  /** Undefined: what was applied last stays, because the API does not say more now. */
  readonly set: PolicySet | undefined
  /** What its packets get where they compete with others; undefined: what was applied last stays. */
  readonly quality: NetworkQuality | undefined
}

/** What it has. A *slot* is a place for a policy set, so named because its content may grow while it is in use. */
export interface NetworkState {
  readonly vni: number
  readonly endpoints: Map<string, AppliedEndpoint>
  readonly slots: Map<string, PolicySet>
  readonly identities: Set<number>
  /** Slots are never named twice. */
  nextSlot: number
}

export interface AppliedEndpoint extends LocalEndpoint {
  readonly quality: NetworkQuality
  /** Undefined: it has no set, and is closed. */
  readonly slot: string | undefined
}

/** One call of the data plane. */
export type Step =
  | { readonly type: 'addSet'; readonly slot: string; readonly set: PolicySet }
  /** `set`: its content afterwards. */
  | { readonly type: 'extendSet'; readonly slot: string; readonly peers: PolicySetPeers; readonly set: PolicySet }
  | { readonly type: 'removeSet'; readonly slot: string }
  | { readonly type: 'setEndpoint'; readonly endpoint: AppliedEndpoint }
  | { readonly type: 'removeEndpoint'; readonly ip: string }
  | { readonly type: 'addIdentities'; readonly ids: readonly number[] }
  | { readonly type: 'removeIdentities'; readonly ids: readonly number[] }

/** A network of which nothing is in the kernel. */
export function emptyNetwork(vni: number): NetworkState {
  return { vni, endpoints: new Map(), slots: new Map(), identities: new Set(), nextSlot: 1 }
}

/** Remembers that a step was done. */
export function advance(state: NetworkState, step: Step): void {
  switch (step.type) {
    case 'addSet':
      state.nextSlot++
      state.slots.set(step.slot, step.set)
      return
    case 'extendSet':
      state.slots.set(step.slot, step.set)
      return
    case 'removeSet':
      state.slots.delete(step.slot)
      return
    case 'setEndpoint':
      state.endpoints.set(step.endpoint.ip, step.endpoint)
      return
    case 'removeEndpoint':
      state.endpoints.delete(step.ip)
      return
    case 'addIdentities':
      for (const id of step.ids) state.identities.add(id)
      return
    case 'removeIdentities':
      for (const id of step.ids) state.identities.delete(id)
  }
}
