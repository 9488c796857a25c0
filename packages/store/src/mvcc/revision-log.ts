import { assert } from '@centaurus/base'
import type { Version } from './version.ts'

/** Entries at the front that may be dead before the array is copied: the copy then costs less than a slot an append. */
const DEAD_ENTRIES_MAX = 4096

type Entry = Version | readonly Version[]

/** What each commit changed, in order of revision. A commit of one change costs one array slot. */
export class RevisionLog {
  #entries: (Entry | undefined)[] = []
  #dead = 0
  readonly #emptyRevision: number

  /** `emptyRevision`: what {@link lastRevision} is as long as there is no commit. */
  constructor(emptyRevision: number) {
    this.#emptyRevision = emptyRevision
  }

  /** Commits that are here. */
  get size(): number {
    return this.#entries.length - this.#dead
  }

  /** Revision of the oldest commit that is here; infinite when there is none. */
  get firstRevision(): number {
    return this.size === 0 ? Number.POSITIVE_INFINITY : this.#revisionAt(this.#dead)
  }

  /** Revision of the newest commit. */
  get lastRevision(): number {
    return this.size === 0 ? this.#emptyRevision : this.#revisionAt(this.#entries.length - 1)
  }

  /** Adds a commit, which is newer than all others. */
  append(versions: readonly Version[]): void {
    assert(this.size === 0 || versions[0]!.modRevision > this.lastRevision, 'revisions grow')
    this.#entries.push(versions.length === 1 ? versions[0] : versions)
  }

  /** Changes of the commit `revision`, in its order; none when no commit has that number. */
  changes(revision: number): readonly Version[] {
    const commit = this.after(revision - 1, 1)[0]
    return commit?.[0]?.modRevision === revision ? commit : []
  }

  /** The oldest commits with a greater revision, at most `countMax`. */
  after(revision: number, countMax: number): (readonly Version[])[] {
    const start = this.#indexAfter(revision)
    return this.#entries.slice(start, start + countMax).map((entry) => toCommit(entry as Entry))
  }

  /** How many commits have a greater revision. */
  countAfter(revision: number): number {
    return this.#entries.length - this.#indexAfter(revision)
  }

  /** The revision after which there are `count` commits, which must be fewer than there are. */
  revisionBefore(count: number): number {
    return this.#revisionAt(this.#entries.length - 1 - count)
  }

  /** Takes the newest commit back. */
  pop(): readonly Version[] {
    assert(this.size > 0, 'there is a commit to take back')
    return toCommit(this.#entries.pop() as Entry)
  }

  /** Forgets the oldest commit. */
  shift(): readonly Version[] {
    assert(this.size > 0, 'there is a commit to forget')
    const commit = toCommit(this.#entries[this.#dead] as Entry)
    this.#entries[this.#dead] = undefined
    this.#dead++
    if (this.#dead > DEAD_ENTRIES_MAX && this.#dead * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#dead)
      this.#dead = 0
    }
    return commit
  }

  #revisionAt(index: number): number {
    const entry = this.#entries[index] as Entry
    return Array.isArray(entry) ? (entry as readonly Version[])[0]!.modRevision : (entry as Version).modRevision
  }

  /** Position of the first commit with a greater revision. Looks near the end first: that is where nearly everybody reads. */
  #indexAfter(revision: number): number {
    let high = this.#entries.length
    let low = high
    for (let step = 1; low > this.#dead && this.#revisionAt(low - 1) > revision; step *= 2) {
      high = low - 1
      low = Math.max(this.#dead, low - step)
    }
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#revisionAt(middle) > revision) high = middle
      else low = middle + 1
    }
    return low
  }
}

function toCommit(entry: Entry): readonly Version[] {
  return Array.isArray(entry) ? (entry as readonly Version[]) : [entry as Version]
}
