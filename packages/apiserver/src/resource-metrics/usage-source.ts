import type { Logger } from '@centaurus/base'
import type { NodePlace } from '../proxy/backend.ts'
import type { ContainersUsage, Usage } from './compute-usage.ts'
import type { NodeScraper } from './node-scraper.ts'
import type { PeerUsage, PodsUsage, UsageAsk } from './peer-usage.ts'

/** A pod, and where it is. */
export interface PlacedPod extends NodePlace {
  readonly uid: string
}

export interface UsageSourceDeps {
  readonly scraper: NodeScraper
  /** Absent: there are no other partitions. */
  readonly peers?: PeerUsage | undefined
  readonly logger: Logger
}

/** What nodes and pods use: of this partition's nodes by asking them, of others' by asking their partition once for all. */
export class UsageSource {
  readonly #deps: UsageSourceDeps

  constructor(deps: UsageSourceDeps) {
    this.#deps = deps
  }

  /** Of nodes of this partition, by name. */
  async ofNodes(names: readonly string[]): Promise<ReadonlyMap<string, Usage>> {
    const found = new Map<string, Usage>()
    for (const [name, { node }] of await this.#deps.scraper.usageOf(names))
      if (node !== undefined) found.set(name, node)
    return found
  }

  /** Of pods wherever they are, by uid. */
  async ofPods(pods: readonly PlacedPod[]): Promise<PodsUsage> {
    const { peers } = this.#deps
    const byPartition = groupBy(pods, ({ partition }) => (partition === peers?.self ? undefined : partition))
    const answers = await Promise.all(
      Array.from(byPartition, ([partition, group]) => {
        const asks = toAsks(group)
        return partition === undefined || peers === undefined
          ? this.onOwnNodes(asks)
          : this.#ask(peers, partition, asks)
      }),
    )
    return new Map(answers.flatMap((answer) => [...answer]))
  }

  /** Of pods on nodes of this partition, by uid. */
  async onOwnNodes(asks: readonly UsageAsk[]): Promise<PodsUsage> {
    const usages = await this.#deps.scraper.usageOf(asks.map(({ node }) => node))
    const found = new Map<string, ContainersUsage>()
    for (const { node, pods } of asks) {
      const here = usages.get(node)?.pods
      for (const uid of pods) {
        const containers = here?.get(uid)
        if (containers !== undefined) found.set(uid, containers)
      }
    }
    return found
  }

  /** A partition that does not answer is like a node that does not. */
  async #ask(peers: PeerUsage, partition: string, asks: readonly UsageAsk[]): Promise<PodsUsage> {
    try {
      return await peers.ask(partition, asks)
    } catch (error) {
      this.#deps.logger.debug('Could not ask a partition what its nodes use', { partition, error })
      return new Map()
    }
  }
}

function toAsks(pods: readonly PlacedPod[]): UsageAsk[] {
  const byNode = groupBy(pods, ({ node }) => node)
  return Array.from(byNode, ([node, group]) => ({ node, pods: group.map(({ uid }) => uid) }))
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}
