import type { Container, Pod } from '@centaurus/api/core/v1'

import { findContainer, type PodRuntimeState } from './runtime-state.ts'

/** First delay before a crashed container starts again. Source: kubelet, v1.37. */
export const RESTART_DELAY_BASE_MS = 10_000
export const RESTART_DELAY_MAX_MS = 300_000
/** A container that ran that long starts over with the first delay. Source: kubelet flowcontrol.Backoff with maxDuration 2 x 300 s. */
export const RESTART_DELAY_RESET_MS = 600_000

/** Whether the policies restart a container that ended with `exitCode`. Source: podutil.ContainerShouldRestart, v1.37. */
export function shouldRestartAfter(container: Container, pod: Pod, exitCode: number): boolean {
  for (const rule of container.restartPolicyRules ?? []) {
    const values = rule.exitCodes?.values ?? []
    const matches = rule.exitCodes?.operator === 'NotIn' ? !values.includes(exitCode) : values.includes(exitCode)
    if (rule.exitCodes !== undefined && matches) return rule.action === 'Restart'
  }
  const policy = container.restartPolicy ?? pod.spec?.restartPolicy ?? 'Always'
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0)
}

/** Whether a container that runs would be started again when it were killed. */
export function restartsAfterKill(container: Container, pod: Pod): boolean {
  return (container.restartPolicy ?? pod.spec?.restartPolicy ?? 'Always') !== 'Never'
}

/** Whether a container that is not running must be (re)started. Source: kubecontainer.ShouldContainerBeRestarted, v1.37. */
export function shouldStart(container: Container, pod: Pod, state: PodRuntimeState): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false
  const last = findContainer(state, container.name)
  if (last === undefined) return true
  if (last.phase === 'running') return false
  if (last.phase === 'unknown' || last.phase === 'created') return true
  return shouldRestartAfter(container, pod, last.exitCode)
}

/** What the agent remembers of one container's crashes. */
export interface RestartBackoff {
  /** Wait after the last end, ms. */
  readonly delayMs: number
  /** When `delayMs` last grew, ms since the epoch. */
  readonly updatedAtMs: number
}

export type BackoffDecision =
  | { readonly wait: false; readonly next: RestartBackoff }
  | { readonly wait: true; readonly untilMs: number; readonly delayMs: number }

/**
 * Whether a container that ended at `finishedAtMs` may start now; when it may, `next` is what to remember.
 * Source: client-go flowcontrol.Backoff as kubelet's doBackOff uses it: doubling, forgotten after twice the maximum.
 */
export function decideBackoff(
  backoff: RestartBackoff | undefined,
  finishedAtMs: number,
  nowMs: number,
): BackoffDecision {
  const fresh = { wait: false, next: { delayMs: RESTART_DELAY_BASE_MS, updatedAtMs: nowMs } } as const
  if (backoff === undefined) return fresh
  if (finishedAtMs - backoff.updatedAtMs > RESTART_DELAY_RESET_MS) return fresh
  const untilMs = finishedAtMs + backoff.delayMs
  if (nowMs < untilMs) return { wait: true, untilMs, delayMs: backoff.delayMs }
  return { wait: false, next: { delayMs: Math.min(backoff.delayMs * 2, RESTART_DELAY_MAX_MS), updatedAtMs: nowMs } }
}

/** Go's rendering of a whole number of seconds, as in `back-off 2m40s restarting …`. */
export function formatGoSeconds(ms: number): string {
  const seconds = Math.round(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds % 60}s`
}
