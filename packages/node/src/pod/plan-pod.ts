import type { Container, Pod } from '@centaurus/api/core/v1'

import type { ContainerDetail } from '../runtime/container-runtime.ts'
import { ANNOTATION_HASH } from '../runtime/labels.ts'
import { hashContainer } from './container-hash.ts'
import {
  decideBackoff,
  formatGoSeconds,
  restartsAfterKill,
  shouldRestartAfter,
  shouldStart,
  type RestartBackoff,
} from './restart-policy.ts'
import {
  checkSandbox,
  findActiveContainer,
  findContainer,
  formatPod,
  isSidecar,
  restartCountOf,
  type PodRuntimeState,
} from './runtime-state.ts'

export type ContainerRole = 'init' | 'regular' | 'ephemeral'

export type ProbeVerdict = 'success' | 'failure'

/** Latest verdicts by container id; absent: not known yet. */
export interface ProbeVerdicts {
  readonly startup: ReadonlyMap<string, ProbeVerdict>
  readonly liveness: ReadonlyMap<string, ProbeVerdict>
  readonly readiness: ReadonlyMap<string, ProbeVerdict>
}

export const NO_VERDICTS: ProbeVerdicts = { startup: new Map(), liveness: new Map(), readiness: new Map() }

export interface PlanContext {
  readonly nowMs: number
  readonly verdicts: ProbeVerdicts
  /** By container name. */
  readonly backoffs: ReadonlyMap<string, RestartBackoff>
  /** Ids of containers that must make place for one with other resources. */
  readonly restart?: ReadonlySet<string> | undefined
}

export interface StartAction {
  readonly role: ContainerRole
  readonly container: Container
  /** Restart count that the new container will carry. */
  readonly attempt: number
  /** What to remember before it starts; undefined for a first start. */
  readonly backoff: RestartBackoff | undefined
}

export interface KillAction {
  readonly containerId: string
  readonly name: string
  /** For the Killing event. */
  readonly message: string
  readonly reason: 'LivenessProbe' | 'StartupProbe' | 'Unknown' | 'Changed'
}

export interface WaitAction {
  readonly name: string
  readonly untilMs: number
  /** Text of the CrashLoopBackOff. */
  readonly message: string
}

/** What to do now for a pod that should run. Everything in it may be done again after a crash in the middle. */
export interface PodPlan {
  /** Stop every container and the sandbox before anything else. */
  readonly killPod: boolean
  /** Attempt number of the sandbox to create. */
  readonly createSandbox: number | undefined
  readonly kill: readonly KillAction[]
  /** In this order. With `createSandbox`, after it. */
  readonly start: readonly StartAction[]
  /** Held back by crash back-off. */
  readonly wait: readonly WaitAction[]
}

interface Draft {
  readonly pod: Pod
  readonly state: PodRuntimeState
  readonly context: PlanContext
  readonly kill: KillAction[]
  readonly start: { role: ContainerRole; container: Container }[]
}

/**
 * Next steps for a pod, from what should be and what is. Pure and level-based: the same input gives the same plan, and a plan that was
 * carried out leads to one with nothing to do. Cost: containers times their attempts.
 * Source: kubelet kuberuntime computePodActions and computeInitContainerActions, v1.37.
 */
export function planPod(pod: Pod, state: PodRuntimeState, context: PlanContext): PodPlan {
  const draft: Draft = { pod, state, context, kill: [], start: [] }
  const sandbox = checkSandbox(pod, state)
  if (sandbox.changed) return planNewSandbox(draft, sandbox.attempt)
  for (const container of pod.spec?.ephemeralContainers ?? []) {
    if (findContainer(state, container.name) === undefined) draft.start.push({ role: 'ephemeral', container })
  }
  const init = planInitContainers(draft, sandbox.sandboxId)
  if (init === 'failed') return finish(draft, { killPod: true, createSandbox: undefined })
  if (init === 'pending') return finish(draft, { killPod: false, createSandbox: undefined })
  const keeps = planContainers(draft)
  const regularStarts = draft.start.some(({ role }) => role === 'regular')
  if (keeps > 0 || regularStarts) return finish(draft, { killPod: false, createSandbox: undefined })
  // Nothing regular will run again: sidecars must not keep the pod alive.
  draft.start.length = 0
  return finish(draft, { killPod: true, createSandbox: undefined })
}

function planNewSandbox(draft: Draft, attempt: number): PodPlan {
  const { pod, state } = draft
  const containers = pod.spec?.containers ?? []
  const nothing = { killPod: true, createSandbox: undefined }
  const restarts =
    pod.spec?.restartPolicy !== 'Never' || containers.some((container) => container.restartPolicy !== undefined)
  if (!restarts && attempt !== 0 && state.containers.length > 0) return finish(draft, nothing)
  const startable = containers.filter((container) => !isDone(container, pod, state))
  const started = containers.some((container) => findContainer(state, container.name) !== undefined)
  if (startable.length === 0 && started) return finish(draft, nothing)
  const first = pod.spec?.initContainers?.[0]
  if (first !== undefined) draft.start.push({ role: 'init', container: first })
  else for (const container of startable) draft.start.push({ role: 'regular', container })
  return finish(draft, { killPod: true, createSandbox: attempt })
}

/** Ended for good, as far as its policy goes. */
function isDone(container: Container, pod: Pod, state: PodRuntimeState): boolean {
  const last = findContainer(state, container.name)
  return last?.phase === 'exited' && !shouldRestartAfter(container, pod, last.exitCode)
}

type InitProgress = 'pending' | 'done' | 'failed'

/** Walks backwards: the last init container that exists tells how far initialization came; earlier ones may have been collected. */
function planInitContainers(draft: Draft, sandboxId: string): InitProgress {
  const { pod, state } = draft
  const containers = pod.spec?.initContainers ?? []
  if (containers.length === 0) return 'done'
  const regular = pod.spec?.containers ?? []
  let done = regular.some((container) => findActiveContainer(state, sandboxId, container.name) !== undefined)
  let seenLater = done
  const start: number[] = []
  for (let i = containers.length - 1; i >= 0; i--) {
    const container = containers[i]!
    const status = findActiveContainer(state, sandboxId, container.name)
    if (status === undefined) {
      if (seenLater && isSidecar(container)) start.push(i)
      continue
    }
    if (seenLater && !isSidecar(container)) continue
    const step = isSidecar(container) ? stepSidecar(draft, container, status) : stepInit(draft, container, status)
    if (step === 'failed') return 'failed'
    if (step === 'restart' || step === 'restartDone') start.push(i)
    if (step === 'done' || step === 'restartDone') {
      if (i === containers.length - 1) done = true
      else if (!seenLater) start.push(i + 1)
    }
    seenLater = true
  }
  if (!seenLater) start.push(0)
  for (const i of start.toReversed()) draft.start.push({ role: 'init', container: containers[i]! })
  return done ? 'done' : 'pending'
}

type InitStep = 'wait' | 'restart' | 'done' | 'restartDone' | 'failed'

function stepInit(draft: Draft, container: Container, status: ContainerDetail): InitStep {
  switch (status.phase) {
    case 'created':
      return 'restart' // creating and starting is one step: it failed in between
    case 'running':
      return 'wait'
    case 'exited':
      if (status.exitCode === 0) return 'done'
      return shouldRestartAfter(container, draft.pod, status.exitCode) ? 'restart' : 'failed'
    case 'unknown':
      if (!restartsAfterKill(container, draft.pod)) return 'failed'
      draft.kill.push(killUnknown(container, status))
      return 'restart'
  }
}

function stepSidecar(draft: Draft, container: Container, status: ContainerDetail): InitStep {
  const { startup, liveness } = draft.context.verdicts
  const kill = (reason: KillAction['reason'], what: string): void =>
    void draft.kill.push({
      containerId: status.id,
      name: container.name,
      reason,
      message: `Init container ${container.name} ${what}`,
    })
  switch (status.phase) {
    case 'created':
    case 'exited':
      return 'restart'
    case 'unknown':
      draft.kill.push(killUnknown(container, status))
      return 'restart'
    case 'running':
      if (container.startupProbe !== undefined && startup.get(status.id) !== 'success') {
        if (startup.get(status.id) !== 'failure') return 'wait'
        kill('StartupProbe', 'failed startup probe')
        return 'restart'
      }
      if (isChanged(container, status)) {
        kill('Changed', 'definition changed')
        return 'restartDone'
      }
      if (liveness.get(status.id) !== 'failure') return 'done'
      kill('LivenessProbe', 'failed liveness probe')
      return 'restartDone'
  }
}

/** Returns how many running containers stay. */
function planContainers(draft: Draft): number {
  let keeps = 0
  for (const container of draft.pod.spec?.containers ?? []) {
    const status = findContainer(draft.state, container.name)
    if (status?.phase !== 'running') {
      if (!shouldStart(container, draft.pod, draft.state)) continue
      draft.start.push({ role: 'regular', container })
      if (status?.phase === 'unknown') draft.kill.push(killUnknown(container, status))
      continue
    }
    const kill = judgeRunning(draft, container, status)
    if (kill === undefined) {
      keeps += 1
      continue
    }
    const restart = kill.reason === 'Changed' || restartsAfterKill(container, draft.pod)
    draft.kill.push(restart ? { ...kill, message: `${kill.message}, will be restarted` } : kill)
    if (restart) draft.start.push({ role: 'regular', container })
  }
  return keeps
}

function judgeRunning(draft: Draft, container: Container, status: ContainerDetail): KillAction | undefined {
  const { startup, liveness } = draft.context.verdicts
  const kill = (reason: KillAction['reason'], what: string): KillAction => ({
    containerId: status.id,
    name: container.name,
    reason,
    message: `Container ${container.name} ${what}`,
  })
  if (isChanged(container, status)) return kill('Changed', 'definition changed')
  if (draft.context.restart?.has(status.id) === true) return kill('Changed', 'resize requires restart')
  if (liveness.get(status.id) === 'failure') return kill('LivenessProbe', 'failed liveness probe')
  if (startup.get(status.id) === 'failure') return kill('StartupProbe', 'failed startup probe')
  return undefined
}

function killUnknown(container: Container, status: ContainerDetail): KillAction {
  const message = 'Container is in "unknown" state, try killing it before restart'
  return { containerId: status.id, name: container.name, reason: 'Unknown', message }
}

/** Only the image of a running container can change, so only it is hashed. */
function isChanged(container: Container, status: ContainerDetail): boolean {
  const hash = status.annotations[ANNOTATION_HASH]
  return hash !== undefined && hash !== hashContainer(container)
}

function finish(
  draft: Draft,
  { killPod, createSandbox }: { killPod: boolean; createSandbox: number | undefined },
): PodPlan {
  const start: StartAction[] = []
  const wait: WaitAction[] = []
  const { pod, state, context } = draft
  const killed = new Set(draft.kill.map(({ name }) => name))
  for (const { role, container } of draft.start) {
    const last = findContainer(state, container.name)
    const attempt = last === undefined ? previousRestarts(pod, container.name) : restartCountOf(last) + 1
    const crashed = state.containers.find(({ name, phase }) => name === container.name && phase === 'exited')
    if (crashed === undefined || killed.has(container.name)) {
      start.push({ role, container, attempt, backoff: undefined })
      continue
    }
    const decision = decideBackoff(context.backoffs.get(container.name), crashed.finishedAtMs, context.nowMs)
    if (!decision.wait) {
      start.push({ role, container, attempt, backoff: decision.next })
      continue
    }
    const message = `back-off ${formatGoSeconds(decision.delayMs)} restarting failed container=${container.name} pod=${formatPod(pod)}`
    wait.push({ name: container.name, untilMs: decision.untilMs, message })
  }
  return { killPod, createSandbox, kill: draft.kill, start, wait }
}

/** The runtime forgot its containers (a reboot, a reset): the API's count goes on. */
function previousRestarts(pod: Pod, name: string): number {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  const status = statuses.find((candidate) => candidate.name === name)
  const ran = status?.state?.running !== undefined || status?.state?.terminated !== undefined
  return status === undefined ? 0 : status.restartCount + (ran ? 1 : 0)
}
