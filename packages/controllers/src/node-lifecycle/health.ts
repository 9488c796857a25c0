import { findCondition, formatTime, type Stored } from '@centaurus/api'
import type { Lease } from '@centaurus/api/coordination/v1'
import type { Node, NodeCondition } from '@centaurus/api/core/v1'

/** Conditions that a silent node's agent would have to renew. NetworkUnavailable is not the node's to tell. */
const AGENT_CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']

/** The last sign of life of a node, by the controller's own clock: that of the node may be wrong. */
export interface NodeHealth {
  /** Monotonic. */
  readonly probedMs: number
  /** `lastHeartbeatTime` of Ready; undefined when there is no such condition. */
  readonly heartbeat: string | undefined
  readonly hasReady: boolean
  readonly renewTime: string | undefined
}

/**
 * A change of the heartbeat or a later renewal of the lease is a sign of life, whatever times they name. Returns `health` itself when
 * there was none. Source: tryUpdateNodeHealth, pkg/controller/nodelifecycle/node_lifecycle_controller.go v1.37.
 */
export function observeHealth(
  health: NodeHealth | undefined,
  { node, lease }: { readonly node: Readonly<Node>; readonly lease: Readonly<Lease> | undefined },
  nowMs: number,
): NodeHealth {
  const ready = findCondition(node.status?.conditions, 'Ready')
  const hasReady = ready !== undefined
  const heartbeat = ready?.lastHeartbeatTime
  const renewTime = lease?.spec?.renewTime
  const isRenewed = renewTime !== undefined && (health?.renewTime === undefined || renewTime > health.renewTime)
  const isSame = health !== undefined && hasReady === health.hasReady && heartbeat === health.heartbeat
  if (isSame && !isRenewed) return health
  return { probedMs: nowMs, heartbeat, hasReady, renewTime: isRenewed ? renewTime : health?.renewTime }
}

export interface GracePeriods {
  readonly monitorGraceMs: number
  /** For a node that never told its status. */
  readonly startupGraceMs: number
}

/** Milliseconds since the node was silent for too long; negative while there is time. */
export function silentTooLongMs(health: NodeHealth, grace: GracePeriods, nowMs: number): number {
  return nowMs - health.probedMs - (health.hasReady ? grace.monitorGraceMs : grace.startupGraceMs)
}

/** The conditions of a node that is silent; undefined when they say so already. */
export function planUnknownConditions(node: Stored<Node>, nowMs: number): NodeCondition[] | undefined {
  const conditions = node.status?.conditions ?? []
  const lastTransitionTime = formatTime(nowMs)
  const known = conditions.map((condition) => {
    if (!AGENT_CONDITIONS.includes(condition.type) || condition.status === 'Unknown') return condition
    const message = 'Kubelet stopped posting node status.'
    return { ...condition, status: 'Unknown', reason: 'NodeStatusUnknown', message, lastTransitionTime }
  })
  const missing = AGENT_CONDITIONS.filter((type) => findCondition(conditions, type) === undefined).map((type) => ({
    type,
    status: 'Unknown',
    reason: 'NodeStatusNeverUpdated',
    message: 'Kubelet never posted node status.',
    lastHeartbeatTime: node.metadata.creationTimestamp,
    lastTransitionTime,
  }))
  const isChanged = missing.length > 0 || known.some((condition, i) => condition !== conditions[i])
  return isChanged ? [...known, ...missing] : undefined
}

/** Status of the node's Ready condition; undefined when it never told one. */
export function readyStatus(node: Readonly<Node>): string | undefined {
  return findCondition(node.status?.conditions, 'Ready')?.status
}
