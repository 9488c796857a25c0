import {
  isControlledBy,
  isPodReady,
  isPodTerminal,
  isStatus,
  objectKey,
  ownerReferenceTo,
  parseTime,
  podCondition,
  type KubeObject,
  type Stored,
  StatusError,
} from '@centaurus/api'
import { pods, type Pod, type PodTemplateSpec } from '@centaurus/api/core/v1'
import type { Informer } from '@centaurus/client'
import { nameOf } from './claim.ts'
import type { ReconcilerContext } from './controller.ts'

/** Source: SlowStartInitialBatchSize, pkg/controller/controller_utils.go v1.37. */
const SLOW_START_BATCH = 1
/** Source: validation.GeneratedNameMaxLength… pods' prefix keeps room for the random suffix. */
const PREFIX_LENGTH_MAX = 253 - 5

export function isPodTerminating(pod: Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp !== undefined
}

/** Ready for at least `minReadySeconds`. Source: IsPodAvailable, pkg/api/v1/pod/util.go v1.37. */
export function isPodAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  if (!isPodReady(pod)) return false
  if (minReadySeconds === 0) return true
  const sinceMs = readySinceMs(pod)
  return sinceMs !== undefined && sinceMs + minReadySeconds * 1000 <= nowMs
}

/** When the pod became ready; undefined when it is not or does not say. */
export function readySinceMs(pod: Pod): number | undefined {
  const condition = podCondition(pod, 'Ready')
  return condition?.status === 'True' ? timeMs(condition.lastTransitionTime) : undefined
}

/** Milliseconds until the first of these ready pods counts as available; undefined when none is waiting. */
export function nextAvailableInMs(list: readonly Pod[], minReadySeconds: number, nowMs: number): number | undefined {
  let next: number | undefined
  for (const pod of list) {
    const sinceMs = readySinceMs(pod)
    if (sinceMs === undefined) continue
    const leftMs = sinceMs + minReadySeconds * 1000 - nowMs
    if (leftMs > 0 && (next === undefined || leftMs < next)) next = leftMs
  }
  return next
}

export function timeMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseTime(text)
}

/** A pod of the template, controlled by `owner`. Source: GetPodFromTemplate, pkg/controller/controller_utils.go v1.37. */
export function buildPod(template: PodTemplateSpec, owner: KubeObject): Pod {
  const { labels, annotations, finalizers } = template.metadata ?? {}
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: owner.metadata.namespace,
      generateName: `${(owner.metadata.name ?? '').slice(0, PREFIX_LENGTH_MAX)}-`,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(finalizers === undefined ? {} : { finalizers }),
      ownerReferences: [ownerReferenceTo(owner)],
    },
    spec: template.spec!,
  }
}

export interface PodWriter {
  readonly context: ReconcilerContext
  readonly key: string
  readonly informer: Informer<Pod>
  /** Gets the events. */
  readonly owner: Stored<KubeObject>
}

/**
 * Creates a pod and tells of it in an event. Throws what the server says. When the answer says nothing about what happened, the key rests until
 * its informer shows the pods that were made all the same: the next round would make them again, under other names.
 */
export async function createPod(writer: PodWriter, pod: Pod): Promise<Stored<Pod>> {
  const { context, key, informer, owner } = writer
  try {
    const created = await context.client.create(pods, pod)
    context.writes.wrote(key, informer, created)
    context.events.record(owner, {
      type: 'Normal',
      reason: 'SuccessfulCreate',
      message: `Created pod: ${created.metadata.name}`,
    })
    return created
  } catch (error) {
    if (!isNamespaceTerminating(error)) {
      context.events.record(owner, {
        type: 'Warning',
        reason: 'FailedCreate',
        message: `Error creating: ${messageOf(error)}`,
      })
    }
    if (isUnanswered(error)) await awaitUnseenPods(writer).catch(() => {}) // no worse than not having asked
    throw error
  }
}

/** The server may have done it: nobody said that it did not. */
function isUnanswered(error: unknown): boolean {
  return !(error instanceof StatusError) || isStatus(error, 'Timeout') || isStatus(error, 'InternalError')
}

async function awaitUnseenPods({ context, key, informer, owner }: PodWriter): Promise<void> {
  const { items } = await context.client.list(pods, { namespace: owner.metadata.namespace })
  for (const pod of items) {
    if (!isControlledBy(pod, owner) || informer.get(objectKey(pod))?.metadata.uid === pod.metadata.uid) continue
    context.writes.wrote(key, informer, pod)
  }
}

/** Creates in batches that double while all goes well, so that a quota refuses few. Throws the first failure; a namespace that ends is none. */
export async function createPodsSlowly(writer: PodWriter, list: readonly Pod[]): Promise<void> {
  for (let at = 0, size = SLOW_START_BATCH; at < list.length; size *= 2) {
    const batch = list.slice(at, at + size)
    const results = await Promise.allSettled(batch.map((pod) => createPod(writer, pod)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined && !isNamespaceTerminating(failed.reason)) throw failed.reason
    at += batch.length
  }
}

/** Deletes a pod and tells of it in an event; one that is gone already is fine. */
export async function deletePod({ context, key, informer, owner }: PodWriter, pod: Stored<Pod>): Promise<void> {
  try {
    await context.client.delete(pods, nameOf(pod), { preconditions: { uid: pod.metadata.uid } })
    context.writes.deleted(key, informer, pod)
    context.events.record(owner, {
      type: 'Normal',
      reason: 'SuccessfulDelete',
      message: `Deleted pod: ${pod.metadata.name}`,
    })
  } catch (error) {
    if (isStatus(error, 'NotFound')) return context.writes.deleted(key, informer, pod)
    context.events.record(owner, {
      type: 'Warning',
      reason: 'FailedDelete',
      message: `Error deleting: ${messageOf(error)}`,
    })
    throw error
  }
}

/** Deletes all at the same time. Throws the first failure when all were tried. */
export async function deletePods(writer: PodWriter, list: readonly Stored<Pod>[]): Promise<void> {
  const results = await Promise.allSettled(list.map((pod) => deletePod(writer, pod)))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** The namespace is being deleted, so nothing can be created in it. Source: v1.NamespaceTerminatingCause. */
export function isNamespaceTerminating(error: unknown): boolean {
  return (
    error instanceof StatusError &&
    (error.details?.causes ?? []).some((cause) => cause.reason === 'NamespaceTerminating')
  )
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
