import type { Container, ContainerStatus, Pod } from '@centaurus/api/core/v1'

import type { PodPhase } from './conditions.ts'
import { shouldRestartAfter } from './restart-policy.ts'
import { isSidecar } from './runtime-state.ts'

interface Tally {
  pendingInit: number
  pendingSidecars: number
  failedInit: number
  unknown: number
  running: number
  waiting: number
  stopped: number
  stoppedForGood: number
  succeeded: number
}

/** Phase of a pod from its statuses. `terminal`: nothing will be started again. Source: kubelet getPhase, v1.37. */
export function podPhase(
  pod: Pod,
  statuses: readonly ContainerStatus[],
  { terminal }: { readonly terminal: boolean },
): PodPhase {
  const tally: Tally = {
    pendingInit: 0,
    pendingSidecars: 0,
    failedInit: 0,
    unknown: 0,
    running: 0,
    waiting: 0,
    stopped: 0,
    stoppedForGood: 0,
    succeeded: 0,
  }
  const find = (container: Container): ContainerStatus | undefined =>
    statuses.find(({ name }) => name === container.name)
  const regular = pod.spec?.containers ?? []
  const initialized = regular.some((container) => {
    const status = find(container)
    return (
      status?.state?.running !== undefined ||
      status?.state?.terminated !== undefined ||
      status?.lastState?.terminated !== undefined
    )
  })
  for (const container of pod.spec?.initContainers ?? []) {
    if (isSidecar(container)) countSidecar(tally, find(container))
    else countInit(tally, pod, container, find(container))
  }
  for (const container of regular) countRegular(tally, pod, container, find(container))
  return decide(tally, { terminal, initialized })
}

function countInit(tally: Tally, pod: Pod, container: Container, status: ContainerStatus | undefined): void {
  const ended =
    status?.state?.terminated ?? (status?.state?.waiting === undefined ? undefined : status.lastState?.terminated)
  if (ended === undefined) tally.pendingInit += 1
  else if (ended.exitCode !== 0 && !shouldRestartAfter(container, pod, ended.exitCode)) tally.failedInit += 1
}

function countSidecar(tally: Tally, status: ContainerStatus | undefined): void {
  if (status === undefined) tally.unknown += 1
  else if (status.state?.running !== undefined) {
    tally.running += 1
    if (status.started !== true) tally.pendingSidecars += 1
  } else if (status.state?.waiting !== undefined && status.lastState?.terminated === undefined) {
    tally.waiting += 1
    tally.pendingSidecars += 1
  }
}

function countRegular(tally: Tally, pod: Pod, container: Container, status: ContainerStatus | undefined): void {
  if (status === undefined) {
    tally.unknown += 1
    return
  }
  if (status.state?.running !== undefined) {
    tally.running += 1
    return
  }
  const ended = status.state?.terminated ?? status.lastState?.terminated
  if (ended === undefined) {
    tally.waiting += 1
    return
  }
  tally.stopped += 1
  if (!shouldRestartAfter(container, pod, ended.exitCode)) tally.stoppedForGood += 1
  if (status.state?.terminated?.exitCode === 0) tally.succeeded += 1
}

function decide(
  tally: Tally,
  { terminal, initialized }: { readonly terminal: boolean; readonly initialized: boolean },
): PodPhase {
  if (tally.failedInit > 0) return 'Failed'
  if (tally.pendingInit > 0 || (tally.pendingSidecars > 0 && !initialized) || tally.waiting > 0) return 'Pending'
  if (tally.unknown > 0 || tally.running + tally.stopped === 0) return 'Pending'
  if (tally.running > 0) return 'Running'
  if (!terminal && tally.stoppedForGood < tally.stopped) return 'Running'
  return tally.stopped === tally.succeeded ? 'Succeeded' : 'Failed'
}
