import { SYSTEM_TENANT } from '@centaurus/api'
import { namespaces } from '@centaurus/api/core/v1'
import { storeKeyOf, type ObjectAddress, type StoredObjects } from '@centaurus/apiserver'
import type { Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Change, Comparison, KeyValue, Store } from '@centaurus/store'
import type { PeerStates } from '../epoch/peer-states.ts'
import type { TenantOwners } from '../membership/tenant-owners.ts'
import { encodeCopy, findCopies, readOrigin, type KnownCopy, type Origin } from './copies.ts'
import type { RelayDelete, RelayHave, RelayLine, RelayPut, RelayTenant } from './wire.ts'

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
  /** Who has the tenants' originals. */
  readonly owners: TenantOwners
  /** Whether the tenant is on its way here: what this store holds of it, without being a copy, was fetched by the move and stays. */
  readonly isArriving: (tenant: string) => boolean
  readonly logger: Logger
  /** Called when the copies show everything up to what the line says. */
  readonly onReached: (line: Marker) => void
  /** Called when lines could not be written; begin anew. */
  readonly onFailed: (error: unknown) => void
  /** Asks the peer for objects; what is gone is not in the answer. */
  readonly fetch: (items: readonly ObjectAddress[]) => Promise<readonly RelayPut[]>
}

export type Marker = Extract<RelayLine, { type: 'SYNCED' | 'PROGRESS' | 'TENANT_SYNCED' }>
type Line = RelayPut | RelayDelete | RelayHave | RelayTenant | Marker
type Item = Line & { readonly bytes: number }
type ObjectLine = RelayPut | RelayDelete

/** What a line took the place of that was no copy: every revision of an original is later. */
const NO_ORIGIN: Origin = { partition: '', revision: 0 }

/**
 * Makes one peer's lines copies in this partition's store, many in a commit. Every change compares what it takes the place of, so that what is this
 * partition's own, or was copied by another server meanwhile, is never overwritten; what a tenant left behind when it moved to the peer is.
 *
 * Invariant: an object whose tenant is another peer's, as far as anybody said, is neither written nor deleted for this peer, and nothing is deleted of a
 * tenant that the peer does not say it serves: a tenant that moves keeps its copies, and with them its running pods, until the new owner's stream has
 * taken them over. What this partition held as originals of a tenant that has left it becomes copies in the same way.
 */
export class CopyWriter {
  readonly #deps: CopyWriterDeps
  /** Every copy in the store, whosever, by store key. */
  readonly #known = new Map<string, KnownCopy>()
  /** Keys that the present stream has put. */
  #named = new Set<string>()
  /** Tenants that the present stream speaks of, each as of an epoch. */
  #told = new Map<string, number>()
  /** Tenants of which the stream has told everything. */
  #complete = new Set<string>()
  /** Tenants of which something here was left alone that a line was about. */
  #kept = new Set<string>()
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
    this.#told = new Map()
    this.#complete = new Set()
    this.#kept = new Set()
    this.#queue = []
    this.#queuedBytes = 0
  }

  /** True when there are copies of the peer. */
  get hasCopies(): boolean {
    for (const { partition, revision } of this.#known.values())
      if (partition === this.#deps.peer && revision > 0) return true
    return false
  }

  /**
   * `whole`: everything that the nodes here need of the tenant is a copy of what the peer has, as far as it said. `partial`: something was left alone
   * that was this partition's own then. `untold`: the peer has not told everything yet.
   */
  holdingOf(tenant: string): 'whole' | 'partial' | 'untold' {
    if (!this.#complete.has(tenant) || !this.#speaksOf(tenant)) return 'untold'
    return this.#kept.has(tenant) ? 'partial' : 'whole'
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
      if (isObjectLine(first)) await this.#apply(this.#takeObjects())
      else {
        this.#drop(1)
        if (first.type === 'HAVE') await this.#compare(first)
        else if (first.type === 'TENANT') this.#beginTenant(first)
        else await this.#reach(first)
      }
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

  /** What was named of it before is of a time before it came, or came back. */
  #beginTenant({ tenant, epoch }: RelayTenant): void {
    const { owners, peer } = this.#deps
    owners.declare(tenant, { partition: peer, epoch })
    const isKnown = this.#told.has(tenant)
    this.#told.set(tenant, epoch)
    this.#complete.delete(tenant)
    if (!isKnown) return
    const prefix = `/registry/${tenant}/`
    for (const key of this.#named) if (key.startsWith(prefix)) this.#named.delete(key)
  }

  async #reach(line: Marker): Promise<void> {
    const { peers, peer, onReached } = this.#deps
    switch (line.type) {
      case 'TENANT_SYNCED':
        await this.#deleteUnnamed((tenant) => tenant === line.tenant)
        this.#complete.add(line.tenant)
        break
      case 'SYNCED':
        await this.#deleteUnnamed(() => true)
        for (const tenant of this.#told.keys()) this.#complete.add(tenant)
        peers.note(peer, line.revision)
        break
      case 'PROGRESS':
        peers.note(peer, line.revision)
    }
    onReached(line)
  }

  /** The next object lines that fit into one commit; of one key only the last. */
  #takeObjects(): Map<string, ObjectLine> {
    const lines = new Map<string, ObjectLine>()
    let bytes = 0
    let count = 0
    for (const item of this.#queue) {
      if (!isObjectLine(item)) break
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
    if (present === undefined || readOrigin(present.value) !== undefined) return true
    if (!this.#isToKeep(line.tenant)) return true
    this.#kept.add(line.tenant)
    return false
  }

  /** Of `system` every partition has its own, so there the peer means what it says of its. */
  #ownerOf(tenant: string): string {
    const { peer, owners } = this.#deps
    return tenant === SYSTEM_TENANT ? peer : (owners.ownerOf(tenant) ?? peer)
  }

  /** Whether the tenant is the peer's, and the stream tells how it is since it is. What it told of an earlier stay says nothing. */
  #speaksOf(tenant: string): boolean {
    const { owners, peer } = this.#deps
    const epoch = this.#told.get(tenant)
    return epoch !== undefined && epoch >= owners.epochOf(tenant) && this.#ownerOf(tenant) === peer
  }

  /** Whether what is here and no copy is to stay: it is this partition's own, or will be soon. */
  #isToKeep(tenant: string): boolean {
    return tenant === SYSTEM_TENANT || !this.#speaksOf(tenant) || this.#deps.isArriving(tenant)
  }

  /** The peer has told everything of the tenants and did not name them, so it does not have them for us. */
  async #deleteUnnamed(isMeant: (tenant: string) => boolean): Promise<void> {
    let gone = new Map<string, ObjectLine>()
    for (const [key, { tenant, partition }] of this.#known) {
      if (this.#named.has(key) || !isMeant(tenant) || !this.#isPeersToDelete(tenant, partition)) continue
      gone.set(key, { type: 'DELETE', tenant, resource: '', key: '' })
      if (gone.size < COMMIT_CHANGES_MAX) continue
      await this.#commit(gone)
      gone = new Map()
    }
    await this.#commit(gone)
  }

  /** It is the peer's by what it says itself, or of a tenant that is nowhere any more. */
  #isPeersToDelete(tenant: string, origin: string): boolean {
    const { peer, owners } = this.#deps
    if (tenant === SYSTEM_TENANT) return origin === peer
    return this.#speaksOf(tenant) || (origin === peer && !owners.knows(tenant))
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
    if (origin !== undefined || !this.#isToKeep(line.tenant)) {
      this.#known.set(key, { ...(origin ?? NO_ORIGIN), tenant: line.tenant, modRevision: found.modRevision })
      return
    }
    this.#kept.add(line.tenant)
    this.#deps.logger.debug('Kept an object of this partition that another has too', {
      key,
      partition: this.#deps.peer,
    })
    this.#known.delete(key)
    open.delete(key)
  }
}

function isObjectLine(item: Item): item is (RelayPut | RelayDelete) & { readonly bytes: number } {
  return item.type === 'PUT' || item.type === 'DELETE'
}
