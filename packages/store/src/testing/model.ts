import { decodeText } from '@centaurus/base'
import type { Transaction } from '../store.ts'

interface ModelEntry {
  readonly value: string
  readonly created: number
  readonly modified: number
  readonly version: number
}

type Snapshot = ReadonlyMap<string, ModelEntry>

/** The dumb reference: a copy of everything for each revision. Answers in the format of `show` and `showEvent`. */
export class ModelStore {
  readonly #snapshots: Snapshot[] = [new Map(), new Map()] // index = revision
  readonly #events: string[][] = [[], []]
  #compacted = 0

  get revision(): number {
    return this.#snapshots.length - 1
  }

  get compacted(): number {
    return this.#compacted
  }

  commit(transaction: Transaction): { committed: boolean; revision: number; found: string[] } {
    const now = this.#snapshots[this.revision]!
    const compare = transaction.compare ?? []
    if (compare.some(({ key, modRevision }) => (now.get(key)?.modified ?? 0) !== modRevision)) {
      return { committed: false, revision: this.revision, found: compare.map(({ key }) => showIn(now, key)) }
    }
    const next = new Map(now)
    const modified = this.revision + 1
    const events: string[] = []
    for (const change of transaction.changes) {
      const old = now.get(change.key)
      if (change.type === 'put') {
        const value = decodeText(change.value)
        next.set(change.key, { value, created: old?.created ?? modified, modified, version: (old?.version ?? 0) + 1 })
        events.push(`put ${showIn(next, change.key)} (${showIn(now, change.key)})`)
      } else if (next.delete(change.key)) {
        events.push(`delete ${change.key}@${modified} (${showIn(now, change.key)})`)
      }
    }
    if (events.length > 0) {
      this.#snapshots.push(next)
      this.#events.push(events)
    }
    return { committed: true, revision: this.revision, found: [] }
  }

  /** `'compacted'` or `'future'` when the revision can't be read. */
  range(prefix: string, at: number): string[] | 'compacted' | 'future' {
    if (at > this.revision) return 'future'
    if (at < this.#compacted) return 'compacted'
    const snapshot = this.#snapshots[at]!
    const keys = [...snapshot.keys()].filter((key) => key.startsWith(prefix))
    return keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((key) => showIn(snapshot, key))
  }

  compact(revision: number): 'ok' | 'compacted' | 'future' {
    if (revision > this.revision) return 'future'
    if (revision <= this.#compacted) return 'compacted'
    this.#compacted = revision
    return 'ok'
  }

  /** Every event since the start, one array a revision. */
  history(): { revision: number; events: readonly string[] }[] {
    return this.#events.map((events, revision) => ({ revision, events })).slice(2)
  }
}

function showIn(snapshot: Snapshot, key: string): string {
  const entry = snapshot.get(key)
  return entry === undefined ? 'nothing' : `${key}=${entry.value}@${entry.modified}+${entry.created}#${entry.version}`
}
