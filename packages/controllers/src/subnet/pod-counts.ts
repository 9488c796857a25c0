import { isInPodNetwork, objectKey, vpcNameOf, type Stored } from '@centaurus/api'
import { DEFAULT_VPC, VPC_ANNOTATION } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { blocksFor } from './plan.ts'

interface Place {
  readonly vpc: string
  readonly node: string
}

/** Pods on nodes, by network and node, of networks that may have addresses of their own. */
export class PodCounts {
  readonly #ofPod = new Map<string, Place>()
  readonly #counts = new Map<string, Map<string, number>>()
  readonly #onNeed: (vpc: string) => void

  /** `onNeed`: called with the name of a network when a node of it needs more blocks, or fewer. */
  constructor(onNeed: (vpc: string) => void) {
    this.#onNeed = onNeed
  }

  put(pod: Stored<Pod>): void {
    const { annotations } = pod.metadata
    const isDefault = (annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC) === DEFAULT_VPC
    const node = pod.spec?.nodeName ?? ''
    if (isDefault) return // it has its nodes' addresses, and no others
    if (node === '' || !isInPodNetwork(pod)) return this.remove(pod)
    const key = objectKey(pod)
    if (this.#ofPod.has(key)) return // neither changes
    const place = { vpc: vpcNameOf(pod), node }
    this.#ofPod.set(key, place)
    this.#count(place, 1)
  }

  remove(pod: Stored<Pod>): void {
    const key = objectKey(pod)
    const place = this.#ofPod.get(key)
    if (place === undefined) return
    this.#ofPod.delete(key)
    this.#count(place, -1)
  }

  /** Nodes that have some. */
  of(vpc: string): ReadonlyMap<string, number> {
    return this.#counts.get(vpc) ?? NONE
  }

  #count({ vpc, node }: Place, by: 1 | -1): void {
    const nodes = this.#counts.get(vpc) ?? new Map<string, number>()
    const before = nodes.get(node) ?? 0
    const now = before + by
    if (now > 0) nodes.set(node, now)
    else nodes.delete(node)
    if (nodes.size > 0) this.#counts.set(vpc, nodes)
    else this.#counts.delete(vpc)
    if (blocksFor(before) !== blocksFor(now)) this.#onNeed(vpc)
  }
}

const NONE: ReadonlyMap<string, number> = new Map()
