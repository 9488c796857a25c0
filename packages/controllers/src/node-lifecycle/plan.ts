import type { Node, NodeCondition, Taint } from '@centaurus/api/core/v1'

/** Source of names and periods: pkg/controller/nodelifecycle/node_lifecycle_controller.go and its configuration's defaults, v1.37. */
export const NODE_MONITOR_GRACE_MS = 50_000
/** A node that never said anything is given longer. */
export const NODE_STARTUP_GRACE_MS = 60_000

const NOT_READY = 'node.kubernetes.io/not-ready'
const UNREACHABLE = 'node.kubernetes.io/unreachable'
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable'

/** Conditions that keep pods off while they have this status. */
const CONDITION_TAINTS: readonly { type: string; status: string; key: string }[] = [
  { type: 'Ready', status: 'False', key: NOT_READY },
  { type: 'Ready', status: 'Unknown', key: UNREACHABLE },
  { type: 'MemoryPressure', status: 'True', key: 'node.kubernetes.io/memory-pressure' },
  { type: 'DiskPressure', status: 'True', key: 'node.kubernetes.io/disk-pressure' },
  { type: 'PIDPressure', status: 'True', key: 'node.kubernetes.io/pid-pressure' },
  { type: 'NetworkUnavailable', status: 'True', key: 'node.kubernetes.io/network-unavailable' },
]
const NO_SCHEDULE_KEYS = new Set([...CONDITION_TAINTS.map(({ key }) => key), UNSCHEDULABLE])
const NO_EXECUTE_KEYS = new Set([NOT_READY, UNREACHABLE])
/** What the node agent reports, and so nobody knows once it is silent. */
const REPORTED_CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'] as const

/** The node's Ready condition's status; `Unknown` also when it has none. */
export function readyStatus(node: Readonly<Node>): 'True' | 'False' | 'Unknown' {
  const status = node.status?.conditions?.find((condition) => condition.type === 'Ready')?.status
  return status === 'True' || status === 'False' ? status : 'Unknown'
}

/** Milliseconds after its last sign of life at which the node counts as silent. */
export function graceMs(node: Readonly<Node>): number {
  const hasReported = node.status?.conditions?.some((condition) => condition.type === 'Ready') === true
  return hasReported ? NODE_MONITOR_GRACE_MS : NODE_STARTUP_GRACE_MS
}

/** Conditions of a silent node that must become Unknown; none when they are already. `now` is RFC 3339. */
export function planUnknownConditions(node: Readonly<Node>, now: string): NodeCondition[] {
  const conditions = node.status?.conditions ?? []
  return REPORTED_CONDITIONS.flatMap((type): NodeCondition[] => {
    const current = conditions.find((condition) => condition.type === type)
    if (current?.status === 'Unknown') return []
    const seen = current === undefined
    return [
      {
        type,
        status: 'Unknown',
        reason: seen ? 'NodeStatusNeverUpdated' : 'NodeStatusUnknown',
        message: seen ? 'Kubelet never posted node status.' : 'Kubelet stopped posting node status.',
        lastHeartbeatTime: current?.lastHeartbeatTime ?? node.metadata.creationTimestamp,
        lastTransitionTime: now,
      },
    ]
  })
}

/** How the evicting taint of an unwell node is to be handled now. */
export type EvictionPolicy =
  /** Its zone allows one more node to be evicted. */
  | 'allow'
  /** Too many at once: keep what is there, add nothing yet. */
  | 'wait'
  /** Nothing answers anywhere: the fault is more likely ours, so no node is evicted. */
  | 'never'

/**
 * The taints that the node should have: those for its conditions and `spec.unschedulable`, and, unless `eviction` says otherwise,
 * the one that evicts pods. All others are kept. Undefined: it has them already. `now` is RFC 3339.
 */
export function planTaints(node: Readonly<Node>, eviction: EvictionPolicy, now: string): Taint[] | undefined {
  const current = node.spec?.taints ?? []
  const wanted = [...wantedNoSchedule(node), ...wantedNoExecute(node, eviction)]
  const isOurs = (taint: Taint): boolean =>
    (taint.effect === 'NoSchedule' && NO_SCHEDULE_KEYS.has(taint.key)) ||
    (taint.effect === 'NoExecute' && NO_EXECUTE_KEYS.has(taint.key))
  const same = (a: Pick<Taint, 'key' | 'effect'>, b: Pick<Taint, 'key' | 'effect'>): boolean =>
    a.key === b.key && a.effect === b.effect
  const kept = current.filter((taint) => !isOurs(taint) || wanted.some((item) => same(item, taint)))
  const added = wanted.filter((item) => !current.some((taint) => same(item, taint)))
  if (added.length === 0 && kept.length === current.length) return undefined
  return [...kept, ...added.map((taint) => ({ ...taint, timeAdded: now }))]
}

/** Whether the plan for an unwell node would add the evicting taint, so that a permit must be asked for. */
export function needsEviction(node: Readonly<Node>): boolean {
  return wantedNoExecute(node, 'allow').some(
    ({ key }) => !(node.spec?.taints ?? []).some((taint) => taint.key === key && taint.effect === 'NoExecute'),
  )
}

function wantedNoSchedule(node: Readonly<Node>): Taint[] {
  const conditions = node.status?.conditions ?? []
  // A new node is tainted when it is created, until it says for the first time how it is.
  const silent = !conditions.some(({ type }) => type === 'Ready')
  const keys = CONDITION_TAINTS.filter(({ type, status }) =>
    conditions.some((condition) => condition.type === type && condition.status === status),
  ).map(({ key }) => key)
  if (silent) keys.push(NOT_READY)
  if (node.spec?.unschedulable === true) keys.push(UNSCHEDULABLE)
  return keys.map((key) => ({ key, effect: 'NoSchedule' }))
}

function wantedNoExecute(node: Readonly<Node>, eviction: EvictionPolicy): Taint[] {
  if (eviction === 'never') return []
  const conditions = node.status?.conditions ?? []
  const ready = conditions.find(({ type }) => type === 'Ready')?.status
  if (ready === undefined || ready === 'True') return []
  const wanted: Taint = { key: ready === 'False' ? NOT_READY : UNREACHABLE, effect: 'NoExecute' }
  const evicting = (node.spec?.taints ?? []).filter(
    (taint) => taint.effect === 'NoExecute' && NO_EXECUTE_KEYS.has(taint.key),
  )
  // One that is evicted already changes its reason freely; another waits for its turn.
  return eviction === 'allow' || evicting.length > 0 ? [wanted] : []
}
