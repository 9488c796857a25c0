import type { Change, Store } from '@centaurus/store'
import { tenantPrefix, type ExportEntry, type ExportLine } from './export-tenant.ts'

/** Changes in one commit; etcd allows 128 operations in a transaction. */
const CHANGES_AT_ONCE = 100

/**
 * Takes one export into a store: after `synced`, the store holds exactly what the exporting one held at `appliedRevision`, under the same
 * keys. Nobody else may write there meanwhile. Lines are applied one after the other; an import that failed is thrown away, and the next one
 * begins anew: it finds what is equal already and writes only differences.
 */
export class TenantImport {
  readonly #store: Store
  readonly #prefix: string
  /** Keys below the prefix that are here and that the snapshot has not confirmed. */
  #unconfirmed: Map<string, string> | undefined
  #appliedRevision = 0
  #synced = false
  readonly #waiters: { readonly revision: number; readonly resolve: () => void }[] = []

  constructor(store: Store, tenant: string) {
    this.#store = store
    this.#prefix = tenantPrefix(tenant)
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
    const { entries } = await this.#store.range(this.#prefix)
    return new Map(
      entries.map(({ key, value }) => [key.slice(this.#prefix.length), Buffer.from(value).toString('utf8')] as const),
    )
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
      await this.#store.commit({ changes: changes.slice(at, at + CHANGES_AT_ONCE) })
    }
  }
}
