import { assert } from '@centaurus/base'
import type { Version } from './version.ts'

/** Entries at the front that may be dead before the array is copied: the copy then costs less than a slot an append. */
const DEAD_ENTRIES_MAX = 4096

/** What each commit changed, by revision, without gaps. A commit of one change costs one array slot. */
export class RevisionLog {
  #entries: (Version | readonly Version[] | undefined)[] = []
  #dead = 0
  #firstRevision: number

  constructor(firstRevision: number) {
    this.#firstRevision = firstRevision
  }

  /** Oldest revision that is still here; one more than the newest when there is none. */
  get firstRevision(): number {
    return this.#firstRevision
  }

  /** The next commit's revision. */
  get nextRevision(): number {
    return this.#firstRevision + this.#entries.length - this.#dead
  }

  /** Adds the commit numbered {@link nextRevision}. */
  append(versions: readonly Version[]): void {
    this.#entries.push(versions.length === 1 ? versions[0] : versions)
  }

  /** Changes of the commit `revision`, in its order. */
  changes(revision: number): readonly Version[] {
    const entry = this.#entries[revision - this.#firstRevision + this.#dead]
    assert(entry !== undefined && revision >= this.#firstRevision, `revision ${revision} is in the log`)
    return Array.isArray(entry) ? (entry as readonly Version[]) : [entry as Version]
  }

  /** Takes the newest commit back. */
  pop(): readonly Version[] {
    const changes = this.changes(this.nextRevision - 1)
    this.#entries.pop()
    return changes
  }

  /** Forgets the oldest commit. */
  shift(): readonly Version[] {
    const changes = this.changes(this.#firstRevision)
    this.#entries[this.#dead] = undefined
    this.#dead++
    this.#firstRevision++
    if (this.#dead > DEAD_ENTRIES_MAX && this.#dead * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#dead)
      this.#dead = 0
    }
    return changes
  }
}
