import { isDeepStrictEqual } from 'node:util'
import { DEFAULT_QUALITY } from '@centaurus/api'
import { canLearn, copySet, learn, peersBeyond } from './set-content.ts'
import type { AppliedEndpoint, NetworkPlan, NetworkState, PlannedEndpoint, Step } from './network-state.ts'
import type { PolicySet } from '../policy/policy-set.ts'

/**
 * The calls that bring a network from what is applied to what is planned. Pure. The order keeps the host right at every moment between them:
 *
 * 1. identities that are gone are unknown first: what unknown senders may not do is refused;
 * 2. endpoints that are gone go, before anything else is said of them;
 * 3. new sets are filled, and sets in use learn of new identities, which nobody believes yet, and what else the egress of peers may be;
 * 4. endpoints are pointed at their sets, those that become isolated first;
 * 5. sets that nobody names any more are freed;
 * 6. new identities are believed, now that every set knows what to say of them.
 */
export function diffNetwork(state: NetworkState, plan: NetworkPlan): Step[] {
  const gone = [...state.identities].filter((id) => !plan.identities.has(id))
  const fresh = [...plan.identities].filter((id) => !state.identities.has(id))
  const { changes, slotOf } = placeSets(state, plan)
  const flips = planFlips(state, plan, slotOf)
  const named = new Set([...plan.endpoints.values()].map((endpoint) => nextSlotOf(state, endpoint, slotOf)))
  return [
    ...(gone.length === 0 ? [] : [{ type: 'removeIdentities' as const, ids: gone }]),
    ...[...state.endpoints.keys()]
      .filter((ip) => !plan.endpoints.has(ip))
      .map((ip) => ({ type: 'removeEndpoint' as const, ip })),
    ...changes,
    ...flips,
    ...[...state.slots.keys()].filter((slot) => !named.has(slot)).map((slot) => ({ type: 'removeSet' as const, slot })),
    ...(fresh.length === 0 ? [] : [{ type: 'addIdentities' as const, ids: fresh }]),
  ]
}

interface Placement {
  readonly changes: readonly Step[]
  /** Slot of each planned set, by its key. */
  readonly slotOf: ReadonlyMap<string, string>
}

/** Finds a slot for each set: one that has the content, one that can learn it, else a new one. */
function placeSets(state: NetworkState, plan: NetworkPlan): Placement {
  const wanted = new Map<string, PolicySet>()
  for (const { set } of plan.endpoints.values()) if (set !== undefined) wanted.set(set.key, set)
  const byKey = new Map([...state.slots].map(([slot, set]) => [set.key, slot]))
  const slotOf = new Map<string, string>()
  for (const [key, set] of wanted) {
    const slot = findHolding(state, { slot: byKey.get(key), set, plan })
    if (slot !== undefined) slotOf.set(key, slot)
  }
  const taken = new Set(slotOf.values())
  const growing = slotsOfOneMind(state, plan)
  const changes: Step[] = []
  let next = state.nextSlot
  for (const [key, set] of wanted) {
    if (slotOf.has(key)) continue
    const grown = growing.get(key)?.find((slot) => !taken.has(slot) && canBecome(state, { slot, set, plan }))
    const slot = grown ?? `${state.vni}/${next++}`
    slotOf.set(key, slot)
    if (grown === undefined) {
      changes.push({ type: 'addSet', slot, set: copySet(set) })
      continue
    }
    const content = state.slots.get(grown)!
    const peers = peersBeyond(content, set, { before: state.identities, now: plan.identities })
    changes.push({ type: 'extendSet', slot, peers, set: learn(content, set, peers) })
  }
  return { changes, slotOf }
}

interface Candidate {
  readonly slot: string | undefined
  readonly set: PolicySet
  readonly plan: NetworkPlan
}

/** The slot of this content, unless it still says something of an identity that had gone and is back, or the set has grown since. */
function findHolding(state: NetworkState, candidate: Candidate): string | undefined {
  const { slot, set, plan } = candidate
  const content = slot === undefined ? undefined : state.slots.get(slot)
  if (content === undefined) return undefined
  const stale = stalePeers(content, set)
  if (stale === 0) return slot
  if (stale < 0 || !canBecome(state, candidate)) return undefined
  const { ingress, egressOfPeers } = peersBeyond(content, set, { before: state.identities, now: plan.identities })
  return ingress.size + egressOfPeers.size === 0 ? slot : undefined
}

/** Identities that went away are left in a set in use, until they are so many that a new one is worth it. */
const STALE_PEERS_MAX = 256

function canBecome(state: NetworkState, { slot, set, plan }: Candidate): boolean {
  const content = slot === undefined ? undefined : state.slots.get(slot)
  if (content === undefined || stalePeers(content, set) > STALE_PEERS_MAX) return false
  return canLearn(content, set, { before: state.identities, now: plan.identities })
}

/** How many identities more than `set` a slot for it speaks of. */
function stalePeers({ ingress, egressOfPeers }: PolicySet, set: PolicySet): number {
  return ingress.byIdentity.size + egressOfPeers.size - set.ingress.byIdentity.size - set.egressOfPeers.size
}

/** Slots whose users, as far as they stay, all want the same set now, by the key of that. */
function slotsOfOneMind(state: NetworkState, plan: NetworkPlan): Map<string, string[]> {
  const wishes = new Map<string, Set<string | undefined>>()
  for (const { ip, slot } of state.endpoints.values()) {
    const planned = plan.endpoints.get(ip)
    if (slot === undefined || planned === undefined) continue
    const known = wishes.get(slot)
    if (known === undefined) wishes.set(slot, new Set([planned.set?.key]))
    else known.add(planned.set?.key)
  }
  const slots = new Map<string, string[]>()
  for (const [slot, keys] of wishes) {
    const [key] = keys
    if (keys.size === 1 && key !== undefined) slots.set(key, [...(slots.get(key) ?? []), slot])
  }
  return slots
}

function nextSlotOf(
  state: NetworkState,
  { ip, set }: PlannedEndpoint,
  slotOf: ReadonlyMap<string, string>,
): string | undefined {
  return set === undefined ? state.endpoints.get(ip)?.slot : slotOf.get(set.key)
}

function planFlips(state: NetworkState, plan: NetworkPlan, slotOf: ReadonlyMap<string, string>): Step[] {
  const flips: { readonly endpoint: AppliedEndpoint; readonly opens: number }[] = []
  for (const planned of plan.endpoints.values()) {
    const before = state.endpoints.get(planned.ip)
    const { set, quality = before?.quality ?? DEFAULT_QUALITY, ...local } = planned
    const endpoint: AppliedEndpoint = { ...local, quality, slot: nextSlotOf(state, planned, slotOf) }
    if (before !== undefined && isSameEndpoint(before, endpoint)) continue
    const opens = openness(set) - openness(before?.slot === undefined ? undefined : state.slots.get(before.slot))
    flips.push({ endpoint, opens })
  }
  return flips.toSorted((a, b) => a.opens - b.opens).map(({ endpoint }) => ({ type: 'setEndpoint', endpoint }))
}

/** How many directions are open by default: 0 to 2. An endpoint without a set has none. */
function openness(set: PolicySet | undefined): number {
  if (set === undefined) return 0
  return Number(set.ingress.others.some(({ allow }) => allow)) + Number(!set.egress.isolated)
}

function isSameEndpoint(a: AppliedEndpoint, b: AppliedEndpoint): boolean {
  return (
    a.slot === b.slot &&
    a.identity === b.identity &&
    a.ifindex === b.ifindex &&
    a.mac === b.mac &&
    a.hostIP === b.hostIP &&
    a.ip === b.ip &&
    a.routeDomain === b.routeDomain &&
    a.blockPrefix === b.blockPrefix &&
    a.hasEgress === b.hasEgress &&
    isDeepStrictEqual(a.quality, b.quality)
  )
}
