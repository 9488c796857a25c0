import { NO_CLAIMS, NO_NOMINATIONS, sumClaims, type Claim, type NodeClaims, type Nomination } from './node-claims.ts'
import type { Amounts } from './model.ts'

/** One node. Sums are not kept: they are made from the claims when somebody asks, a microsecond or two. */
interface Entry {
  /** Undefined: the node is unknown. */
  allocatable: Amounts | undefined
  /** As the store has them; the store has nothing when there are none. */
  claims: readonly Claim[]
  nominations: readonly Nomination[]
  /** Of the last change of the claims, a removal included: what is older is not believed. 0: there was none. */
  revision: number
}

/** Told of each change of a node's claims. */
export type LedgerListener = (node: string, now: NodeClaims, before: NodeClaims) => void

/**
 * What every node of a resource partition has, and who claimed it. Only follows: {@link LedgerDraft} decides, the store remembers.
 * Costs about 200 bytes a claim and 200 a node.
 */
export class Ledger {
  readonly #entries = new Map<string, Entry>()
  readonly #nodeOfUid = new Map<string, string>()
  readonly #nodeOfNominated = new Map<string, string>()
  readonly #listeners = new Set<LedgerListener>()

  /** Amounts that the node offers; undefined for an unknown node. */
  capacity(node: string): Amounts | undefined {
    return this.#entries.get(node)?.allocatable
  }

  /** Sets what a node offers; undefined when it is gone. Its claims stay. */
  setCapacity(node: string, allocatable: Amounts | undefined): void {
    const entry = this.#entries.get(node)
    if (entry !== undefined) {
      entry.allocatable = allocatable
      this.#dropEmpty(node, entry)
    } else if (allocatable !== undefined) {
      this.#entries.set(node, { ...EMPTY, allocatable })
    }
  }

  /** Names of nodes with claims or nominations, known or not. */
  claimedNodes(): string[] {
    return Array.from(this.#entries).flatMap(([node, entry]) => (hasContent(entry) ? [node] : []))
  }

  claims(node: string): NodeClaims {
    const entry = this.#entries.get(node)
    return entry === undefined ? NO_CLAIMS : sumClaims(entry.claims, entry.nominations)
  }

  /** Node on which room is kept for the pod. */
  nominatedNode(uid: string): string | undefined {
    return this.#nodeOfNominated.get(uid)
  }

  /** Node on which the pod has a claim. */
  nodeOf(uid: string): string | undefined {
    return this.#nodeOfUid.get(uid)
  }

  findClaim(uid: string): { readonly node: string; readonly claim: Claim } | undefined {
    const node = this.#nodeOfUid.get(uid)
    const claim = node === undefined ? undefined : this.#entries.get(node)?.claims.find((each) => each.uid === uid)
    return claim === undefined ? undefined : { node: node!, claim }
  }

  get claimCount(): number {
    return this.#nodeOfUid.size
  }

  /** Revision that the node's key must have for what is known here to be true; 0: it must not exist. */
  compareRevision(node: string): number {
    const entry = this.#entries.get(node)
    return entry === undefined || !hasContent(entry) ? 0 : entry.revision
  }

  /** Takes what the store has for a node since `revision`; undefined: nothing. News that are older than what is known are dropped. */
  put(node: string, content: NodeClaims | undefined, revision: number): void {
    const entry = this.#entries.get(node) ?? { ...EMPTY }
    if (entry.revision >= revision) {
      // The store's own word for a removal that we made: now nothing older can come any more.
      if (content === undefined && entry.revision === revision) {
        entry.revision = 0
        this.#dropEmpty(node, entry)
      }
      return
    }
    const { claims, nominations } = entry
    this.#entries.set(node, entry)
    entry.claims = content?.claims ?? NO_CLAIMS.claims
    entry.nominations = content?.nominations ?? NO_NOMINATIONS
    entry.revision = revision
    replace(this.#nodeOfUid, node, { before: claims, now: entry.claims })
    replace(this.#nodeOfNominated, node, { before: nominations, now: entry.nominations })
    if (this.#listeners.size === 0) return
    const [now, then] = [sumClaims(entry.claims, entry.nominations), sumClaims(claims, nominations)]
    for (const listener of this.#listeners) listener(node, now, then)
  }

  /** True when the store's news of that revision are known already. */
  knows(node: string, revision: number): boolean {
    return (this.#entries.get(node)?.revision ?? 0) >= revision
  }

  onChange(listener: LedgerListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #dropEmpty(node: string, { allocatable, revision }: Entry): void {
    if (allocatable === undefined && revision === 0) this.#entries.delete(node)
  }
}

const EMPTY: Entry = { allocatable: undefined, claims: NO_CLAIMS.claims, nominations: NO_NOMINATIONS, revision: 0 }

function hasContent({ claims, nominations }: Entry): boolean {
  return claims.length + nominations.length > 0
}

function replace(
  nodeOf: Map<string, string>,
  node: string,
  { before, now }: { readonly before: readonly Claim[]; readonly now: readonly Claim[] },
): void {
  for (const { uid } of before) if (nodeOf.get(uid) === node) nodeOf.delete(uid)
  for (const { uid } of now) nodeOf.set(uid, node)
}
