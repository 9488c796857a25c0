import type { Node } from '@centaurus/api/core/v1'
import { readyStatus } from './health.ts'

const EXCLUDED_LABEL = 'node.kubernetes.io/exclude-disruption'
/** So few failed nodes are no sign of a failed zone. Source: ComputeZoneState, node_lifecycle_controller.go v1.37. */
const FEW_NODES = 2

export type ZoneState = 'Initial' | 'Normal' | 'PartialDisruption' | 'FullDisruption'

export interface ZoneRates {
  readonly evictionsPerSecond: number
  /** In a large zone where many nodes failed; a small one stops. */
  readonly secondaryEvictionsPerSecond: number
  readonly largeZoneNodes: number
  /** Share of nodes that failed, from which a zone counts as disrupted. */
  readonly unhealthyZoneThreshold: number
}

export interface ZonePlan {
  readonly states: ReadonlyMap<string, ZoneState>
  /** Nodes that may be given a NoExecute taint, each second, by zone. */
  readonly rates: ReadonlyMap<string, number>
  /** No zone has a ready node: more likely the control plane is cut off than all nodes are dead. Nothing is evicted. */
  readonly isAllDown: boolean
}

/** Region and zone of a node; one name for all that have neither. Source: GetZoneKey, component-helpers node/topology v0.37. */
export function zoneOf({ metadata }: Readonly<Node>): string {
  const labels = metadata.labels ?? {}
  const zone = labels['failure-domain.beta.kubernetes.io/zone'] ?? labels['topology.kubernetes.io/zone'] ?? ''
  const region = labels['failure-domain.beta.kubernetes.io/region'] ?? labels['topology.kubernetes.io/region'] ?? ''
  return zone === '' && region === '' ? '' : `${region}:\0:${zone}`
}

/** States and rates of all zones. Source: handleDisruption, node_lifecycle_controller.go v1.37. */
export function planZones(nodes: readonly Node[], rates: ZoneRates): ZonePlan {
  const counts = new Map<string, { ready: number; notReady: number }>()
  for (const node of nodes) {
    if (node.metadata.labels?.[EXCLUDED_LABEL] !== undefined) continue
    const zone = zoneOf(node)
    const count = counts.get(zone) ?? { ready: 0, notReady: 0 }
    counts.set(zone, count)
    if (readyStatus(node) === 'True') count.ready++
    else count.notReady++
  }
  const states = new Map([...counts].map(([zone, count]) => [zone, zoneState(count, rates)]))
  const isAllDown = states.size > 0 && [...states.values()].every((state) => state === 'FullDisruption')
  const rateOf = (zone: string, state: ZoneState): number => {
    if (isAllDown) return 0
    if (state !== 'PartialDisruption') return rates.evictionsPerSecond
    const { ready, notReady } = counts.get(zone)!
    return ready + notReady > rates.largeZoneNodes ? rates.secondaryEvictionsPerSecond : 0
  }
  return { states, rates: new Map([...states].map(([zone, state]) => [zone, rateOf(zone, state)])), isAllDown }
}

function zoneState(
  { ready, notReady }: { readonly ready: number; readonly notReady: number },
  { unhealthyZoneThreshold }: ZoneRates,
): ZoneState {
  if (ready === 0 && notReady > 0) return 'FullDisruption'
  if (notReady > FEW_NODES && notReady / (notReady + ready) >= unhealthyZoneThreshold) return 'PartialDisruption'
  return 'Normal'
}

/** One at a time, with a least distance. A new rate does not give another turn at once. */
export class RateLimit {
  #perSecond: number
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  set(perSecond: number, nowMs: number): void {
    if (perSecond === this.#perSecond) return
    // The old rate's pause starts again at the new rate. Source: SwapLimiter, nodelifecycle/scheduler v1.37.
    if (this.waitMs(nowMs) > 0) this.#lastMs = nowMs
    this.#perSecond = perSecond
  }

  /** Milliseconds until the next turn; infinite while the rate is 0. */
  waitMs(nowMs: number): number {
    if (this.#perSecond <= 0) return Number.POSITIVE_INFINITY
    return Math.max(0, this.#lastMs + 1000 / this.#perSecond - nowMs)
  }

  /** Takes the turn if it has come. */
  tryTake(nowMs: number): boolean {
    if (this.waitMs(nowMs) > 0) return false
    this.#lastMs = nowMs
    return true
  }
}
