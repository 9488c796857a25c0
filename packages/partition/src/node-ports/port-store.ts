import type { Partition } from '@centaurus/api/centaurus/v1'
import {
  BORROWED_PORTS_PREFIX,
  encodeStored,
  NODE_PORTS_PREFIX,
  resourcePrefix,
  SYSTEM_TENANT,
  type BorrowedPort,
  type NodePortHolder,
} from '@centaurus/apiserver'
import { decodeText, encodeText } from '@centaurus/base'
import type { Change, Comparison, KeyValue, Store } from '@centaurus/store'

const PARTITIONS_PREFIX = resourcePrefix(SYSTEM_TENANT, { keyGroup: 'centaurus.io', resource: 'partitions' })

/** Something in the store, and the revision to compare. */
export interface Kept<T> {
  readonly value: T
  readonly modRevision: number
}

/**
 * What a partition's store says of node ports. All writes compare what they were decided on, and return the revision that they made; false, or undefined,
 * when it has changed since.
 */
export class PortStore {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  holder(port: number): Promise<Kept<NodePortHolder> | undefined> {
    return this.#get<NodePortHolder>(NODE_PORTS_PREFIX + port)
  }

  async holders(): Promise<Map<number, Kept<NodePortHolder>>> {
    return this.#list<NodePortHolder>(NODE_PORTS_PREFIX)
  }

  putHolder(port: number, holder: NodePortHolder, modRevision: number): Promise<number | undefined> {
    return this.#put(NODE_PORTS_PREFIX + port, holder, modRevision)
  }

  removeHolder(port: number, modRevision: number): Promise<boolean> {
    return this.#remove(NODE_PORTS_PREFIX + port, modRevision)
  }

  borrowed(port: number): Promise<Kept<BorrowedPort> | undefined> {
    return this.#get<BorrowedPort>(BORROWED_PORTS_PREFIX + port)
  }

  async allBorrowed(): Promise<Map<number, Kept<BorrowedPort>>> {
    return this.#list<BorrowedPort>(BORROWED_PORTS_PREFIX)
  }

  putBorrowed(port: number, record: BorrowedPort, modRevision: number): Promise<number | undefined> {
    return this.#put(BORROWED_PORTS_PREFIX + port, record, modRevision)
  }

  /**
   * Begins to give back a borrowed port that nobody uses: from then on no Service can get it.
   * Undefined: a Service has it, or the record has changed.
   */
  async beginReturn(port: number, { value, modRevision }: Kept<BorrowedPort>): Promise<Kept<BorrowedPort> | undefined> {
    const key = BORROWED_PORTS_PREFIX + port
    const record: BorrowedPort = { ...value, state: 'returning' }
    const result = await this.#store.commit({
      compare: [
        { key, modRevision },
        { key: NODE_PORTS_PREFIX + port, modRevision: 0 },
      ],
      changes: [{ type: 'put', key, value: encode(record) }],
    })
    return result.committed ? { value: record, modRevision: result.revision } : undefined
  }

  removeBorrowed(port: number, modRevision: number): Promise<boolean> {
    return this.#remove(BORROWED_PORTS_PREFIX + port, modRevision)
  }

  async partition(name: string): Promise<Kept<Partition> | undefined> {
    return this.#get<Partition>(PARTITIONS_PREFIX + name)
  }

  /** Gives free ports away, and says so in the partition that gets them, all or nothing. */
  async giveBlock(ports: readonly number[], holder: NodePortHolder, partition: Kept<Partition>): Promise<boolean> {
    const { value, modRevision } = partition
    const generation = (value.metadata.generation ?? 0) + 1
    const key = PARTITIONS_PREFIX + value.metadata.name
    const object = encodeStored({ ...value, metadata: { ...value.metadata, generation } })
    const { committed } = await this.#store.commit({
      compare: [
        { key, modRevision },
        ...ports.map((port): Comparison => ({ key: NODE_PORTS_PREFIX + port, modRevision: 0 })),
      ],
      changes: [
        { type: 'put', key, value: object },
        ...ports.map((port): Change => ({ type: 'put', key: NODE_PORTS_PREFIX + port, value: encode(holder) })),
      ],
    })
    return committed
  }

  async #get<T>(key: string): Promise<Kept<T> | undefined> {
    const { entry } = await this.#store.get(key)
    return entry === undefined ? undefined : keptOf<T>(entry)
  }

  /** There are at most as many as node ports. */
  async #list<T>(prefix: string): Promise<Map<number, Kept<T>>> {
    const found = new Map<number, Kept<T>>()
    let from: string | undefined
    for (;;) {
      const { entries, more } = await this.#store.range(prefix, from === undefined ? {} : { from })
      for (const entry of entries) found.set(Number(entry.key.slice(prefix.length)), keptOf<T>(entry))
      if (!more) return found
      from = `${entries.at(-1)!.key}\0`
    }
  }

  async #put(key: string, value: NodePortHolder | BorrowedPort, modRevision: number): Promise<number | undefined> {
    const change: Change = { type: 'put', key, value: encode(value) }
    const { committed, revision } = await this.#store.commit({ compare: [{ key, modRevision }], changes: [change] })
    return committed ? revision : undefined
  }

  async #remove(key: string, modRevision: number): Promise<boolean> {
    return (await this.#store.commit({ compare: [{ key, modRevision }], changes: [{ type: 'delete', key }] })).committed
  }
}

function keptOf<T>({ value, modRevision }: KeyValue): Kept<T> {
  return { value: JSON.parse(decodeText(value)) as T, modRevision }
}

function encode(value: NodePortHolder | BorrowedPort): Uint8Array {
  return encodeText(JSON.stringify(value))
}
