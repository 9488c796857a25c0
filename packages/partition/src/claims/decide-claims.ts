import type { Ledger } from './ledger.ts'
import { NO_PORTS, type Amounts, type ClaimAnswer, type ClaimItem, type ClaimRoom, type ReleaseRoom } from './model.ts'
import {
  addAmounts,
  portsConflict,
  subtractAmounts,
  type Claim,
  type ClaimTerms,
  type NodeClaims,
  type TermsTable,
} from './node-claims.ts'

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
  changed: boolean
}

/**
 * What the ledger would be after some requests, decided one item after the other. The ledger stays as it is; `changes` tells what would
 * have to be stored for the answers to be true.
 */
export class LedgerDraft {
  readonly #ledger: Ledger
  readonly #table: TermsTable
  readonly #drafts = new Map<string, NodeDraft>()
  /** Where claims were put (or undefined: taken away) by this draft. */
  readonly #moved = new Map<string, string | undefined>()

  constructor(ledger: Ledger, table: TermsTable) {
    this.#ledger = ledger
    this.#table = table
  }

  /** New content of each node whose claims change. */
  get changes(): Map<string, NodeClaims> {
    const changes = new Map<string, NodeClaims>()
    for (const [node, { claims, used, changed }] of this.#drafts) if (changed) changes.set(node, { claims, used })
    return changes
  }

  /**
   * Answers each item in order: room that fits into what is left is given, a uid that has it already gets it again, and one that has it on
   * another node is told where. A node that shrank gives nothing new and takes nothing back. Taints, cordons and conditions are not looked
   * at: the scheduler did. Nothing is changed for an item that is refused.
   */
  decide(claimant: Claimant, items: readonly ClaimItem[]): ClaimAnswer[] {
    return items.map((item) => (item.op === 'claim' ? this.#claim(claimant, item) : this.#release(claimant, item)))
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
    return { uid, result: 'accepted' }
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
  #whyNot(item: ClaimRoom, { requests, ports }: ClaimTerms, old: Claim | undefined): ClaimAnswer | undefined {
    const { node, uid } = item
    const capacity = this.#ledger.capacity(node)
    if (capacity === undefined && old === undefined) {
      return this.#refuse(item, 'NodeNotFound', `node "${node}" is not known here`)
    }
    const { used, claims } = this.#draft(node)
    const short: string[] = []
    for (const name in requests) {
      const amount = requests[name]!
      const held = old?.terms.requests[name] ?? 0
      if (amount > held && (used[name] ?? 0) - held + amount > (capacity?.[name] ?? 0)) short.push(name)
    }
    if (short.length > 0) {
      const message = short.map((name) => (name === 'pods' ? 'Too many pods' : `Insufficient ${name}`)).join(', ')
      return this.#refuse(item, `OutOf${short[0]}`, message)
    }
    if (ports.length === 0) return undefined
    const taken = claims.some(
      (claim) => claim.uid !== uid && claim.terms.ports.some((a) => ports.some((b) => portsConflict(a, b))),
    )
    return taken ? this.#refuse(item, 'NodePorts', 'a host port of the pod is taken') : undefined
  }

  #refuse({ uid, node }: ClaimRoom, reason: string, message: string): ClaimAnswer {
    const capacity = this.#ledger.capacity(node)
    if (capacity === undefined) return { uid, result: 'refused', reason, message }
    return { uid, result: 'refused', reason, message, free: freeOf(capacity, this.#draft(node).used) }
  }

  #termsOf({ partition, epoch }: Claimant, item: ClaimRoom): ClaimTerms {
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
      const { claims, used } = this.#ledger.claims(node)
      draft = { claims: [...claims], used: { ...used }, changed: false }
      this.#drafts.set(node, draft)
    }
    return draft
  }
}

/** What is left of a node's amounts; never below 0. */
export function freeOf(capacity: Amounts, used: Amounts): Record<string, number> {
  const free: Record<string, number> = {}
  for (const [name, amount] of Object.entries(capacity)) free[name] = Math.max(0, amount - (used[name] ?? 0))
  return free
}
