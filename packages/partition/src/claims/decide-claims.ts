import { describeDeviceAmount } from '@centaurus/api/gpu'
import type { Ledger } from './ledger.ts'
import {
  NO_PORTS,
  type Amounts,
  type ClaimAnswer,
  type ClaimItem,
  type ClaimRoom,
  type PreemptRoom,
  type ReleaseRoom,
} from './model.ts'
import { DEFAULT_RULES, planVictims, reservedFor, type PreemptionRules } from './decide-preemption.ts'
import {
  addAmounts,
  NO_NOMINATIONS,
  portsConflict,
  subtractAmounts,
  type Claim,
  type ClaimTerms,
  type NodeClaims,
  type Nomination,
  type TermsTable,
} from './node-claims.ts'

/** Nominations of one node: beyond, more important pods go elsewhere. */
const NOMINATIONS_MAX = 64

/** Who asks. */
export interface Claimant {
  readonly partition: string
  readonly epoch: number
  /** Whether it may claim for the tenant; absent: for all. */
  readonly serves?: ((tenant: string) => boolean) | undefined
}

interface NodeDraft {
  readonly claims: Claim[]
  readonly used: Record<string, number>
  nominations: readonly Nomination[]
  changed: boolean
}

type Room = Omit<ClaimRoom, 'op'>

/**
 * What the ledger would be after some requests, decided one item after the other. The ledger stays as it is; `changes` tells what would
 * have to be stored for the answers to be true.
 */
export class LedgerDraft {
  readonly #ledger: Ledger
  readonly #table: TermsTable
  readonly #rules: PreemptionRules
  readonly #drafts = new Map<string, NodeDraft>()
  /** Where claims were put (or undefined: taken away) by this draft. */
  readonly #moved = new Map<string, string | undefined>()
  /** Where nominations were put, or taken away, by this draft. */
  readonly #nominated = new Map<string, string | undefined>()

  constructor(ledger: Ledger, table: TermsTable, rules: PreemptionRules = DEFAULT_RULES) {
    this.#ledger = ledger
    this.#table = table
    this.#rules = rules
  }

  /** New content of each node whose claims change. */
  get changes(): Map<string, NodeClaims> {
    const changes = new Map<string, NodeClaims>()
    for (const [node, { claims, used, nominations, changed }] of this.#drafts) {
      if (!changed) continue
      const held = new Set(claims.map(({ uid }) => uid))
      // Nodes without any keep the one object, by which it is seen that nothing changed.
      const current =
        nominations.length === 0
          ? NO_NOMINATIONS
          : nominations.map((each) => ({ ...each, victims: each.victims.filter((uid) => held.has(uid)) }))
      changes.set(node, { claims, used, nominations: current })
    }
    return changes
  }

  /**
   * Answers each item in order: room that fits into what is left is given, a uid that has it already gets it again, and one that has it on
   * another node is told where. A node that shrank gives nothing new and takes nothing back. Taints, cordons and conditions are not looked
   * at: the scheduler did. Nothing is changed for an item that is refused.
   */
  decide(claimant: Claimant, items: readonly ClaimItem[]): ClaimAnswer[] {
    return items.map((item) => this.#decideOne(claimant, item))
  }

  #decideOne(claimant: Claimant, item: ClaimItem): ClaimAnswer {
    switch (item.op) {
      case 'claim':
        return this.#claim(claimant, item)
      case 'preempt':
        return this.#preempt(claimant, item)
      case 'withdraw':
        this.#dropNomination(item.uid, claimant)
        return { uid: item.uid, result: 'withdrawn' }
      default:
        return this.#release(claimant, item)
    }
  }

  #claim(claimant: Claimant, item: ClaimRoom): ClaimAnswer {
    const { uid, node } = item
    if (claimant.serves?.(item.tenant) === false) {
      return this.#refuse(
        item,
        'TenantElsewhere',
        `partition "${claimant.partition}" does not serve the pod's tenant now`,
      )
    }
    const holder = this.#nodeOf(uid)
    if (holder !== undefined && holder !== node) {
      return this.#refuse(item, 'ClaimedElsewhere', `pod has its room on node "${holder}"`)
    }
    const draft = this.#draft(node)
    const at = holder === undefined ? -1 : draft.claims.findIndex((claim) => claim.uid === uid)
    const old = draft.claims[at]
    if (old !== undefined && old.terms.partition !== claimant.partition && old.terms.partition !== item.from) {
      return this.#refuse(item, 'ClaimedElsewhere', `uid is a pod of partition "${old.terms.partition}"`)
    }
    if (item.given !== undefined) return this.#resize(draft, item, old)
    const terms = this.#termsOf(claimant, item)
    if (old !== undefined && old.terms === terms && old.name === item.name) return { uid, result: 'accepted' }
    const refusal = this.#whyNot(item, terms, old)
    if (refusal !== undefined) return refusal
    if (old !== undefined) subtractAmounts(draft.used, old.terms.requests)
    addAmounts(draft.used, terms.requests)
    const claim = { uid, name: item.name, terms }
    if (old === undefined) draft.claims.push(claim)
    else draft.claims[at] = claim
    draft.changed = true
    this.#moved.set(uid, node)
    this.#dropNomination(uid, claimant)
    return { uid, result: 'accepted' }
  }

  /** Changes the claim of a pod that runs, to what it asks for or, where that does not fit, to what it was given. It stays its scheduler's. */
  #resize(draft: NodeDraft, item: ClaimRoom, old: Claim | undefined): ClaimAnswer {
    const { uid, given = {} } = item
    if (old === undefined) return this.#refuse(item, 'NotClaimed', 'pod has no room that could change')
    const wanted = this.#termsOf(old.terms, item)
    const refusal = this.#whyNot(item, wanted, old)
    const terms = refusal === undefined ? wanted : this.#termsOf(old.terms, { ...item, requests: given })
    if (terms !== old.terms) {
      subtractAmounts(draft.used, old.terms.requests)
      addAmounts(draft.used, terms.requests)
      draft.claims[draft.claims.indexOf(old)] = { ...old, terms }
      draft.changed = true
    }
    return refusal ?? { uid, result: 'accepted' }
  }

  /** Keeps room for a pod until those in its way have left, or refuses and keeps none. */
  #preempt(claimant: Claimant, item: PreemptRoom): ClaimAnswer {
    const { uid, node } = item
    const terms = this.#termsOf(claimant, item)
    const refusal = this.#whyNot(item, terms, undefined)
    const nomination = this.#planNomination(claimant, item, terms)
    if ('result' in nomination) {
      if (this.#nominatedNode(uid) === node) this.#dropNomination(uid, claimant)
      return nomination
    }
    const draft = this.#draft(node)
    const old = draft.nominations.find((each) => each.uid === uid)
    const isSame = old?.terms === terms && old.victims.join() === nomination.victims.join()
    if (!isSame) {
      draft.nominations = [...draft.nominations.filter((each) => each !== old), nomination]
      draft.changed = true
      this.#nominated.set(uid, node)
    }
    return { uid, result: 'nominated', victims: refusal === undefined ? 0 : Math.max(1, nomination.victims.length) }
  }

  #planNomination(claimant: Claimant, item: PreemptRoom, terms: ClaimTerms): Nomination | ClaimAnswer {
    const { uid, node, name, leaving } = item
    if (claimant.serves?.(item.tenant) === false) {
      return this.#refuse(item, 'TenantElsewhere', `partition "${claimant.partition}" does not serve the pod's tenant`)
    }
    const holder = this.#nodeOf(uid)
    if (holder !== undefined) return this.#refuse(item, 'ClaimedElsewhere', `pod has its room on node "${holder}"`)
    const promised = this.#nominatedNode(uid)
    if (promised !== undefined && promised !== node) {
      // Others are leaving for it there; who asks does not know yet.
      return this.#refuse(item, 'NominatedElsewhere', `room is kept for the pod on node "${promised}"`)
    }
    const capacity = this.#ledger.capacity(node)
    if (capacity === undefined) return this.#refuse(item, 'NodeNotFound', `node "${node}" is not known here`)
    const { claims, nominations } = this.#draft(node)
    const old = nominations.find((each) => each.uid === uid)
    if (old === undefined && nominations.length >= NOMINATIONS_MAX) {
      return this.#refuse(item, 'TooManyNominations', 'too many pods wait for room on the node')
    }
    const chosen = planVictims({ capacity, claims, nominations }, { uid, terms, leaving }, this.#rules)
    if (chosen === undefined) {
      const why = this.#whyNot(item, terms, undefined)
      return why ?? this.#refuse(item, 'OutOfpods', 'less important pods do not leave enough room')
    }
    const { partition } = claimant
    const own = new Set(leaving)
    const leavingHere = claims.filter((claim) => claim.terms.partition === partition && own.has(claim.uid))
    const held = new Set(claims.map((claim) => claim.uid))
    const before = (old?.victims ?? []).filter((victim) => held.has(victim))
    const victims = new Set([...before, ...[...leavingHere, ...chosen].map((claim) => claim.uid)])
    return { uid, name, terms, victims: [...victims] }
  }

  #dropNomination(uid: string, { partition }: Claimant): void {
    const node = this.#nominatedNode(uid)
    if (node === undefined) return
    const draft = this.#draft(node)
    const kept = draft.nominations.filter((each) => each.uid !== uid || each.terms.partition !== partition)
    if (kept.length === draft.nominations.length) return
    draft.nominations = kept
    draft.changed = true
    this.#nominated.set(uid, undefined)
  }

  #nominatedNode(uid: string): string | undefined {
    return this.#nominated.has(uid) ? this.#nominated.get(uid) : this.#ledger.nominatedNode(uid)
  }

  #release({ partition }: Claimant, { uid, node, epochMax }: ReleaseRoom): ClaimAnswer {
    const answer: ClaimAnswer = { uid, result: 'released' }
    const holder = this.#nodeOf(uid)
    if (holder === undefined || (node !== undefined && node !== holder)) return answer
    const draft = this.#draft(holder)
    const at = draft.claims.findIndex((claim) => claim.uid === uid)
    const claim = draft.claims[at]
    if (claim === undefined || claim.terms.partition !== partition) return answer
    if (epochMax !== undefined && claim.terms.epoch > epochMax) return answer
    draft.claims.splice(at, 1)
    subtractAmounts(draft.used, claim.terms.requests)
    draft.changed = true
    this.#moved.set(uid, undefined)
    return answer
  }

  /** What the same pod holds already counts as free for it. What it asks no more of than before it may keep on a node that shrank. */
  #whyNot(item: Room, terms: ClaimTerms, old: Claim | undefined): ClaimAnswer | undefined {
    const { node, uid } = item
    const { requests, ports } = terms
    const capacity = this.#ledger.capacity(node)
    if (capacity === undefined && old === undefined) {
      return this.#refuse(item, 'NodeNotFound', `node "${node}" is not known here`)
    }
    const draft = this.#draft(node)
    const reserved = reservedFor({ uid, terms }, draft.nominations, this.#rules)
    const used = reserved.length === 0 ? draft.used : { ...draft.used }
    for (const each of reserved) addAmounts(used, each.terms.requests)
    const short: string[] = []
    for (const name in requests) {
      const amount = requests[name]!
      const held = old?.terms.requests[name] ?? 0
      if (amount > held && (used[name] ?? 0) - held + amount > (capacity?.[name] ?? 0)) short.push(name)
    }
    if (short.length > 0) {
      const message = short.map((name) => describeShortage(name, capacity ?? {})).join(', ')
      return this.#refuse(item, `OutOf${short[0]}`, message)
    }
    if (ports.length === 0) return undefined
    const taken = [...draft.claims, ...reserved].some(
      (claim) => claim.uid !== uid && claim.terms.ports.some((a) => ports.some((b) => portsConflict(a, b))),
    )
    return taken ? this.#refuse(item, 'NodePorts', 'a host port of the pod is taken') : undefined
  }

  #refuse({ uid, node }: Room, reason: string, message: string): ClaimAnswer {
    const capacity = this.#ledger.capacity(node)
    if (capacity === undefined) return { uid, result: 'refused', reason, message }
    return { uid, result: 'refused', reason, message, free: freeOf(capacity, this.#draft(node).used) }
  }

  #termsOf({ partition, epoch }: Claimant, item: Room): ClaimTerms {
    const { tenant, namespace, requests, ports = NO_PORTS, priority = 0 } = item
    const counted = requests['pods'] === 1 ? requests : { ...requests, pods: 1 }
    return this.#table.share({ partition, tenant, namespace, epoch, priority, requests: counted, ports })
  }

  #nodeOf(uid: string): string | undefined {
    return this.#moved.has(uid) ? this.#moved.get(uid) : this.#ledger.nodeOf(uid)
  }

  #draft(node: string): NodeDraft {
    let draft = this.#drafts.get(node)
    if (draft === undefined) {
      const { claims, used, nominations } = this.#ledger.claims(node)
      draft = { claims: [...claims], used: { ...used }, nominations, changed: false }
      this.#drafts.set(node, draft)
    }
    return draft
  }
}

function describeShortage(name: string, capacity: Amounts): string {
  return name === 'pods' ? 'Too many pods' : `Insufficient ${describeDeviceAmount(name, capacity) ?? name}`
}

/** What is left of a node's amounts; never below 0. */
export function freeOf(capacity: Amounts, used: Amounts): Record<string, number> {
  const free: Record<string, number> = {}
  for (const [name, amount] of Object.entries(capacity)) free[name] = Math.max(0, amount - (used[name] ?? 0))
  return free
}
