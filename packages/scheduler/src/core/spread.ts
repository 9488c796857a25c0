import { toleratesAll } from '@centaurus/api/scheduling'
import { selectorKey } from './affinity-terms.ts'
import type { NodeTable } from './node-table.ts'
import type { PodFootprint } from './pod-footprint.ts'
import type { CompiledSpreadConstraint, PodRequirements } from './pod-requirements.ts'
import { resolvable, unresolvable, type Refusal } from './refusals.ts'
import { SCORE_MAX } from './resource-scores.ts'
import { NO_VALUE } from './topology.ts'
import type { Tracker, TrackerInit } from './trackers.ts'

const HOSTNAME = 'kubernetes.io/hostname'
const REASON = "node(s) didn't match pod topology spread constraints"
const NO_LABEL = unresolvable(`${REASON} (missing required label)`)
const TOO_UNEVEN = resolvable(REASON)

/** Constraints that every pod without its own gets, as preferences. Source: podtopologyspread systemDefaultConstraints, v1.37. */
const DEFAULT_PREFERENCES = [
  { topologyKey: HOSTNAME, maxSkew: 3 },
  { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 5 },
] as const

/** Topology spread of one class of pods. Source: framework/plugins/podtopologyspread, v1.37. */
export interface Spread {
  readonly hard: readonly HardSpread[]
  readonly soft: readonly SoftSpread[]
  /** Nodes that lack a topology key of `soft` get no score. */
  readonly softNeedsAllKeys: boolean
}

interface HardSpread {
  readonly tracker: Tracker
  readonly maxSkew: number
  readonly minDomains: number
  readonly selfMatches: number
}

interface SoftSpread {
  readonly tracker: Tracker
  readonly maxSkew: number
  readonly isHostname: boolean
}

/** Starts counting what the class's constraints are about. */
export function prepareSpread(nodes: NodeTable, pod: PodRequirements, acquire: (init: TrackerInit) => Tracker): Spread {
  const { footprint } = pod
  const hard = pod.spread.filter((constraint) => constraint.hard)
  const soft = pod.spread.filter((constraint) => !constraint.hard)
  const track = (constraint: CompiledSpreadConstraint, all: readonly CompiledSpreadConstraint[]): Tracker => {
    const countsNodes = constraint.hard
    return acquire({ ...trackerOf(nodes, pod, { constraint, all }), countsNodes })
  }
  return {
    hard: hard.map((constraint) => ({
      tracker: track(constraint, hard),
      maxSkew: constraint.maxSkew,
      minDomains: constraint.minDomains,
      selfMatches: Number(constraint.selector.matches(footprint.labels)),
    })),
    soft:
      pod.spread.length > 0
        ? soft.map((constraint) => ({
            tracker: track(constraint, soft),
            maxSkew: constraint.maxSkew,
            isHostname: constraint.topologyKey === HOSTNAME,
          }))
        : prepareDefaults(nodes, pod, acquire),
    softNeedsAllKeys: pod.spread.length > 0,
  }
}

/** Pods of one owner carry the same labels, and are spread. */
function prepareDefaults(
  nodes: NodeTable,
  pod: PodRequirements,
  acquire: (init: TrackerInit) => Tracker,
): SoftSpread[] {
  const { namespace, labelsKey, labels } = pod.footprint
  if (Object.keys(labels).length === 0) return []
  return DEFAULT_PREFERENCES.map(({ topologyKey, maxSkew }) => ({
    tracker: acquire({
      key: JSON.stringify(['siblings', topologyKey, namespace, labelsKey, pod.requiredNodesKey]),
      topologyKey,
      weigh: (other) =>
        !other.isTerminating && other.namespace === namespace && other.labelsKey === labelsKey ? 1 : 0,
      takes: pod.requiredNodes && ((slot) => matchesRequired(nodes, pod, slot)),
    }),
    maxSkew,
    isHostname: topologyKey === HOSTNAME,
  }))
}

function trackerOf(
  nodes: NodeTable,
  pod: PodRequirements,
  { constraint, all }: { constraint: CompiledSpreadConstraint; all: readonly CompiledSpreadConstraint[] },
): TrackerInit {
  const { selector, topologyKey, honorAffinity, honorTaints, hard } = constraint
  const { namespace } = pod.footprint
  const keys = [...new Set(all.map((other) => other.topologyKey))].sort()
  const required = honorAffinity ? pod.requiredNodesKey : ''
  const tolerated = honorTaints ? pod.tolerationsKey : ''
  const counts = (other: PodFootprint): boolean =>
    !other.isTerminating && other.namespace === namespace && !selector.isEmpty && selector.matches(other.labels)
  return {
    key: JSON.stringify([
      'spread',
      hard,
      topologyKey,
      namespace,
      selectorKey(selector),
      keys,
      required,
      honorTaints,
      tolerated,
    ]),
    topologyKey,
    weigh: (other) => (counts(other) ? 1 : 0),
    takes: (slot) => {
      const labels = nodes.labels[slot]
      if (labels === undefined || keys.some((key) => labels[key] === undefined)) return false
      if (honorAffinity && !matchesRequired(nodes, pod, slot)) return false
      return !honorTaints || toleratesAll(pod.tolerations, nodes.taintSets.get(nodes.taints[slot]!))
    },
  }
}

function matchesRequired(nodes: NodeTable, { requiredNodes }: PodRequirements, slot: number): boolean {
  const labels = nodes.labels[slot]
  return labels !== undefined && (requiredNodes?.matches(labels, nodes.names[slot]!) ?? true)
}

/** Whether a pod more makes the node's domains too uneven. Undefined: it does not, or there is no constraint that must hold. */
export function checkSpread({ hard }: Spread): ((slot: number) => Refusal | undefined) | undefined {
  if (hard.length === 0) return undefined
  // the most that a domain may hold already
  const limits = hard.map(({ tracker, maxSkew, minDomains, selfMatches }) => {
    const least = tracker.nodes.nonZero < minDomains ? 0 : tracker.least()
    return maxSkew + least - selfMatches
  })
  return (slot) => {
    for (let i = 0; i < hard.length; i++) {
      const { tracker } = hard[i]!
      const domain = tracker.domainOf(slot)
      if (domain === NO_VALUE) return NO_LABEL
      if (tracker.counts.get(domain) > limits[i]!) return TOO_UNEVEN
    }
    return undefined
  }
}

/** How empty the domains of each of the feasible `slots` are of pods like this one, 0 to 100; undefined: nothing to prefer. */
export function scoreSpread({ soft, softNeedsAllKeys }: Spread, slots: Int32Array): Int32Array | undefined {
  if (soft.length === 0) return undefined
  const isIgnored = (slot: number): boolean =>
    softNeedsAllKeys && soft.some(({ tracker }) => tracker.domainOf(slot) === NO_VALUE)
  const scored = softNeedsAllKeys ? slots.filter((slot) => !isIgnored(slot)) : slots
  const weights = soft.map((one) => Math.log((one.isHostname ? scored.length : countDomains(one.tracker, scored)) + 2))
  const raw = new Int32Array(slots.length)
  let low = Infinity
  let high = 0
  for (let i = 0; i < slots.length; i++) {
    const slot = slots[i]!
    if (isIgnored(slot)) {
      raw[i] = -1
      continue
    }
    let sum = 0
    for (let k = 0; k < soft.length; k++) {
      const { tracker, maxSkew } = soft[k]!
      const domain = tracker.domainOf(slot)
      if (domain !== NO_VALUE) sum += tracker.counts.get(domain) * weights[k]! + (maxSkew - 1)
    }
    const rounded = Math.round(sum)
    raw[i] = rounded
    low = Math.min(low, rounded)
    high = Math.max(high, rounded)
  }
  return raw.map((value) => {
    if (value === -1) return 0
    return high === 0 ? SCORE_MAX : Math.floor((SCORE_MAX * (high + low - value)) / high)
  })
}

let marks = new Uint32Array(0)
let mark = 0

/** Domains among the slots; nodes that lack the key are one domain together, as upstream has it. */
function countDomains(tracker: Tracker, slots: Int32Array): number {
  if (marks.length <= tracker.domainCount) marks = new Uint32Array((tracker.domainCount + 1) * 2)
  mark = (mark + 1) >>> 0 || 1
  let count = 0
  for (const slot of slots) {
    const place = tracker.domainOf(slot) + 1 // 0: no domain
    if (marks[place] === mark) continue
    marks[place] = mark
    count++
  }
  return count
}
