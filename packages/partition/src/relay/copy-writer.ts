import { SYSTEM_TENANT } from '@centaurus/api'
import { namespaces } from '@centaurus/api/core/v1'
import { storeKeyOf, type ObjectAddress, type StoredObjects } from '@centaurus/apiserver'
import type { Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Change, Comparison, KeyValue, Store } from '@centaurus/store'
import type { PeerStates } from '../epoch/peer-states.ts'
import { encodeCopy, findCopies, readOrigin, type KnownCopy, type Origin } from './copies.ts'
import type { RelayDelete, RelayHave, RelayLine, RelayPut } from './wire.ts'

/** Changes of one commit. Source: etcd's default --max-txn-ops (128), less what is remembered of the peer. */
const COMMIT_CHANGES_MAX = 100
/** Bytes of one commit, unless one object has more. Source: etcd's default --max-request-bytes (1.5 MiB). */
const COMMIT_BYTES_MAX = 1024 * 1024
/** How often a commit is tried again because something else wrote the same keys. */
const COMMIT_ATTEMPTS_MAX = 20

export interface CopyWriterDeps {
  /** The tenant partition whose tenants' objects come. */
  readonly peer: string
  readonly store: Store
  readonly stored: StoredObjects
  readonly client: Client
  readonly peers: PeerStates
  /** Partition that has the tenant's originals; undefined: nobody knows the tenant. */
  readonly ownerOf: (tenant: string) => string | undefined
  readonly logger: Logger
  /** Called when the copies show everything up to what the line says. */
  readonly onReached: (line: Marker) => void
  /** Called when lines could not be written; begin anew. */
  readonly onFailed: (error: unknown) => void
  /** Asks the peer for objects; what is gone is not in the answer. */
  readonly fetch: (items: readonly ObjectAddress[]) => Promise<readonly RelayPut[]>
}

export type Marker = Extract<RelayLine, { type: 'SYNCED' | 'PROGRESS' }>
type Line = RelayPut | RelayDelete | RelayHave | Marker
type Item = Line & { readonly bytes: number }
type ObjectLine = RelayPut | RelayDelete

const NO_ORIGIN: Origin = { partition: '', revision: 0 }

/**
 * Makes one peer's lines copies in this partition's store, many in a commit. Every change compares what it takes the place of, so that what is this
 * partition's own, or was copied by another server meanwhile, is never overwritten; what a tenant left behind when it moved to the peer is.
 *
 * Invariant: an object whose tenant is another peer's by the registry is neither written nor deleted for this peer: a tenant that moves keeps its
 * copies, and with them its running pods, until the new owner's stream has taken them over.
 */
export class CopyWriter {
  readonly #deps: CopyWriterDeps
  /** Every copy in the store, whosever, by store key. */
  readonly #known = new Map<string, KnownCopy>()
  /** Keys that the present stream has put. */
  #named = new Set<string>()
  #queue: Item[] = []
  #queuedBytes = 0
  #running: Promise<void> | undefined

  constructor(deps: CopyWriterDeps) {
    this.#deps = deps
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Resolves when everything that was taken is durable, or failed. Undefined: nothing is under way. */
  get running(): Promise<void> | undefined {
    return this.#running
  }

  /**
   * Looks at what is there, and starts anew with a stream that has named nothing. `distrusts`: the peer's store is another one than it was, or went
   * back, so that equal revisions say nothing.
   */
  async begin({ distrusts }: { readonly distrusts: boolean }): Promise<void> {
    await this.#deps.client.list(namespaces, { limit: 1 }) // waits until the cache has what was committed
    this.#known.clear()
    for (const [key, copy] of findCopies(this.#deps.stored)) {
      const isUnsure = distrusts && copy.partition === this.#deps.peer
      this.#known.set(key, isUnsure ? { ...copy, revision: 0 } : copy)
    }
    this.#named = new Set()
    this.#queue = []
    this.#queuedBytes = 0
  }

  /** True when there are copies of the peer. */
  get hasCopies(): boolean {
    for (const { partition, revision } of this.#known.values())
      if (partition === this.#deps.peer && revision > 0) return true
    return false
  }

  /** Takes the next line of the stream. `bytes`: its length. */
  take(line: Line, bytes: number): void {
    this.#queue.push({ ...line, bytes })
    this.#queuedBytes += bytes
    if (this.#running !== undefined) return
    this.#running = this.#run()
      .catch((error: unknown) => this.#deps.onFailed(error))
      .finally(() => (this.#running = undefined))
  }

  async #run(): Promise<void> {
    await Promise.resolve() // lines that came in the same chunk are committed together
    while (this.#queue.length > 0) {
      const first = this.#queue[0]!
      if (first.type === 'SYNCED' || first.type === 'PROGRESS') {
        this.#drop(1)
        await this.#reach(first)
      } else if (first.type === 'HAVE') {
        this.#drop(1)
        await this.#compare(first)
      } else await this.#apply(this.#takeObjects())
    }
  }

  /** Asks for what the peer has and this store has not, or in another revision. */
  async #compare({ tenant, resource, keys }: RelayHave): Promise<void> {
    const missing: ObjectAddress[] = []
    for (const [key, revision] of keys) {
      const address = { tenant, resource, key }
      const storeKey = storeKeyOf(address)
      this.#named.add(storeKey)
      if (this.#isToDo(storeKey, { ...address, type: 'PUT', revision, object: {} })) missing.push(address)
    }
    if (missing.length === 0) return
    const found = await this.#deps.fetch(missing)
    await this.#apply(new Map(found.map((line) => [storeKeyOf(line), line])))
  }

  async #reach(line: Marker): Promise<void> {
    const { peers, peer, onReached } = this.#deps
    if (line.type === 'SYNCED') await this.#deleteUnnamed()
    peers.note(peer, line.revision)
    onReached(line)
  }

  /** The next object lines that fit into one commit; of one key only the last. */
  #takeObjects(): Map<string, ObjectLine> {
    const lines = new Map<string, ObjectLine>()
    let bytes = 0
    let count = 0
    for (const item of this.#queue) {
      if (item.type !== 'PUT' && item.type !== 'DELETE') break
      bytes += item.bytes
      if (count > 0 && (bytes > COMMIT_BYTES_MAX || lines.size >= COMMIT_CHANGES_MAX)) break
      lines.set(storeKeyOf(item), item)
      count++
    }
    this.#drop(count)
    return lines
  }

  #drop(count: number): void {
    for (const { bytes } of this.#queue.slice(0, count)) this.#queuedBytes -= bytes
    this.#queue = this.#queue.slice(count)
  }

  async #apply(lines: ReadonlyMap<string, ObjectLine>): Promise<void> {
    const open = new Map<string, ObjectLine>()
    for (const [key, line] of lines) {
      if (line.type === 'PUT') {
        this.#deps.peers.note(this.#deps.peer, line.revision)
        this.#named.add(key)
      } else this.#named.delete(key)
      if (this.#isToDo(key, line)) open.set(key, line)
    }
    await this.#commit(open)
  }

  #isToDo(key: string, line: ObjectLine): boolean {
    const { peer, stored } = this.#deps
    const known = this.#known.get(key)
    if (this.#ownerOf(line.tenant) !== peer) return false
    if (line.type === 'DELETE') return known !== undefined
    if (known !== undefined) return known.partition !== peer || known.revision < line.revision
    const present = stored.get(line.tenant, line.resource, line.key)
    return present === undefined || readOrigin(present.value) !== undefined || this.#isLeftover(line)
  }

  /** What is here of a tenant that has moved to the peer is no original any more. */
  #isLeftover({ tenant }: ObjectLine): boolean {
    return tenant !== SYSTEM_TENANT && this.#deps.ownerOf(tenant) === this.#deps.peer
  }

  /** Of `system` every partition has its own, so there the peer means what it says of its. */
  #ownerOf(tenant: string): string {
    const { peer, ownerOf } = this.#deps
    return tenant === SYSTEM_TENANT ? peer : (ownerOf(tenant) ?? peer)
  }

  /** A stream that is synced did not name them, so the peer does not have them for us. */
  async #deleteUnnamed(): Promise<void> {
    const { peer } = this.#deps
    let gone = new Map<string, ObjectLine>()
    for (const [key, { tenant, partition }] of this.#known) {
      if (this.#named.has(key)) continue
      if (tenant === SYSTEM_TENANT ? partition !== peer : (this.#deps.ownerOf(tenant) ?? partition) !== peer) continue
      gone.set(key, { type: 'DELETE', tenant, resource: '', key: '' })
      if (gone.size < COMMIT_CHANGES_MAX) continue
      await this.#commit(gone)
      gone = new Map()
    }
    await this.#commit(gone)
  }

  async #commit(lines: ReadonlyMap<string, ObjectLine>): Promise<void> {
    const { store, peers, peer } = this.#deps
    const open = new Map(lines)
    for (let attempt = 0; attempt < COMMIT_ATTEMPTS_MAX; attempt++) {
      if (open.size === 0) return
      const compare: Comparison[] = []
      const changes: Change[] = []
      for (const [key, line] of open) {
        compare.push({ key, modRevision: this.#known.get(key)?.modRevision ?? 0 })
        if (line.type === 'DELETE') changes.push({ type: 'delete', key })
        else changes.push({ type: 'put', key, value: encodeCopy(line, peer) })
      }
      const remembered = peers.changeFor(peer)
      if (remembered !== undefined) changes.push(remembered)
      const result = await store.commit({ compare, changes })
      if (result.committed) return this.#note(open, result.revision)
      for (const [i, { key }] of compare.entries()) this.#learn(key, result.found[i], open)
    }
    throw new Error(`Cannot write copies of "${peer}": others wrote the same keys ${COMMIT_ATTEMPTS_MAX} times`)
  }

  #note(lines: ReadonlyMap<string, ObjectLine>, modRevision: number): void {
    const { peer } = this.#deps
    for (const [key, line] of lines) {
      if (line.type === 'DELETE') this.#known.delete(key)
      else this.#known.set(key, { partition: peer, revision: line.revision, tenant: line.tenant, modRevision })
    }
  }

  /** The key held something else than was thought. What is no copy is left alone. */
  #learn(key: string, found: KeyValue | undefined, open: Map<string, ObjectLine>): void {
    const line = open.get(key)!
    if (found === undefined) {
      this.#known.delete(key)
      if (line.type === 'DELETE') open.delete(key)
      return
    }
    const origin = readOrigin(found.value)
    if (origin !== undefined || this.#isLeftover(line)) {
      this.#known.set(key, { ...(origin ?? NO_ORIGIN), tenant: line.tenant, modRevision: found.modRevision })
      return
    }
    this.#deps.logger.debug('Kept an object of this partition that another has too', {
      key,
      partition: this.#deps.peer,
    })
    this.#known.delete(key)
    open.delete(key)
  }
}
