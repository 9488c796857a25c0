import { isStatus, type Stored } from '@centaurus/api'
import { pods, type Binding, type Pod, type PodCondition } from '@centaurus/api/core/v1'
import type { Status } from '@centaurus/api/meta/v1'
import type { Client } from '@centaurus/client'
import { formatGpuAllocation, GPU_ALLOCATION_ANNOTATION } from '@centaurus/api/gpu'
import type { BindItem } from './binder.ts'

/** Gives the pod its node and its devices. Fails with Conflict when it has one. */
export async function bindPod(
  client: Client,
  { pod, nodeName, gpus }: Pick<BindItem, 'pod' | 'nodeName' | 'gpus'>,
): Promise<void> {
  const { namespace, name, uid } = pod.metadata
  const binding: Binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: {
      name,
      uid,
      ...(namespace === undefined ? {} : { namespace }),
      ...(gpus && { annotations: { [GPU_ALLOCATION_ANNOTATION]: formatGpuAllocation(gpus.allocation) } }),
    },
    target: { apiVersion: 'v1', kind: 'Node', name: nodeName },
  }
  await client.createSubresource<Binding, Status>(pods, { namespace, name }, 'binding', binding)
}

export interface UnschedulableReport {
  readonly message: string
  readonly nominatedNodeName: string | undefined
  readonly nowMs: number
}

/** Sets the PodScheduled condition and the nominated node, unless they say so already. */
export async function reportUnschedulable(
  client: Client,
  pod: Stored<Pod>,
  report: UnschedulableReport,
): Promise<void> {
  const current = pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled')
  const nominated = report.nominatedNodeName ?? pod.status?.nominatedNodeName
  if (current?.status === 'False' && current.message === report.message && nominated === pod.status?.nominatedNodeName)
    return
  const condition: PodCondition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message: report.message,
    lastTransitionTime: current?.status === 'False' ? current.lastTransitionTime : formatTime(report.nowMs),
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
  }
  await patchPodStatus(client, pod, {
    conditions: [condition],
    ...(nominated === undefined ? {} : { nominatedNodeName: nominated }),
  })
}

export interface EvictOptions {
  readonly schedulerName: string
  readonly nowMs: number
}

/** Marks the victims as disrupted and deletes them with their own grace. */
export async function evictVictims(
  client: Client,
  victims: readonly Stored<Pod>[],
  options: EvictOptions,
): Promise<void> {
  await Promise.all(victims.map((victim) => evictVictim(client, victim, options)))
}

async function evictVictim(client: Client, victim: Stored<Pod>, { schedulerName, nowMs }: EvictOptions): Promise<void> {
  const { namespace, name, uid } = victim.metadata
  const condition: PodCondition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'PreemptionByScheduler',
    message: `${schedulerName}: preempting to accommodate a higher priority pod`,
    lastTransitionTime: formatTime(nowMs),
  }
  await patchPodStatus(client, victim, { conditions: [condition] })
  await client.delete(pods, { namespace, name }, { preconditions: { uid } }).catch(ignoreNotFound)
}

async function patchPodStatus(client: Client, pod: Stored<Pod>, status: NonNullable<Pod['status']>): Promise<void> {
  const { namespace, name, uid } = pod.metadata
  await client
    .patch(
      pods,
      { namespace, name },
      { type: 'strategic', body: { metadata: { uid }, status } },
      { subresource: 'status' },
    )
    .catch(ignoreNotFound)
}

function ignoreNotFound(error: unknown): void {
  if (!isStatus(error, 'NotFound')) throw error
}

/** RFC 3339 with seconds, as Kubernetes' Time. */
function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
