import type { Change, Comparison, Store } from '@centaurus/store'
import { tenantPrefix, type ExportEntry, type ExportLine } from './export-tenant.ts'

/** Changes in one commit; etcd allows 128 operations in a transaction. */
const CHANGES_AT_ONCE = 100
/** Keys read at once. */
const PAGE_ENTRIES = 500

/**
 * Takes one export into a store: after `synced`, the store holds exactly what the exporting one held at `appliedRevision`, under the same
 * keys. Nobody else may write there meanwhile. Lines are applied one after the other; an import that failed is thrown away, and the next one
 * begins anew: it finds what is equal already and writes only differences.
 */
export class TenantImport {
  readonly #store: Store
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

  /** Applies one line. Await it before the next. */
  async apply(line: ExportLine): Promise<void> {
    switch (line.type) {
      case 'SNAPSHOT':
        return this.#putSnapshot(line.entries)
      case 'SYNCED':
        await this.#finishSnapshot()
        return this.#reached(line.revision)
      case 'COMMIT':
        await this.#commit([
          ...line.puts.map(([key, value]) => this.#put(key, value)),
          ...line.deletes.map((key) => this.#delete(key)),
        ])
        return this.#reached(line.revision)
      case 'PROGRESS':
        return this.#reached(line.revision)
      default:
        throw new Error(`Unknown line of an export: ${JSON.stringify(line).slice(0, 200)}`)
    }
  }

  /** Resolves when everything up to `revision` of the exporting store is here. */
  async whenReached(revision: number): Promise<void> {
    if (this.#synced && this.#appliedRevision >= revision) return
    await new Promise<void>((resolve) => this.#waiters.push({ revision, resolve }))
  }

  async #putSnapshot(entries: readonly ExportEntry[]): Promise<void> {
    const here = (this.#unconfirmed ??= await this.#readAll())
    const changes: Change[] = []
    this.#entries += entries.length
    for (const [key, value] of entries) {
      if (here.get(key) !== value) changes.push(this.#put(key, value))
      here.delete(key)
    }
    await this.#commit(changes)
  }

  async #finishSnapshot(): Promise<void> {
    const left = this.#unconfirmed ?? (await this.#readAll())
    await this.#commit([...left.keys()].map((key) => this.#delete(key)))
    this.#unconfirmed = undefined
    this.#synced = true
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

  #put(key: string, value: string): Change {
    return { type: 'put', key: this.#prefix + key, value: Buffer.from(value) }
  }

  #delete(key: string): Change {
    return { type: 'delete', key: this.#prefix + key }
  }

  /** Not atomic beyond {@link CHANGES_AT_ONCE}: nobody looks before the import is complete. */
  async #commit(changes: readonly Change[]): Promise<void> {
    for (let at = 0; at < changes.length; at += CHANGES_AT_ONCE) {
      const part = { compare: [this.#guard], changes: changes.slice(at, at + CHANGES_AT_ONCE) }
      if (!(await this.#store.commit(part)).committed) throw new Error('Somebody else has begun to fetch the tenant')
    }
  }
}
