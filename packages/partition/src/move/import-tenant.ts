import { arrivalChange, departureChange, type TenantPosition } from '@centaurus/apiserver'
import type { Change, Comparison, Store } from '@centaurus/store'
import { tenantPrefix, type ExportEntry, type ExportLine } from './export-tenant.ts'

/** Changes in one commit; etcd allows 128 operations in a transaction. */
const CHANGES_AT_ONCE = 100
/** Of values in one commit that has more than one; etcd takes requests of 1.5 MiB. */
const COMMIT_BYTES_MAX = 1024 * 1024
/** Commits under way at the same time, of different keys. */
const COMMITS_AT_ONCE = 4
/** Keys read at once. */
const PAGE_ENTRIES = 500

/**
 * Takes one export into a store: after `synced`, the store holds exactly what the exporting one held at `appliedRevision`, under the same
 * keys. Nobody else may write there meanwhile. Lines are applied one after the other; an import that failed is thrown away, and the next one
 * begins anew: it finds what is equal already and writes only differences.
 */
export class TenantImport {
  readonly #store: Store
  readonly #tenant: string
  readonly #prefix: string
  readonly #guard: Comparison
  #entries = 0
  /** Keys below the prefix that are here and that the snapshot has not confirmed. */
  #unconfirmed: Map<string, string> | undefined
  #appliedRevision = 0
  #synced = false
  readonly #waiters: { readonly revision: number; readonly resolve: () => void }[] = []

  /** `guard` must hold for each change: nothing is written when somebody else has begun anew, or the tenant is served already. */
  constructor(store: Store, tenant: string, guard: Comparison) {
    this.#store = store
    this.#tenant = tenant
    this.#prefix = tenantPrefix(tenant)
    this.#guard = guard
  }

  /** Objects that the snapshot had. */
  get entries(): number {
    return this.#entries
  }

  /** Whether the snapshot is complete. */
  get synced(): boolean {
    return this.#synced
  }

  /** Revision of the exporting store up to which everything is here, durably. */
  get appliedRevision(): number {
    return this.#appliedRevision
  }

  /** Applies lines that follow those before. Await it before the next. */
  async apply(lines: readonly ExportLine[]): Promise<void> {
    const changes = new Map<string, string | undefined>()
    let reached = 0
    let isSynced = false
    for (const line of lines) {
      switch (line.type) {
        case 'SNAPSHOT':
          await this.#compare(line.entries, changes)
          break
        case 'SYNCED':
          for (const key of (await this.#readUnconfirmed()).keys()) changes.set(key, undefined)
          this.#unconfirmed = undefined
          isSynced = true
          reached = line.revision
          break
        case 'COMMIT':
          for (const [key, value] of line.puts) changes.set(key, value)
          for (const key of line.deletes) changes.set(key, undefined)
          reached = line.revision
          break
        case 'PROGRESS':
          reached = line.revision
          break
        default:
          throw new Error(`Unknown line of an export: ${JSON.stringify(line).slice(0, 200)}`)
      }
    }
    await this.#commit(changes)
    this.#synced ||= isSynced
    if (this.#synced) this.#reached(reached)
  }

  /** Keeps durably up to where clients may have seen the tenant where it was; undefined: that is not known, and they list again. */
  async remember(position: TenantPosition | undefined): Promise<void> {
    const change = position === undefined ? departureChange(this.#tenant) : arrivalChange(this.#tenant, position)
    await this.#put([change])
  }

  /** Resolves when everything up to `revision` of the exporting store is here. */
  async whenReached(revision: number): Promise<void> {
    if (this.#synced && this.#appliedRevision >= revision) return
    await new Promise<void>((resolve) => this.#waiters.push({ revision, resolve }))
  }

  /** Adds to `changes` what of the snapshot is not here. */
  async #compare(entries: readonly ExportEntry[], changes: Map<string, string | undefined>): Promise<void> {
    const here = await this.#readUnconfirmed()
    this.#entries += entries.length
    for (const [key, value] of entries) {
      if (here.get(key) !== value) changes.set(key, value)
      here.delete(key)
    }
  }

  async #readUnconfirmed(): Promise<Map<string, string>> {
    return (this.#unconfirmed ??= await this.#readAll())
  }

  #reached(revision: number): void {
    this.#appliedRevision = Math.max(this.#appliedRevision, revision)
    for (const waiter of this.#waiters.splice(0)) {
      if (waiter.revision <= this.#appliedRevision) waiter.resolve()
      else this.#waiters.push(waiter)
    }
  }

  async #readAll(): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    let from: string | undefined
    for (;;) {
      const options = from === undefined ? { limit: PAGE_ENTRIES } : { limit: PAGE_ENTRIES, from }
      const { entries, more } = await this.#store.range(this.#prefix, options)
      for (const { key, value } of entries) {
        found.set(key.slice(this.#prefix.length), Buffer.from(value).toString('utf8'))
      }
      if (!more) return found
      from = `${entries.at(-1)!.key}\0`
    }
  }

  /** Not atomic beyond one commit: nobody looks before the import is complete. */
  async #commit(changes: ReadonlyMap<string, string | undefined>): Promise<void> {
    const parts = Array.from(this.#cut(changes))
    const next = async (): Promise<void> => {
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) await this.#put(part)
    }
    await Promise.all(Array.from({ length: COMMITS_AT_ONCE }, next))
  }

  /** Parts that a store takes in one commit. */
  *#cut(changes: ReadonlyMap<string, string | undefined>): Generator<readonly Change[], void> {
    let part: Change[] = []
    let bytes = 0
    for (const [name, text] of changes) {
      const key = this.#prefix + name
      const value = text === undefined ? undefined : Buffer.from(text)
      const size = value?.byteLength ?? 0
      if (part.length === CHANGES_AT_ONCE || (part.length > 0 && bytes + size > COMMIT_BYTES_MAX)) {
        yield part
        part = []
        bytes = 0
      }
      part.push(value === undefined ? { type: 'delete', key } : { type: 'put', key, value })
      bytes += size
    }
    if (part.length > 0) yield part
  }

  async #put(changes: readonly Change[]): Promise<void> {
    const { committed } = await this.#store.commit({ compare: [this.#guard], changes })
    if (!committed) throw new Error('Somebody else has begun to fetch the tenant')
  }
}
