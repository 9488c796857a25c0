import type { Node } from '@centaurus/api/core/v1'

/** How a zone is. Source: nodelifecycle ComputeZoneState, v1.37. */
export type ZoneState = 'normal' | 'partialDisruption' | 'fullDisruption'

/** Source: NodeLifecycleControllerConfiguration defaults: UnhealthyZoneThreshold 0.55, LargeClusterSizeThreshold 50. */
const UNHEALTHY_SHARE = 0.55
const LARGE_ZONE_NODES = 50
/** Nodes a second. Source: NodeEvictionRate 0.1, SecondaryNodeEvictionRate 0.01. */
const EVICTION_RATE = 0.1
const SECONDARY_EVICTION_RATE = 0.01

interface Zone {
  /** Ready or not, by node. */
  readonly nodes: Map<string, boolean>
  notReady: number
  /** Milliseconds, monotonic, from which on the next eviction may happen. */
  nextEvictionMs: number
}

/** `region:\0:zone`, as upstream names it; nodes without labels share one zone. */
export function zoneOf(node: Readonly<Node>): string {
  const labels = node.metadata.labels ?? {}
  return `${labels['topology.kubernetes.io/region'] ?? ''}:\0:${labels['topology.kubernetes.io/zone'] ?? ''}`
}

/** Counts nodes by zone, and hands out permits to evict at each zone's rate. Work per change is constant. */
export class Zones {
  readonly #zones = new Map<string, Zone>()
  readonly #zoneByNode = new Map<string, string>()

  put(name: string, zone: string, options: { readonly isReady: boolean }): void {
    const old = this.#zoneByNode.get(name)
    if (old !== undefined && old !== zone) this.remove(name)
    const entry = this.#zones.get(zone) ?? { nodes: new Map<string, boolean>(), notReady: 0, nextEvictionMs: 0 }
    const was = entry.nodes.get(name)
    if (was === false) entry.notReady--
    if (!options.isReady) entry.notReady++
    entry.nodes.set(name, options.isReady)
    this.#zones.set(zone, entry)
    this.#zoneByNode.set(name, zone)
  }

  remove(name: string): void {
    const zone = this.#zoneByNode.get(name)
    const entry = zone === undefined ? undefined : this.#zones.get(zone)
    if (zone === undefined || entry === undefined) return
    if (entry.nodes.get(name) === false) entry.notReady--
    entry.nodes.delete(name)
    this.#zoneByNode.delete(name)
    if (entry.nodes.size === 0) this.#zones.delete(zone)
  }

  state(zone: string): ZoneState {
    const entry = this.#zones.get(zone)
    if (entry === undefined || entry.notReady === 0) return 'normal'
    if (entry.notReady === entry.nodes.size) return 'fullDisruption'
    return entry.notReady > 2 && entry.notReady / entry.nodes.size >= UNHEALTHY_SHARE ? 'partialDisruption' : 'normal'
  }

  /**
   * True when no zone has a ready node: then it is more likely that we are cut off than that all nodes died. One lone node that
   * fails is no such case, as upstream has it.
   */
  get isEverythingDown(): boolean {
    return this.#zones.size > 0 && [...this.#zones.keys()].every((zone) => this.state(zone) === 'fullDisruption')
  }

  /** Takes a permit to evict one node of the zone, or says after how many milliseconds to ask again. */
  takePermit(
    zone: string,
    nowMs: number,
  ): { readonly granted: true } | { readonly granted: false; readonly retryAfterMs: number } {
    const entry = this.#zones.get(zone)
    const rate = this.#rate(zone)
    if (entry === undefined || rate === 0) return { granted: false, retryAfterMs: 1000 / SECONDARY_EVICTION_RATE }
    if (nowMs < entry.nextEvictionMs) return { granted: false, retryAfterMs: entry.nextEvictionMs - nowMs }
    entry.nextEvictionMs = nowMs + 1000 / rate
    return { granted: true }
  }

  #rate(zone: string): number {
    if (this.state(zone) !== 'partialDisruption') return EVICTION_RATE
    return (this.#zones.get(zone)?.nodes.size ?? 0) > LARGE_ZONE_NODES ? SECONDARY_EVICTION_RATE : 0
  }
}
