import { deepEqual, type Stored } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'
import { GPU_CONSTRAINT_ANNOTATIONS, GPU_DEVICES_ANNOTATION } from '@centaurus/api/gpu'

/** Whether a pod of this phase has ended, and uses nothing any more. */
export function isTerminal(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

/** Whether two sets of labels are equal. */
export function sameLabels(
  a: Readonly<Record<string, string>> = {},
  b: Readonly<Record<string, string>> = {},
): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}

/** Objects are replaced and never changed, so an unchanged part often is the same value. */
function same(a: unknown, b: unknown): boolean {
  return a === b || deepEqual(a, b)
}

/** Whether the scheduler would treat both versions of a pod alike. */
export function sameScheduling(pod: Stored<Pod>, old: Stored<Pod>): boolean {
  return (
    same(pod.metadata.labels, old.metadata.labels) &&
    same(pod.spec, old.spec) &&
    sameConstraints(pod.metadata, old.metadata)
  )
}

/** Whether annotations of a pod want the same GPUs. */
function sameConstraints({ annotations: a }: Pod['metadata'], { annotations: b }: Pod['metadata']): boolean {
  return a === b || GPU_CONSTRAINT_ANNOTATIONS.every((name) => a?.[name] === b?.[name])
}

/** Whether both versions of a node take the same pods. */
export function sameCapacity(node: Stored<Node>, old: Stored<Node>): boolean {
  return (
    same(node.spec, old.spec) &&
    same(node.metadata.labels, old.metadata.labels) &&
    node.metadata.annotations?.[GPU_DEVICES_ANNOTATION] === old.metadata.annotations?.[GPU_DEVICES_ANNOTATION] &&
    same(node.status?.allocatable, old.status?.allocatable) &&
    same(node.status?.images, old.status?.images)
  )
}

/** The pod as it will be once it was told to go. */
export function asLeaving(pod: Stored<Pod>): Stored<Pod> {
  return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: pod.metadata.deletionTimestamp ?? 'soon' } }
}
