import { badRequest, forbidden, isRecord } from '@centaurus/api'
import { namespaces } from '@centaurus/api/core/v1'
import {
  readEpoch,
  type ApiServerCore,
  type CreateExtension,
  type Exchange,
  type ObjectAddress,
  type RequestContext,
} from '@centaurus/apiserver'
import { decodeText, type Timer } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import { readStoreState } from '../epoch/store-state.ts'
import type { Membership } from '../membership/membership.ts'
import { requireMember } from '../membership/require-member.ts'
import { Closure } from './closure.ts'
import { RELAYED } from './needs.ts'
import { encodeDelete, encodeLine, encodePut, KEYS_A_LINE, RELAY_PATH, type FetchRequest } from './wire.ts'

/** How often a resource partition hears how far the store is; three missed ones and it may take the stream for dead. */
export const PROGRESS_INTERVAL_MS = 1_000
/** A resource partition with more than this unread is dropped; it comes back and gets everything anew. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024
/** Of a request for objects: {@link KEYS_A_LINE} of the longest names. */
const FETCH_BYTES_MAX = 512 * 1024
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
  /** It was told which tenants are served here. */
  greeted: boolean
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
      routes: [
        {
          path: RELAY_PATH,
          methods: ['GET', 'POST'],
          handle: (exchange, context) =>
            exchange.method === 'GET' ? source.serve(exchange, context) : source.fetch(exchange, context),
        },
      ],
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
  /** Tenants that are served here, and since which epoch. */
  #hosted = new Map<string, number>()
  #timer: Timer | undefined
  #closed = false

  constructor(deps: RelaySourceDeps, core: ApiServerCore) {
    this.#deps = deps
    this.#core = core
  }

  async start(): Promise<void> {
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
    const { storeId, starts } = await readStoreState(this.#deps.store)
    const { epoch, revision } = await this.#readFacts()
    if (exchange.closed || this.#closed) return
    const session = await this.#open(exchange, partition)
    if (exchange.closed) return
    exchange.startStream(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-cache, private' })
    const { self } = this.#deps.membership
    exchange.write(encodeLine({ type: 'HELLO', partition: self, epoch, storeId, revision, starts }))
    for (const [tenant, since] of this.#hosted) exchange.write(encodeLine({ type: 'TENANT', tenant, epoch: since }))
    session.greeted = true
    const lines = exchange.query.get('have') === 'true' ? haveLines(session.closure) : putLines(session.closure)
    if (!(await sendAll(exchange, lines))) return
    exchange.write(encodeLine({ type: 'SYNCED', revision, epoch }))
    session.synced = true
    this.#keepTime()
  }

  /** Answers with what there is of the objects that were asked for. */
  async fetch(exchange: Exchange, context: RequestContext): Promise<void> {
    this.#requireKnown(requireMember(context))
    const { items } = parseFetchRequest(await exchange.readBody(FETCH_BYTES_MAX))
    exchange.startStream(200, { 'content-type': 'application/json' })
    let separator = '{"items":['
    for (const address of items) {
      const object = this.#core.stored.get(address.tenant, address.resource, address.key)
      if (object === undefined) continue
      exchange.write(Buffer.from(separator))
      exchange.write(encodePut(address, object))
      separator = ','
      await exchange.drained()
      if (exchange.closed) return
    }
    exchange.write(Buffer.from(separator === ',' ? ']}' : `${separator}]}`))
    exchange.end()
  }

  #requireKnown(member: string): void {
    if (this.#deps.membership.get(member) !== undefined) return
    throw forbidden({ group: 'centaurus.io', resource: 'partitions' }, member, 'it is not a partition of this cluster')
  }

  #requireCaller(exchange: Exchange, context: RequestContext): string {
    const member = requireMember(context)
    const asked = exchange.query.get('partition') ?? ''
    if (asked === '') throw badRequest('partition: must say for which partition, your own')
    if (asked !== member) {
      throw forbidden({ group: 'centaurus.io', resource: 'partitions' }, asked, `you are partition "${member}"`)
    }
    this.#requireKnown(member)
    return member
  }

  async #open(exchange: Exchange, partition: string): Promise<Session> {
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
    const session: Session = { closure, exchange, greeted: false, synced: false }
    this.#sessions.add(session)
    exchange.onClose(() => this.#sessions.delete(session))
    await closure.load(stored.tenants())
    isLoading = false
    return session
  }

  #drop(session: Session, partition: string): void {
    this.#core.logger.warn('Dropped the stream of a partition that does not read it', { partition })
    this.#sessions.delete(session)
    session.exchange.destroy()
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

  #readHosted(): Map<string, number> {
    const { membership } = this.#deps
    const hosted = membership.tenants().filter(({ metadata }) => membership.hosts(metadata.name))
    return new Map(hosted.map(({ metadata, status }) => [metadata.name, status?.epoch ?? 0]))
  }

  /** What left is not spoken of any more, since its new partition does; what came is told whole. */
  #reviewTenants(): void {
    const before = this.#hosted
    this.#hosted = this.#readHosted()
    for (const [tenant, epoch] of before) {
      if (this.#hosted.get(tenant) === epoch) continue
      for (const { closure } of this.#sessions) closure.forgetTenant(tenant)
    }
    for (const [tenant, epoch] of this.#hosted) {
      if (before.get(tenant) === epoch) continue
      for (const { closure, exchange, greeted } of this.#sessions) {
        if (greeted) exchange.write(encodeLine({ type: 'TENANT', tenant, epoch }))
        closure.enterTenant(tenant)
        if (greeted) exchange.write(encodeLine({ type: 'TENANT_SYNCED', tenant, epoch }))
      }
    }
  }
}

/** What changes meanwhile is sent at once, so that the last line of each object is always the truth. False when the reader is gone. */
async function sendAll(exchange: Exchange, lines: Iterable<Uint8Array>): Promise<boolean> {
  let unflushed = 0
  for (const line of lines) {
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

function* putLines(closure: Closure): Generator<Uint8Array, void> {
  for (const { address, object } of closure.current()) yield encodePut(address, object)
}

function* haveLines(closure: Closure): Generator<Uint8Array, void> {
  let keys: [string, number][] = []
  let last: ObjectAddress | undefined
  for (const { address, object } of closure.current()) {
    const isSame = last?.tenant === address.tenant && last.resource === address.resource
    if (last !== undefined && (!isSame || keys.length === KEYS_A_LINE)) {
      yield encodeLine({ type: 'HAVE', tenant: last.tenant, resource: last.resource, keys })
      keys = []
    }
    keys.push([address.key, object.revision])
    last = address
  }
  if (last !== undefined) yield encodeLine({ type: 'HAVE', tenant: last.tenant, resource: last.resource, keys })
}

/** Throws BadRequest. */
function parseFetchRequest(body: Uint8Array): FetchRequest {
  let value: unknown
  try {
    value = JSON.parse(decodeText(body))
  } catch {
    throw badRequest('the body is not JSON')
  }
  const items = isRecord(value) ? value['items'] : undefined
  const isAddress = (item: unknown): item is ObjectAddress =>
    isRecord(item) &&
    typeof item['tenant'] === 'string' &&
    typeof item['key'] === 'string' &&
    RELAYED.includes(String(item['resource']))
  if (!Array.isArray(items) || items.length > KEYS_A_LINE || !items.every(isAddress)) {
    throw badRequest(`items: must be a list of at most ${KEYS_A_LINE} addresses of relayed objects`)
  }
  return { items }
}
