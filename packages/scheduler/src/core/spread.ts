import { toleratesAll } from '@centaurus/api/scheduling'
import { selectorKey } from './affinity-terms.ts'
import type { NodeTable } from './node-table.ts'
import type { PodFootprint } from './pod-footprint.ts'
import type { CompiledSpreadConstraint, PodRequirements } from './pod-requirements.ts'
import { resolvable, unresolvable, type Refusal } from './refusals.ts'
import { SCORE_MAX } from './resource-scores.ts'
import { NO_VALUE } from './topology.ts'
import type { Scoring } from './scores.ts'
import type { Slots, Tracker, TrackerInit } from './trackers.ts'

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
  const { identityKey, labels } = pod.footprint
  // Where there is one node to choose, as for daemon pods, preferences decide nothing: a kind of pods a node would count every other pod.
  if (Object.keys(labels).length === 0 || pod.nodeNames?.length === 1) return []
  return DEFAULT_PREFERENCES.map(({ topologyKey, maxSkew }) => ({
    tracker: acquire({
      key: JSON.stringify(['siblings', topologyKey, identityKey, pod.requiredNodesKey]),
      topologyKey,
      identityKey,
      weigh: (other) => (!other.isTerminating && other.identityKey === identityKey ? 1 : 0),
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

/** How empty the domains of each of the feasible slots are of pods like this one, 0 to 100 times `weight`, added to `totals`. */
export function scoreSpread(
  { soft, softNeedsAllKeys }: Spread,
  feasible: Slots,
  { weight, totals, scratch }: Scoring,
): void {
  if (soft.length === 0) return
  const isIgnored = softNeedsAllKeys ? markIgnored(soft, feasible) : undefined
  const ignored = isIgnored === undefined ? 0 : isIgnored.subarray(0, feasible.count).reduce((a, b) => a + b, 0)
  const raw = scratch.fill(0, 0, feasible.count)
  for (const { tracker, maxSkew, isHostname } of soft) {
    const size = isHostname ? feasible.count - ignored : countDomains(tracker, feasible, isIgnored)
    tracker.addTo(raw, feasible, { weight: Math.log(size + 2), plus: maxSkew - 1 })
  }
  let low = Infinity
  let high = 0
  for (let i = 0; i < feasible.count; i++) {
    if (isIgnored?.[i] === 1) continue
    const rounded = Math.round(raw[i]!)
    raw[i] = rounded
    if (rounded < low) low = rounded
    if (rounded > high) high = rounded
  }
  for (let i = 0; i < feasible.count; i++) {
    if (isIgnored?.[i] === 1) continue
    totals[i]! += weight * (high === 0 ? SCORE_MAX : Math.floor((SCORE_MAX * (high + low - raw[i]!)) / high))
  }
}

/** 1 for each of the slots that lacks a topology key; undefined: none does. */
function markIgnored(soft: readonly SoftSpread[], { slots, count }: Slots): Uint8Array | undefined {
  let marked: Uint8Array | undefined
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < soft.length; k++) {
      if (soft[k]!.tracker.domainOf(slots[i]!) !== NO_VALUE) continue
      marked ??= new Uint8Array(count)
      marked[i] = 1
    }
  }
  return marked
}

let marks = new Uint32Array(0)
let mark = 0

/** Domains among the slots; nodes that lack the key are one domain together, as upstream has it. */
function countDomains(tracker: Tracker, { slots, count }: Slots, isIgnored: Uint8Array | undefined): number {
  if (marks.length <= tracker.domainCount) marks = new Uint32Array((tracker.domainCount + 1) * 2)
  mark = (mark + 1) >>> 0 || 1
  let domains = 0
  for (let i = 0; i < count; i++) {
    if (isIgnored?.[i] === 1) continue
    const place = tracker.domainOf(slots[i]!) + 1 // 0: no domain
    if (marks[place] === mark) continue
    marks[place] = mark
    domains++
  }
  return domains
}
