import { assert } from '@centaurus/base'
import { CompactedError, FutureRevisionError, type Change, type Comparison } from '../store.ts'
import { OrderedVersions, type VersionRange } from './ordered-versions.ts'
import { RevisionLog } from './revision-log.ts'
import { countedRevisions, type RevisionNumbers } from './revision-numbers.ts'
import { checkKey } from './sort-key.ts'
import { isTombstone, liveAt, Version, versionAt } from './version.ts'

/** Revision of a store that has never been written to. Source: etcd v3, where an empty store answers revision 1. */
export const EMPTY_REVISION = 1

export interface MvccOptions {
  /** 0 or absent: nothing was ever compacted. */
  readonly compactedRevision?: number | undefined
  /** Default: counted. */
  readonly numbers?: RevisionNumbers | undefined
}

/**
 * Multi-version state in memory: which versions exist, in key order and in revision order. Knows nothing of disks, promises or
 * watches. `compactedRevision ≤ visibleRevision ≤ appliedRevision`: an engine applies commits, makes them durable, then visible;
 * comparisons look at what is applied, reads and watches at what is visible.
 */
export class Mvcc {
  readonly #keys = new OrderedVersions()
  readonly #numbers: RevisionNumbers
  /** The log has every commit from here on. */
  readonly #loggedFrom: number
  readonly #log: RevisionLog
  #visibleRevision: number
  #compactedRevision: number

  /** `compactedRevision` is 0 when nothing was ever compacted. */
  constructor({ compactedRevision = 0, numbers = countedRevisions }: MvccOptions = {}) {
    this.#compactedRevision = compactedRevision
    this.#numbers = numbers
    this.#loggedFrom = Math.max(compactedRevision, EMPTY_REVISION + 1)
    this.#log = new RevisionLog(this.#loggedFrom - 1)
    this.#visibleRevision = this.appliedRevision
  }

  get appliedRevision(): number {
    return this.#log.lastRevision
  }

  /** No commit was applied or restored that a watch could start at. */
  get isLogEmpty(): boolean {
    return this.#log.size === 0
  }

  /** Commits after the compacted revision. */
  get historyLength(): number {
    return this.#log.countAfter(this.#compactedRevision)
  }

  /** The revision after which there are `commits` of them; there must be more. */
  revisionBefore(commits: number): number {
    return this.#log.revisionBefore(commits)
  }

  get visibleRevision(): number {
    return this.#visibleRevision
  }

  get compactedRevision(): number {
    return this.#compactedRevision
  }

  /** Lets reads see everything up to `revision`. */
  makeVisible(revision: number): void {
    assert(revision >= this.#visibleRevision && revision <= this.appliedRevision, 'revisions become visible in order')
    this.#visibleRevision = revision
  }

  /** The revision to read at. 0 or absent: the newest visible. Throws {@link CompactedError} or {@link FutureRevisionError}. */
  readableRevision(atRevision: number | undefined): number {
    if (atRevision === undefined || atRevision <= 0) return this.#visibleRevision
    if (atRevision > this.#visibleRevision) throw new FutureRevisionError(atRevision, this.#visibleRevision)
    if (atRevision < this.#compactedRevision) throw new CompactedError(atRevision, this.#compactedRevision)
    return atRevision
  }

  get(key: string, revision: number): Version | undefined {
    return liveAt(this.#keys.head(key), revision)
  }

  range(prefix: string, from: string, options: { readonly revision: number; readonly limit: number }): VersionRange {
    return this.#keys.range(prefix, from, options)
  }

  /** The oldest commits after `revision`, at most `countMax`, not all of which may be visible. */
  commitsAfter(revision: number, countMax: number): (readonly Version[])[] {
    return this.#log.after(revision, countMax)
  }

  /** To be called when a commit comes in, for {@link apply}. */
  stamp(): number {
    return this.#numbers.stamp()
  }

  /** What the compared keys hold, applied but not yet visible commits included; `undefined` when every comparison holds. */
  failedComparison(compare: readonly Comparison[]): (Version | undefined)[] | undefined {
    const heads = compare.map(({ key }) => liveAt(this.#keys.head(key), Number.MAX_SAFE_INTEGER))
    return compare.every(({ modRevision }, i) => (heads[i]?.modRevision ?? 0) === modRevision) ? undefined : heads
  }

  /** Applies one commit, which came in at `stamp`. Returns its versions: none (and no revision) when nothing would change. */
  apply(changes: readonly Change[], stamp: number): readonly Version[] {
    const effective = changes.filter((change) => change.type === 'put' || this.#exists(change.key))
    const modRevision = this.#numbers.next(this.appliedRevision, stamp)
    const versions = effective.map((change, i) =>
      this.#nextVersion(change, { modRevision, slot: effective.length === 1 ? -1 : i }),
    )
    if (versions.length > 0) this.restore(versions)
    return versions
  }

  /** Takes a commit as it is: newer than any other, or (when loading) from before the compacted revision. */
  restore(versions: readonly Version[]): void {
    for (const version of versions) this.#keys.set(version)
    if (versions[0]!.modRevision >= this.#loggedFrom) this.#log.append(versions)
  }

  /** Newest version of `key`, applied but not visible ones and tombstones included. */
  head(key: string): Version | undefined {
    return this.#keys.head(key)
  }

  /** Drops a key that turned out to be deleted and compacted, while loading. */
  forget(key: string): void {
    this.#keys.remove(key)
  }

  /** Takes back every commit after `revision`, as if it had never been applied. */
  rollBack(revision: number): void {
    assert(revision >= this.#visibleRevision, 'what is visible stays')
    while (this.appliedRevision > revision) {
      for (const version of this.#log.pop()) {
        if (version.previous === undefined) this.#keys.remove(version.key)
        else this.#keys.set(version.previous)
      }
    }
  }

  /**
   * Refuses reads before `revision` from now on; {@link sweep} then frees what they needed.
   * Source: etcd v3 `Compact`: an error for a revision that is compacted already or does not exist yet.
   */
  compact(revision: number): void {
    if (revision > this.#visibleRevision) throw new FutureRevisionError(revision, this.#visibleRevision)
    if (revision <= this.#compactedRevision) throw new CompactedError(revision, this.#compactedRevision)
    this.#compactedRevision = revision
  }

  /**
   * Frees the versions that no readable revision needs, at most `revisionsMax` log entries at a time, and hands each to `onDead`.
   * The commit at the compacted revision stays in the log, so that a watch may start there. Returns true when it is finished.
   */
  sweep(revisionsMax: number, onDead?: (version: Version) => void): boolean {
    const keys = new Set<string>() // once a key, not once a change: a hot key's history is walked once a call
    for (let left = revisionsMax; left > 0 && this.#log.firstRevision < this.#compactedRevision; left--) {
      for (const { key } of this.#log.shift()) keys.add(key)
    }
    for (const key of keys) this.#sweepKey(key, onDead)
    if (this.#log.firstRevision < this.#compactedRevision) return false
    for (const version of this.#log.changes(this.#compactedRevision)) this.#cutBefore(version, onDead)
    return true
  }

  /** Keeps what `key` holds at the compacted revision, unless that is a tombstone which the log has let go of. */
  #sweepKey(key: string, onDead: ((version: Version) => void) | undefined): void {
    const head = this.#keys.head(key)
    const kept = versionAt(head, this.#compactedRevision)
    if (kept === undefined) return
    this.#cutBefore(kept, onDead)
    if (!isTombstone(kept) || kept.modRevision >= this.#log.firstRevision) return
    onDead?.(kept)
    if (head === kept) return this.#keys.remove(key)
    let successor = head
    while (successor !== undefined && successor.previous !== kept) successor = successor.previous
    if (successor !== undefined) successor.previous = undefined
  }

  #cutBefore(kept: Version, onDead: ((version: Version) => void) | undefined): void {
    for (let dead = kept.previous; dead !== undefined; dead = dead.previous) onDead?.(dead)
    kept.previous = undefined
  }

  #exists(key: string): boolean {
    const head = this.#keys.head(key)
    return head !== undefined && !isTombstone(head)
  }

  #nextVersion(change: Change, at: { readonly modRevision: number; readonly slot: number }): Version {
    const previous = this.#keys.head(change.key)
    const { key } = change
    if (change.type === 'delete')
      return new Version({ ...at, key, createRevision: 0, version: 0, value: undefined, previous })
    const live = previous !== undefined && !isTombstone(previous) ? previous : undefined
    const createRevision = live?.createRevision ?? at.modRevision
    return new Version({ ...at, key, createRevision, version: (live?.version ?? 0) + 1, value: change.value, previous })
  }
}

/** Changes in one commit: what fits the slot of an embedded record. etcd's default is 128 (`--max-txn-ops`). */
const CHANGES_MAX = 32_767

/** Throws `TypeError` when a key is not usable or appears twice in `changes`, and `RangeError` when there are too many. */
export function checkTransaction(compare: readonly Comparison[], changes: readonly Change[]): void {
  if (changes.length > CHANGES_MAX) {
    throw new RangeError(`Cannot make ${changes.length} changes in one commit: ${CHANGES_MAX} is the most`)
  }
  for (const { key } of compare) checkKey(key)
  for (const { key } of changes) checkKey(key)
  if (changes.length < 2) return
  const seen = new Set<string>()
  for (const { key } of changes) {
    if (seen.has(key)) throw new TypeError(`Cannot change key ${JSON.stringify(key)} twice in one commit`)
    seen.add(key)
  }
}
