import type { ClusterState } from './cluster-state.ts'
import type { Refusal } from './filters.ts'
import type { CompiledSpreadConstraint, PodRequirements } from './pod-requirements.ts'
import { toleratesAll } from '@centaurus/api/scheduling'
import { NO_VALUE } from './topology.ts'

/** Source: scheduler framework/plugins/podtopologyspread/filtering.go, v1.37. */
export interface SpreadCheck {
  refuse(slot: number): Refusal | undefined
}

const REASON = "node(s) didn't match pod topology spread constraints"

/** Matching pods in each domain that takes part; −1 marks a number that is no domain. */
interface Domains {
  readonly constraint: CompiledSpreadConstraint
  readonly values: Int32Array
  readonly counts: Int32Array
  readonly least: number
  readonly selfMatches: number
}

const NO_DOMAIN = -1

/** Counts pods by domain for the constraints with `DoNotSchedule`; undefined when there are none. */
export function prepareSpread(state: ClusterState, pod: PodRequirements): SpreadCheck | undefined {
  const hard = pod.spread.filter((constraint) => constraint.hard)
  if (hard.length === 0) return undefined
  const domains = hard.map((constraint) => countDomains(state, pod, { constraint, all: hard }))
  return {
    refuse(slot) {
      for (const { constraint, values, counts, least, selfMatches } of domains) {
        const value = values[slot] ?? NO_VALUE
        if (value === NO_VALUE) return { reasons: [`${REASON} (missing required label)`], unresolvable: true }
        const here = Math.max(0, counts[value]!)
        if (here + selfMatches - least > constraint.maxSkew) return { reasons: [REASON], unresolvable: false }
      }
      return undefined
    },
  }
}

interface CountInput {
  readonly constraint: CompiledSpreadConstraint
  readonly all: readonly CompiledSpreadConstraint[]
}

function countDomains(state: ClusterState, pod: PodRequirements, { constraint, all }: CountInput): Domains {
  const column = state.topology(constraint.topologyKey)
  const counts = new Int32Array(column.valueCount).fill(NO_DOMAIN)
  const takesPart = (slot: number): boolean => {
    if (all.some((other) => (state.topology(other.topologyKey).values[slot] ?? NO_VALUE) === NO_VALUE)) return false
    if (constraint.honorAffinity && pod.requiredNodes?.matches(state.labels[slot]!, state.names[slot]!) === false)
      return false
    return !constraint.honorTaints || toleratesAll(pod.tolerations, state.taints[slot]!)
  }
  const eligible = new Uint8Array(state.slotCount)
  for (let slot = 0; slot < state.slotCount; slot++) {
    if (state.names[slot] === undefined || !takesPart(slot)) continue
    eligible[slot] = 1
    if (counts[column.values[slot]!] === NO_DOMAIN) counts[column.values[slot]!] = 0
  }
  for (const placed of state.byNamespace.get(pod.namespace)?.values() ?? []) {
    if (eligible[placed.slot] === 1 && constraint.selector.matches(placed.pod.labels))
      counts[column.values[placed.slot]!]!++
  }
  const present = counts.filter((count) => count !== NO_DOMAIN)
  const least =
    present.length < constraint.minDomains ? 0 : present.reduce((low, count) => Math.min(low, count), Infinity)
  const selfMatches = Number(constraint.selector.matches(pod.labels))
  return { constraint, values: column.values, counts, least: Number.isFinite(least) ? least : 0, selfMatches }
}

/** Constraints that every pod without its own gets, as preferences. Source: podtopologyspread systemDefaultConstraints. */
const DEFAULT_PREFERENCES = [
  { topologyKey: 'kubernetes.io/hostname', maxSkew: 3 },
  { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 5 },
] as const

/**
 * How crowded a node's domains are with pods like this one; lower is better. `groupSelector` is the labels of the pod's owner
 * (its ReplicaSet, StatefulSet or Service) for pods without constraints of their own. Undefined: nothing to prefer.
 */
export function scoreSpread(state: ClusterState, pod: PodRequirements): ((slot: number) => number) | undefined {
  const soft = pod.spread.filter((constraint) => !constraint.hard)
  if (soft.length === 0 && pod.spread.length > 0) return undefined
  const neighbours = state.byNamespace.get(pod.namespace)
  if (neighbours === undefined) return undefined
  const wanted =
    soft.length > 0
      ? soft.map(({ topologyKey, maxSkew, selector }) => ({
          topologyKey,
          maxSkew,
          matches: (labels: Labels) => selector.matches(labels),
        }))
      : DEFAULT_PREFERENCES.map((preference) => ({
          ...preference,
          matches: (labels: Labels) => areSiblings(labels, pod.labels),
        }))
  const columns = wanted.map(({ topologyKey, maxSkew, matches }) => {
    const column = state.topology(topologyKey)
    const counts = new Int32Array(column.valueCount)
    for (const placed of neighbours.values()) {
      const value = column.values[placed.slot] ?? NO_VALUE
      if (value !== NO_VALUE && matches(placed.pod.labels)) counts[value]!++
    }
    const weight = Math.log(column.valueCount + 2)
    return { values: column.values, counts, maxSkew, weight }
  })
  return (slot) =>
    columns.reduce((sum, { values, counts, maxSkew, weight }) => {
      const value = values[slot] ?? NO_VALUE
      return value === NO_VALUE ? sum : sum + counts[value]! * weight + (maxSkew - 1)
    }, 0)
}

type Labels = Readonly<Record<string, string>>

/** Pods of one owner carry the same labels. */
function areSiblings(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a)
  return keys.length > 0 && keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}
