import { formatTime } from '@centaurus/api'
import type { Node, Taint } from '@centaurus/api/core/v1'
import { readyStatus } from './health.ts'

const NOT_READY = 'node.kubernetes.io/not-ready'
const UNREACHABLE = 'node.kubernetes.io/unreachable'
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable'

/** Source: nodeConditionToTaintKeyStatusMap, pkg/controller/nodelifecycle/node_lifecycle_controller.go v1.37. */
const CONDITION_TAINTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Ready: { False: NOT_READY, Unknown: UNREACHABLE },
  MemoryPressure: { True: 'node.kubernetes.io/memory-pressure' },
  DiskPressure: { True: 'node.kubernetes.io/disk-pressure' },
  NetworkUnavailable: { True: 'node.kubernetes.io/network-unavailable' },
  PIDPressure: { True: 'node.kubernetes.io/pid-pressure' },
}
const MANAGED_KEYS = new Set([UNSCHEDULABLE, ...Object.values(CONDITION_TAINTS).flatMap((keys) => Object.values(keys))])

/** How far NoExecute may go: `keep` what is there (only the right key), `add` it, or `remove` it. */
export type EvictionMode = 'keep' | 'add' | 'remove'

/**
 * The taints that a node should have; undefined when it has them. NoSchedule follows the conditions at once. NoExecute, by which pods
 * are evicted, is added only with mode `add`, changes its key at once, and goes when the node is ready.
 */
export function planNodeTaints(node: Readonly<Node>, mode: EvictionMode, nowMs: number): Taint[] | undefined {
  const taints = node.spec?.taints ?? []
  const wanted = [...noScheduleTaints(node), ...noExecuteTaint(node, mode)]
  const isWanted = (taint: Taint): boolean =>
    wanted.some(({ key, effect }) => key === taint.key && effect === taint.effect)
  const kept = taints.filter((taint) => !isManaged(taint) || isWanted(taint))
  const missing = wanted.filter(
    ({ key, effect }) => !taints.some((taint) => taint.key === key && taint.effect === effect),
  )
  if (missing.length === 0 && kept.length === taints.length) return undefined
  return [...kept, ...missing.map((taint) => ({ ...taint, timeAdded: formatTime(nowMs) }))]
}

/** True when the node is not ready, and pods are not evicted from it yet. */
export function needsEvictionTaint(node: Readonly<Node>): boolean {
  return evictionKey(node) !== undefined && !hasEvictionTaint(node)
}

function noScheduleTaints({ spec, status }: Readonly<Node>): Taint[] {
  const keys = (status?.conditions ?? []).map(({ type, status: is }) => CONDITION_TAINTS[type]?.[is])
  // A node that has not told yet how it is gets no pods.
  const silent = status?.conditions?.some(({ type }) => type === 'Ready') === true ? undefined : NOT_READY
  const all = [...keys, silent, spec?.unschedulable === true ? UNSCHEDULABLE : undefined]
  return all.filter((key) => key !== undefined).map((key) => ({ key, effect: 'NoSchedule' }))
}

function noExecuteTaint(node: Readonly<Node>, mode: EvictionMode): Taint[] {
  const key = evictionKey(node)
  if (mode === 'remove') return []
  // A node that never told whether it is ready keeps what someone gave it.
  if (readyStatus(node) === undefined) return (node.spec?.taints ?? []).filter(isEviction)
  return key !== undefined && (mode === 'add' || hasEvictionTaint(node)) ? [{ key, effect: 'NoExecute' }] : []
}

function evictionKey(node: Readonly<Node>): string | undefined {
  return CONDITION_TAINTS['Ready']?.[readyStatus(node) ?? '']
}

function hasEvictionTaint({ spec }: Readonly<Node>): boolean {
  return spec?.taints?.some(isEviction) === true
}

function isEviction({ key, effect }: Taint): boolean {
  return effect === 'NoExecute' && (key === NOT_READY || key === UNREACHABLE)
}

function isManaged(taint: Taint): boolean {
  return isEviction(taint) || (taint.effect === 'NoSchedule' && MANAGED_KEYS.has(taint.key))
}
