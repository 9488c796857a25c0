import { outranks, sharedPriority, type MaxPriorityOf } from '@centaurus/api'
import type { Amounts } from './model.ts'
import { addAmounts, portsConflict, type Claim, type ClaimTerms, type Nomination } from './node-claims.ts'

/** Who may take whose room. */
export interface PreemptionRules {
  readonly maxPriorityOf: MaxPriorityOf
  /** Whether a partition can be told now to evict its pods: of one that can't be reached nothing is taken. */
  readonly canEvict: (partition: string) => boolean
}

/** By default tenants were granted nothing. */
export const DEFAULT_RULES: PreemptionRules = { maxPriorityOf: () => 0, canEvict: () => true }

/** A node, and what was given and promised of it. */
export interface NodeRoom {
  readonly capacity: Amounts
  readonly claims: readonly Claim[]
  readonly nominations: readonly Nomination[]
}

/** A pod that wants room on it. */
export interface Wanted {
  readonly uid: string
  readonly terms: ClaimTerms
  /** Pods of its own partition that are leaving the node. */
  readonly leaving: readonly string[]
}

/** What is kept for others: pods that are not less important than the one that asks. */
export function reservedFor(
  { uid, terms }: Pick<Wanted, 'uid' | 'terms'>,
  nominations: readonly Nomination[],
  { maxPriorityOf }: PreemptionRules,
): readonly Nomination[] {
  return nominations.filter((other) => other.uid !== uid && !outranks(terms, other.terms, maxPriorityOf))
}

/**
 * Pods of other partitions that must leave a node so that a more important one fits, beside those that are leaving already, for whomever: the least
 * important, and no more than needed. Undefined: it would not fit even then. Asking again, after any of them has left, gives no other ones.
 * Source of the order: scheduler framework/preemption SelectVictimsOnNode, v1.37; disruption budgets of other partitions are not known here.
 */
export function planVictims(room: NodeRoom, wanted: Wanted, rules: PreemptionRules): readonly Claim[] | undefined {
  const { uid, terms, leaving } = wanted
  const own = new Set(leaving)
  const ordered = new Set(room.nominations.flatMap(({ victims }) => victims))
  const isGoing = (claim: Claim): boolean =>
    claim.terms.partition === terms.partition
      ? own.has(claim.uid) || ordered.has(claim.uid)
      : ordered.has(claim.uid) && rules.canEvict(claim.terms.partition)
  const isRemovable = (claim: Claim): boolean =>
    claim.terms.partition !== terms.partition &&
    rules.canEvict(claim.terms.partition) &&
    outranks(terms, claim.terms, rules.maxPriorityOf)
  const staying = room.claims.filter((claim) => claim.uid !== uid && !isGoing(claim))
  const removable = staying.filter(isRemovable)
  const kept = [...staying.filter((claim) => !isRemovable(claim)), ...reservedFor(wanted, room.nominations, rules)]
  if (!fits(room.capacity, kept, terms)) return undefined
  const rankOf = (claim: Claim): number =>
    claim.terms.tenant === terms.tenant ? claim.terms.priority : sharedPriority(claim.terms, rules.maxPriorityOf)
  return removable
    .toSorted((a, b) => rankOf(b) - rankOf(a))
    .filter((claim) => {
      if (!fits(room.capacity, [...kept, claim], terms)) return true
      kept.push(claim)
      return false
    })
}

/** Whether a pod has room beside these. Cost: those. */
function fits(capacity: Amounts, kept: readonly Claim[], { requests, ports }: ClaimTerms): boolean {
  const used: Record<string, number> = {}
  for (const { terms } of kept) addAmounts(used, terms.requests)
  for (const name in requests) {
    const amount = requests[name]!
    if (amount > 0 && (used[name] ?? 0) + amount > (capacity[name] ?? 0)) return false
  }
  return !kept.some(({ terms }) => terms.ports.some((a) => ports.some((b) => portsConflict(a, b))))
}
