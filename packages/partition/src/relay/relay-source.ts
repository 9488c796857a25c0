import { badRequest, forbidden } from '@centaurus/api'
import { namespaces } from '@centaurus/api/core/v1'
import {
  readEpoch,
  type ApiServerCore,
  type CreateExtension,
  type Exchange,
  type RequestContext,
} from '@centaurus/apiserver'
import type { Timer } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import { ensureStoreId } from '../epoch/store-id.ts'
import type { Membership } from '../membership/membership.ts'
import { requireMember } from '../membership/require-member.ts'
import { Closure } from './closure.ts'
import { RELAYED } from './needs.ts'
import { encodeDelete, encodeLine, encodePut, RELAY_PATH } from './wire.ts'

/** How often a resource partition hears how far the store is; three missed ones and it may take the stream for dead. */
export const PROGRESS_INTERVAL_MS = 1_000
/** A resource partition with more than this unread is dropped; it comes back and gets everything anew. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024
/** Of the snapshot, what is written before the network is waited for. */
const SNAPSHOT_CHUNK_BYTES = 256 * 1024

export interface RelaySourceDeps {
  readonly store: Store
  readonly membership: Pick<Membership, 'self' | 'get' | 'hosts' | 'onChange' | 'tenants'>
  /** Default {@link UNREAD_BYTES_MAX}. */
  readonly unreadBytesMax?: number | undefined
}

interface Session {
  readonly closure: Closure
  readonly exchange: Exchange
  synced: boolean
}

interface StoreFacts {
  readonly epoch: number
  readonly revision: number
}

/**
 * The tenants' side of the relay: tells each resource partition, over one stream, what its nodes need of this partition's tenants
 * ({@link RELAY_PATH}). Costs one look at an event a stream, whatever the number of nodes and pods.
 */
export function createRelaySource(deps: RelaySourceDeps): CreateExtension {
  return (core) => {
    const source = new RelaySource(deps, core)
    return {
      routes: [{ path: RELAY_PATH, methods: ['GET'], handle: (exchange, context) => source.serve(exchange, context) }],
      start: () => source.start(),
      drain: () => source.close(),
    }
  }
}

class RelaySource {
  readonly #deps: RelaySourceDeps
  readonly #core: ApiServerCore
  readonly #sessions = new Set<Session>()
  #removes: readonly (() => void)[] = []
  #hosted = new Set<string>()
  #storeId = ''
  #timer: Timer | undefined
  #closed = false

  constructor(deps: RelaySourceDeps, core: ApiServerCore) {
    this.#deps = deps
    this.#core = core
  }

  async start(): Promise<void> {
    this.#storeId = await ensureStoreId(this.#deps.store)
    const { stored } = this.#core
    this.#hosted = this.#readHosted()
    this.#removes = [
      ...RELAYED.map((resource) =>
        stored.onChange(resource, (change) => {
          for (const { closure } of this.#sessions) closure.change(resource, change)
        }),
      ),
      this.#deps.membership.onChange(() => this.#reviewTenants()),
    ]
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const remove of this.#removes) remove()
    for (const { exchange } of this.#sessions) exchange.end()
    this.#sessions.clear()
  }

  /** Serves one stream until the other side goes away. Resolves when it is synced. */
  async serve(exchange: Exchange, context: RequestContext): Promise<void> {
    const partition = this.#requireCaller(exchange, context)
    const { epoch, revision } = await this.#readFacts()
    if (exchange.closed || this.#closed) return
    const session = this.#open(exchange, partition)
    exchange.startStream(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-cache, private' })
    const { self } = this.#deps.membership
    exchange.write(encodeLine({ type: 'HELLO', partition: self, epoch, storeId: this.#storeId, revision }))
    if (!(await this.#sendCurrent(session))) return
    exchange.write(encodeLine({ type: 'SYNCED', revision, epoch }))
    session.synced = true
    this.#keepTime()
  }

  #requireCaller(exchange: Exchange, context: RequestContext): string {
    const member = requireMember(context)
    const asked = exchange.query.get('partition') ?? ''
    if (asked === '') throw badRequest('partition: must say for which partition, your own')
    const resource = { group: 'centaurus.io', resource: 'partitions' }
    if (asked !== member) throw forbidden(resource, asked, `you are partition "${member}"`)
    const { membership } = this.#deps
    if (membership.get(member) === undefined) throw forbidden(resource, member, 'it is not a partition of this cluster')
    return member
  }

  #open(exchange: Exchange, partition: string): Session {
    let isLoading = true
    const write = (line: Uint8Array): void => {
      if (isLoading || exchange.closed) return
      exchange.write(line)
      if (exchange.queuedBytes > (this.#deps.unreadBytesMax ?? UNREAD_BYTES_MAX)) this.#drop(session, partition)
    }
    const { stored } = this.#core
    const closure = new Closure(partition, stored, {
      listener: {
        put: (address, object) => write(encodePut(address, object)),
        remove: (address) => write(encodeDelete(address)),
      },
      isServed: (tenant) => this.#deps.membership.hosts(tenant),
    })
    closure.load(stored.tenants())
    isLoading = false
    const session: Session = { closure, exchange, synced: false }
    this.#sessions.add(session)
    exchange.onClose(() => this.#sessions.delete(session))
    return session
  }

  #drop(session: Session, partition: string): void {
    this.#core.logger.warn('Dropped the stream of a partition that does not read it', { partition })
    this.#sessions.delete(session)
    session.exchange.destroy()
  }

  /** What changes meanwhile is sent at once, so that the last line of each object is always the truth. False when the reader is gone. */
  async #sendCurrent({ closure, exchange }: Session): Promise<boolean> {
    let unflushed = 0
    for (const { address, object } of closure.current()) {
      const line = encodePut(address, object)
      exchange.write(line)
      unflushed += line.byteLength
      if (unflushed < SNAPSHOT_CHUNK_BYTES) continue
      unflushed = 0
      await exchange.drained()
      if (exchange.closed) return false
    }
    await exchange.drained()
    return !exchange.closed
  }

  #keepTime(): void {
    if (this.#closed) return
    this.#timer ??= this.#core.clock.setTimer(PROGRESS_INTERVAL_MS, () => void this.#sendProgress())
  }

  async #sendProgress(): Promise<void> {
    try {
      const facts = await this.#readFacts()
      const line = encodeLine({ type: 'PROGRESS', ...facts })
      for (const { exchange, synced } of this.#sessions) if (synced && !exchange.closed) exchange.write(line)
    } catch (error) {
      this.#core.logger.warn('Could not tell partitions how far the store is, will retry', { error })
    }
    this.#timer = undefined
    if (this.#sessions.size > 0) this.#keepTime()
  }

  /** Everything up to `revision` was offered to the sessions when it resolves, and so was every binding of schedulers before `epoch`. */
  async #readFacts(): Promise<StoreFacts> {
    const { store } = this.#deps
    const present = await readEpoch(store)
    const revision = await store.currentRevision()
    await this.#core.client.list(namespaces, { limit: 1 }) // waits until the cache has what was committed before
    return { epoch: present?.epoch ?? 0, revision }
  }

  #readHosted(): Set<string> {
    const { membership } = this.#deps
    return new Set(membership.tenants().flatMap(({ metadata: { name } }) => (membership.hosts(name) ? [name] : [])))
  }

  #reviewTenants(): void {
    const before = this.#hosted
    this.#hosted = this.#readHosted()
    for (const tenant of this.#hosted) {
      if (before.has(tenant)) continue
      for (const { closure } of this.#sessions) closure.changeTenant(tenant)
    }
  }
}
