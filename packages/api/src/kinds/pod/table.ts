import type { ContainerStateTerminated, ContainerStatus, Pod } from '../../generated/types/core/v1.ts'
import { formatAge, formatDuration } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { isPodReady, isPodTerminal, podCondition } from './phase.ts'
import { isSidecar } from './resources.ts'

export const podColumns = [
  nameColumn,
  column('Ready', 'Containers that are ready, of all that keep running'),
  column('Status', 'State of the pod, with the reason of the container that matters most'),
  column('Restarts', 'Restarts of all containers, and the time since the latest'),
  ageColumn,
  column('IP', 'Address of the pod', { wide: true }),
  column('Node', 'Node on which the pod runs', { wide: true }),
  column('Nominated Node', 'Node on which room is being made for the pod', { wide: true }),
  column('Readiness Gates', 'Readiness gates that are met, of all', { wide: true }),
]

/** Running totals while a pod's container statuses are read. */
interface Summary {
  reason: string
  ready: number
  restarts: number
  /** Milliseconds since the epoch; 0 for never. */
  lastRestartMs: number
}

/** Source: printPod, pkg/printers/internalversion/printers.go v1.37. */
export function podRow(pod: Readonly<Pod>, nowMs: number): unknown[] {
  const sidecars = sidecarNames(pod)
  const summary = summarizePod(pod, sidecars)
  const total = (pod.spec?.containers ?? []).length + sidecars.size
  const ago = summary.lastRestartMs === 0 ? '' : ` (${formatDuration(nowMs - summary.lastRestartMs)} ago)`
  return [
    pod.metadata.name,
    `${summary.ready}/${total}`,
    summary.reason,
    summary.restarts === 0 ? '0' : `${summary.restarts}${ago}`,
    formatAge(pod.metadata.creationTimestamp, nowMs),
    pod.status?.podIPs?.[0]?.ip || '<none>',
    pod.spec?.nodeName || '<none>',
    pod.status?.nominatedNodeName || '<none>',
    readinessGates(pod),
  ]
}

/** The STATUS that `kubectl get pods` shows, such as `Running`, `Init:0/1` or `CrashLoopBackOff`. */
export function podStatusText(pod: Readonly<Pod>): string {
  return summarizePod(pod, sidecarNames(pod)).reason
}

function sidecarNames(pod: Readonly<Pod>): ReadonlySet<string> {
  return new Set((pod.spec?.initContainers ?? []).filter(isSidecar).map((container) => container.name))
}

function summarizePod(pod: Readonly<Pod>, sidecars: ReadonlySet<string>): Summary {
  const gated = podCondition(pod, 'PodScheduled')?.reason === 'SchedulingGated'
  const reason = gated ? 'SchedulingGated' : pod.status?.reason || (pod.status?.phase ?? '')
  const summary: Summary = { reason, ready: 0, restarts: 0, lastRestartMs: 0 }
  const initializing = addInitContainers(summary, pod, sidecars)
  if (!initializing || podCondition(pod, 'Initialized')?.status === 'True') addContainers(summary, pod, sidecars)
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (pod.status?.reason === 'NodeLost') summary.reason = 'Unknown'
    else if (!isPodTerminal(pod)) summary.reason = 'Terminating'
  }
  return summary
}

/** Adds init containers up to the first that is not done; returns whether there is one. */
function addInitContainers(summary: Summary, pod: Readonly<Pod>, sidecars: ReadonlySet<string>): boolean {
  for (const [i, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    addRestarts(summary, status)
    const { terminated, waiting } = status.state ?? {}
    if (terminated?.exitCode === 0) continue
    if (sidecars.has(status.name) && status.started === true) {
      if (status.ready) summary.ready++
      continue
    }
    if (terminated !== undefined) summary.reason = `Init:${terminated.reason || exitReason(terminated)}`
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') summary.reason = `Init:${waiting.reason}`
    else summary.reason = `Init:${i}/${(pod.spec?.initContainers ?? []).length}`
    return true
  }
  return false
}

function addContainers(summary: Summary, pod: Readonly<Pod>, sidecars: ReadonlySet<string>): void {
  // Once the pod is initialized, restarts of ordinary init containers no longer count.
  summary.restarts = 0
  summary.lastRestartMs = 0
  for (const status of pod.status?.initContainerStatuses ?? []) {
    if (sidecars.has(status.name)) addRestarts(summary, status)
  }
  let hasRunning = false
  let errorReason = ''
  for (const status of (pod.status?.containerStatuses ?? []).toReversed()) {
    addRestarts(summary, status)
    const { terminated, waiting, running } = status.state ?? {}
    if (waiting?.reason) summary.reason = waiting.reason
    else if (terminated !== undefined) {
      summary.reason = terminated.reason || exitReason(terminated)
      if (terminated.exitCode !== 0) errorReason = summary.reason
    } else if (status.ready && running !== undefined) {
      hasRunning = true
      summary.ready++
    }
  }
  if (summary.reason !== 'Completed') return
  if (hasRunning && isPodReady(pod)) summary.reason = 'Running'
  else if (errorReason !== '') summary.reason = errorReason
  else if (hasRunning) summary.reason = 'NotReady'
}

function addRestarts(summary: Summary, status: ContainerStatus): void {
  summary.restarts += status.restartCount
  const finishedAt = status.lastState?.terminated?.finishedAt
  if (finishedAt !== undefined) summary.lastRestartMs = Math.max(summary.lastRestartMs, Date.parse(finishedAt))
}

function exitReason(state: ContainerStateTerminated): string {
  return state.signal ? `Signal:${state.signal}` : `ExitCode:${state.exitCode}`
}

function readinessGates(pod: Readonly<Pod>): string {
  const gates = pod.spec?.readinessGates ?? []
  if (gates.length === 0) return '<none>'
  const met = gates.filter((gate) => podCondition(pod, gate.conditionType)?.status === 'True')
  return `${met.length}/${gates.length}`
}
