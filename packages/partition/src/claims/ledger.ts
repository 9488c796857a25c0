import { NO_CLAIMS, type Claim, type NodeClaims } from './node-claims.ts'
import type { Amounts } from './model.ts'

/** A node's claims as the store has them. */
interface Account {
  readonly content: NodeClaims
  /** Of the last change, a removal included: what is older is not believed. */
  readonly revision: number
  readonly exists: boolean
}

/** Told of each change of a node's claims. */
export type LedgerListener = (node: string, now: NodeClaims, before: NodeClaims) => void

/**
 * What every node of a resource partition has, and who claimed it. Only follows: {@link decideClaims} decides, the store remembers.
 * Costs about 200 bytes a claim.
 */
export class Ledger {
  /** Allocatable amounts by node; nodes that are not there are unknown. */
  readonly #capacity = new Map<string, Amounts>()
  readonly #accounts = new Map<string, Account>()
  readonly #nodeOfUid = new Map<string, string>()
  readonly #listeners = new Set<LedgerListener>()

  /** Amounts that the node offers; undefined for an unknown node. */
  capacity(node: string): Amounts | undefined {
    return this.#capacity.get(node)
  }

  /** Sets what a node offers; undefined when it is gone. Its claims stay. */
  setCapacity(node: string, allocatable: Amounts | undefined): void {
    if (allocatable === undefined) this.#capacity.delete(node)
    else this.#capacity.set(node, allocatable)
  }

  /** Names of all nodes that are known. */
  nodes(): IterableIterator<string> {
    return this.#capacity.keys()
  }

  /** Names of nodes with claims, known or not. */
  claimedNodes(): string[] {
    return Array.from(this.#accounts.keys()).filter((node) => this.claims(node).claims.length > 0)
  }

  claims(node: string): NodeClaims {
    return this.#accounts.get(node)?.content ?? NO_CLAIMS
  }

  /** Node on which the pod has a claim. */
  nodeOf(uid: string): string | undefined {
    return this.#nodeOfUid.get(uid)
  }

  findClaim(uid: string): { readonly node: string; readonly claim: Claim } | undefined {
    const node = this.#nodeOfUid.get(uid)
    const claim = node === undefined ? undefined : this.claims(node).claims.find((entry) => entry.uid === uid)
    return claim === undefined ? undefined : { node: node!, claim }
  }

  get claimCount(): number {
    return this.#nodeOfUid.size
  }

  /** Revision that the node's key must have for what is known here to be true; 0: it must not exist. */
  compareRevision(node: string): number {
    const account = this.#accounts.get(node)
    return account?.exists === true ? account.revision : 0
  }

  /** Takes what the store has for a node since `revision`; undefined: nothing. News that are older than what is known are dropped. */
  put(node: string, content: NodeClaims | undefined, revision: number): void {
    const before = this.#accounts.get(node)
    if (before !== undefined && before.revision >= revision) {
      // The store's own word for a removal that we made: now nothing older can come any more.
      if (content === undefined && before.revision === revision) this.#accounts.delete(node)
      return
    }
    const now = content ?? NO_CLAIMS
    this.#accounts.set(node, { content: now, revision, exists: content !== undefined })
    this.#reindex(node, now, before?.content ?? NO_CLAIMS)
    for (const listener of this.#listeners) listener(node, now, before?.content ?? NO_CLAIMS)
  }

  /** True when the store's news of that revision are known already. */
  knows(node: string, revision: number): boolean {
    return (this.#accounts.get(node)?.revision ?? 0) >= revision
  }

  onChange(listener: LedgerListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #reindex(node: string, now: NodeClaims, before: NodeClaims): void {
    for (const { uid } of before.claims) if (this.#nodeOfUid.get(uid) === node) this.#nodeOfUid.delete(uid)
    for (const { uid } of now.claims) this.#nodeOfUid.set(uid, node)
  }
}
