import { formatTime } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'

/** Where a pod runs, for its status. */
export interface PodPlace {
  readonly hostIP: string
  readonly podIP: string
  readonly nowMs: number
  /** When its containers started; for a pod that ends. */
  readonly startedMs: number
}

type Stage =
  /** The sandbox is being made. */
  | { readonly type: 'creating' }
  | { readonly type: 'running' }
  /** Its containers ended with this code. */
  | { readonly type: 'ended'; readonly exitCode: number }

/**
 * The patch that a kubelet sends to `pods/NAME/status`, a strategic merge patch guarded by the uid. Source of the form: kubelet
 * status manager and our node agent's.
 */
export function podStatusBody(pod: Pod, stage: Stage, place: PodPlace): string {
  const { uid, generation } = pod.metadata
  const now = formatTime(place.nowMs)
  const observed = generation === undefined ? {} : { observedGeneration: generation }
  const status = {
    ...observed,
    phase: phaseOf(stage),
    conditions: conditionsOf(stage).map((condition) => ({ ...condition, ...observed, lastTransitionTime: now })),
    hostIP: place.hostIP,
    hostIPs: [{ ip: place.hostIP }],
    startTime: formatTime(place.startedMs),
    ...(stage.type === 'creating' ? {} : { podIP: place.podIP, podIPs: [{ ip: place.podIP }] }),
    containerStatuses: (pod.spec?.containers ?? []).map((container) => ({
      name: container.name,
      image: container.image ?? '',
      lastState: {},
      restartCount: 0,
      ...containerOf(stage, uid ?? '', place),
    })),
  }
  return JSON.stringify({ metadata: { uid }, status })
}

function phaseOf(stage: Stage): string {
  if (stage.type === 'creating') return 'Pending'
  if (stage.type === 'running') return 'Running'
  return stage.exitCode === 0 ? 'Succeeded' : 'Failed'
}

const WAITS = { status: 'False', reason: 'ContainersNotReady', message: 'containers are not ready' }

function conditionsOf(stage: Stage): { type: string; status: string; reason?: string; message?: string }[] {
  const ended = stage.type === 'ended' ? { status: 'False', reason: 'PodCompleted' } : { status: 'True' }
  const ready = stage.type === 'creating' ? WAITS : ended
  return [
    { type: 'PodReadyToStartContainers', status: stage.type === 'running' ? 'True' : 'False' },
    { type: 'Initialized', status: 'True' },
    { type: 'Ready', ...ready },
    { type: 'ContainersReady', ...ready },
  ]
}

function containerOf(stage: Stage, uid: string, { startedMs, nowMs }: PodPlace): object {
  const imageID =
    'registry.example.com/simulated@sha256:0000000000000000000000000000000000000000000000000000000000000000'
  const containerID = `simulated://${uid}`
  switch (stage.type) {
    case 'creating':
      return { ready: false, started: false, imageID: '', state: { waiting: { reason: 'ContainerCreating' } } }
    case 'running':
      return {
        ready: true,
        started: true,
        imageID,
        containerID,
        state: { running: { startedAt: formatTime(startedMs) } },
      }
    case 'ended': {
      const { exitCode } = stage
      const times = { startedAt: formatTime(startedMs), finishedAt: formatTime(nowMs) }
      const terminated = { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', ...times, containerID }
      return { ready: false, started: false, imageID, containerID, state: { terminated } }
    }
  }
}

/** An Event as a kubelet posts it. */
export function podEventBody(
  pod: Pod,
  node: string,
  { reason, message, nowMs }: { readonly reason: string; readonly message: string; readonly nowMs: number },
): string {
  const { name = '', namespace = '', uid, resourceVersion } = pod.metadata
  const time = formatTime(nowMs)
  return JSON.stringify({
    kind: 'Event',
    apiVersion: 'v1',
    metadata: { name: `${name}.${eventSuffix(nowMs)}`, namespace },
    involvedObject: {
      kind: 'Pod',
      apiVersion: 'v1',
      name,
      namespace,
      uid,
      resourceVersion,
      fieldPath: `spec.containers{${pod.spec?.containers?.[0]?.name ?? ''}}`,
    },
    reason,
    message,
    source: { component: 'kubelet', host: node },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
    type: 'Normal',
    eventTime: null,
    reportingComponent: 'kubelet',
    reportingInstance: node,
  })
}

let events = 0

/** Names of events are times in hexadecimal upstream; a number keeps those of one moment apart. */
function eventSuffix(nowMs: number): string {
  events = (events + 1) % 0x10_0000
  return `${nowMs.toString(16)}${events.toString(16).padStart(5, '0')}`
}

/** What a kubelet sends when the containers of a deleted pod are gone. */
export function podDeleteBody(uid: string): string {
  return `{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{"uid":"${uid}"}}`
}
