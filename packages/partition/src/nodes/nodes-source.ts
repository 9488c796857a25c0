import { formatKey, isStatus, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import type { Partition } from '@centaurus/api/centaurus/v1'
import { nodes, type Node } from '@centaurus/api/core/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import {
  createInformerFactory,
  type Client,
  type Informer,
  type InformerFactory,
  type SelectOptions,
} from '@centaurus/client'
import type { Membership } from '../membership/membership.ts'
import { trackConnection, type ConnectionTracker } from './connection-tracker.ts'
import { MergedInformer } from './merged-informer.ts'

/** How long the start waits for partitions that do not answer: their nodes come when they do. */
const SYNC_GRACE_MS = 5_000

export interface NodesSourceDeps {
  readonly membership: Pick<Membership, 'self' | 'list' | 'onChange'>
  /** A client for a resource partition's own objects; for this partition one within the process. The source closes it. */
  readonly openClient: (partition: Stored<Partition>) => Client
  /** Why a partition is not believed at the moment; undefined: it is. */
  readonly whyFenced?: ((partition: string) => string | undefined) | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** The nodes of all resource partitions. Also a `NodeAuthority` of the controllers. */
export interface NodesSource {
  /** All nodes that are known. Those of a partition that can't be reached stay as they were. */
  readonly informer: Informer<Node>
  /**
   * Whether what is known, and what is not, of the partition's nodes is how they are now: it is connected, has told everything, and is not
   * fenced. Undefined: of all partitions. A partition that is not known is never believed to have no nodes.
   */
  isAuthoritative(partition: string | undefined): boolean
  /** Asks the partition itself, or all. Rejects when it can't be asked. */
  isNodeGone(name: string, partition: string | undefined): Promise<boolean>
  /** Partition of a node; undefined for an unknown one. */
  partitionOf(nodeName: string): string | undefined
  /** Nodes that two partitions have: the first that was seen counts, this one does not. */
  duplicates(): readonly { readonly node: string; readonly partition: string; readonly countsIn: string }[]
  close(): Promise<void>
}

/** One informer over the nodes of every resource partition, which come and go with the membership. */
export function createNodesSource(deps: NodesSourceDeps): NodesSource {
  return new MergedNodes(deps)
}

interface Source {
  readonly endpoints: string
  readonly client: Client
  readonly factory: InformerFactory
  readonly informer: Informer<Node>
  readonly tracker: ConnectionTracker
  /** Everything that the partition has, as it said last; kept when the source is opened anew. */
  readonly known: Map<string, Stored<Node>>
}

class MergedNodes implements NodesSource {
  readonly informer: MergedInformer<Node>
  readonly #deps: NodesSourceDeps
  readonly #sources = new Map<string, Source>()
  readonly #owner = new Map<string, string>()
  readonly #removeListener: () => void
  readonly #closing = new Set<Promise<void>>()
  #closed = false

  constructor(deps: NodesSourceDeps) {
    this.#deps = deps
    this.informer = new MergedInformer<Node>(deps.logger)
    this.#removeListener = deps.membership.onChange(() => this.#follow())
    this.#follow()
    void this.#markSynced()
  }

  isAuthoritative(partition: string | undefined): boolean {
    if (partition !== undefined) {
      const source = this.#sources.get(partition)
      return source?.informer.synced === true && source.tracker.connected && !this.#isFenced(partition)
    }
    return this.#sources.size > 0 && Array.from(this.#sources.keys()).every((name) => this.isAuthoritative(name))
  }

  async isNodeGone(name: string, partition: string | undefined): Promise<boolean> {
    const names = partition === undefined ? [...this.#sources.keys()] : [partition]
    if (names.length === 0) throw new Error(`Cannot ask for node "${name}": no resource partition is known`)
    const answers = await Promise.all(names.map((each) => this.#isGoneFrom(each, name)))
    return answers.every((gone) => gone)
  }

  partitionOf(nodeName: string): string | undefined {
    return this.#owner.get(nodeName)
  }

  duplicates(): { node: string; partition: string; countsIn: string }[] {
    return Array.from(this.#sources).flatMap(([partition, { known }]) =>
      Array.from(known.keys()).flatMap((node) => {
        const countsIn = this.#owner.get(node)
        return countsIn === undefined || countsIn === partition ? [] : [{ node, partition, countsIn }]
      }),
    )
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#removeListener()
    for (const source of this.#sources.values()) this.#stop(source)
    this.informer.close()
    await Promise.all(this.#closing)
  }

  async #isGoneFrom(partition: string, name: string): Promise<boolean> {
    const source = this.#sources.get(partition)
    if (source === undefined) throw new Error(`Cannot ask for node "${name}": partition "${partition}" is not known`)
    if (this.#isFenced(partition)) throw new Error(`Cannot ask for node "${name}": partition "${partition}" is fenced`)
    try {
      await source.client.get(nodes, { name })
      return false
    } catch (error) {
      if (isStatus(error, 'NotFound')) return true
      throw error
    }
  }

  async #markSynced(): Promise<void> {
    const grace = this.#deps.clock.setTimer(SYNC_GRACE_MS, () => this.informer.markSynced())
    await Promise.allSettled(Array.from(this.#sources.values(), ({ informer }) => informer.whenSynced()))
    grace.cancel()
    if (!this.#closed) this.informer.markSynced()
  }

  #isFenced(partition: string): boolean {
    return this.#deps.whyFenced?.(partition) !== undefined
  }

  /** Opens and closes sources, so that there is one for each resource partition at its present addresses. */
  #follow(): void {
    if (this.#closed) return
    const wanted = new Map(
      this.#deps.membership
        .list()
        .filter(({ spec }) => spec.roles.includes('Resource'))
        .map((partition) => [partition.metadata.name, partition]),
    )
    for (const [name, source] of this.#sources) {
      if (wanted.has(name)) continue
      this.#sources.delete(name)
      this.#stop(source)
      for (const node of source.known.keys()) this.#remove(name, source.known, node)
      this.#deps.logger.info('A resource partition left, with its nodes', { partition: name })
    }
    for (const [name, partition] of wanted) {
      const endpoints = partition.spec.endpoints.join()
      const present = this.#sources.get(name)
      if (present?.endpoints === endpoints) continue
      if (present !== undefined) this.#stop(present)
      this.#sources.set(name, this.#open(partition, endpoints, present?.known ?? new Map()))
    }
  }

  #open(partition: Stored<Partition>, endpoints: string, known: Map<string, Stored<Node>>): Source {
    const { clock, random, logger } = this.#deps
    const { name } = partition.metadata
    const client = this.#deps.openClient(partition)
    const tracker = trackConnection(client, clock)
    const factory = createInformerFactory(tracker.client, { clock, random, logger: logger.with({ partition: name }) })
    const informer = factory.informer(nodes)
    const put = (node: Stored<Node>): void => this.#put(name, known, node)
    informer.addHandler({
      onAdd: put,
      onUpdate: put,
      onDelete: (node) => this.#remove(name, known, node.metadata.name),
    })
    // What was known before the source was opened anew, and is not there any more.
    const forgetGone = (): void => {
      if (this.#sources.get(name)?.informer !== informer) return
      for (const node of known.keys()) {
        if (informer.get(formatKey('', node)) === undefined) this.#remove(name, known, node)
      }
    }
    informer.whenSynced().then(forgetGone, () => {})
    return { endpoints, client, factory, informer, tracker, known }
  }

  #stop(source: Source): void {
    const closing: Promise<void> = source.factory
      .close()
      .then(() => source.client.close())
      .finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  #put(partition: string, known: Map<string, Stored<Node>>, node: Stored<Node>): void {
    const { name } = node.metadata
    const isNew = !known.has(name)
    known.set(name, node)
    const owner = this.#owner.get(name)
    if (owner === undefined || owner === partition) {
      this.#owner.set(name, partition)
      this.informer.put(node)
    } else if (isNew) {
      this.#deps.logger.warn('Two partitions have a node of the same name: rename one', {
        node: name,
        partition,
        countsIn: owner,
      })
    }
  }

  #remove(partition: string, known: Map<string, Stored<Node>>, name: string): void {
    known.delete(name)
    if (this.#owner.get(name) !== partition) return
    this.#owner.delete(name)
    this.informer.remove(formatKey('', name))
    for (const [other, source] of this.#sources) {
      const node = source.known.get(name)
      if (node !== undefined) return this.#put(other, source.known, node)
    }
  }
}

/** A factory whose informer over all nodes is the source's; everything else, selections of nodes too, stays the factory's. */
export function withNodes(factory: InformerFactory, source: Pick<NodesSource, 'informer'>): InformerFactory {
  const isNodes = ({ group, resource }: ResourceType<KubeObject>, select: SelectOptions | undefined): boolean =>
    group === nodes.group && resource === nodes.resource && !select?.fieldSelector && !select?.labelSelector
  return {
    informer<T extends KubeObject>(type: ResourceType<T>, select?: SelectOptions): Informer<T> {
      if (isNodes(type, select)) return source.informer as unknown as Informer<T> // the type is nodes'
      return factory.informer(type, select)
    },
    release(type, select) {
      if (!isNodes(type, select)) factory.release(type, select)
    },
    async whenSynced(signal) {
      await Promise.all([factory.whenSynced(signal), source.informer.whenSynced(signal)])
    },
    close: () => factory.close(),
  }
}
