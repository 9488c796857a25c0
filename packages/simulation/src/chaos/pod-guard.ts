import { controllerOf, type KubeObject, type Stored } from '@centaurus/api'
import type { Job } from '@centaurus/api/batch/v1'
import type { Node, Pod } from '@centaurus/api/core/v1'
import type { Observation } from './observer.ts'
import { findOverload, isFinished } from './pod-facts.ts'

/** Watches every revision of pods for what must never be, not even for a moment. */
export interface PodGuard {
  observePod(event: Observation): void
  observeNode(event: Observation): void
  observeJob(event: Observation): void
  readonly problems: readonly string[]
  /** How many tasks of a job (by uid) ever succeeded; those that were deleted before they did need not count. */
  succeeded(jobUid: string): { readonly min: number; readonly max: number }
  /** Pods that were evicted because their node was silent for too long: uid → node. */
  readonly evicted: ReadonlyMap<string, string>
}

export function createPodGuard(): PodGuard {
  return new Guard()
}

class Guard implements PodGuard {
  readonly problems: string[] = []
  readonly evicted = new Map<string, string>()
  readonly #pods = new Map<string, Stored<Pod>>()
  readonly #nodes = new Map<string, Stored<Node>>()
  readonly #jobs = new Map<string, Stored<Job>>()
  /** Uid of the job → uid of the pod → whether it was being deleted by then. */
  readonly #succeeded = new Map<string, Map<string, boolean>>()

  observeNode({ type, object }: Observation): void {
    if (type !== 'DELETED') this.#nodes.set(object.metadata.name, object as Stored<Node>)
  }

  observeJob({ object }: Observation): void {
    this.#jobs.set(object.metadata.uid, object as Stored<Job>)
  }

  observePod({ type, object, isWatched }: Observation): void {
    const pod = object as Stored<Pod>
    const { uid } = pod.metadata
    const before = this.#pods.get(uid)
    if (before !== undefined) this.#checkStep(before, pod)
    this.#noteSuccess(pod)
    this.#noteEviction(pod)
    if (type === 'DELETED') return void this.#pods.delete(uid)
    this.#pods.set(uid, pod)
    if (!isWatched) return // a list shows the end of a story, not its middle
    const nodeName = pod.spec?.nodeName
    if (nodeName && nodeName !== before?.spec?.nodeName) this.#checkRoom(nodeName, pod)
    if (before === undefined) this.#checkParallelism(pod)
  }

  succeeded(jobUid: string): { readonly min: number; readonly max: number } {
    const tasks = [...(this.#succeeded.get(jobUid)?.values() ?? [])]
    return { min: tasks.filter((wasDeleted) => !wasDeleted).length, max: tasks.length }
  }

  #checkStep(before: Stored<Pod>, pod: Stored<Pod>): void {
    const was = before.spec?.nodeName
    if (was && pod.spec?.nodeName !== was) {
      this.#complain(pod, `moved from node ${was} to ${pod.spec?.nodeName ?? 'none'}`)
    }
    if (isFinished(before) && pod.status?.phase !== before.status?.phase) {
      this.#complain(pod, `was ${before.status?.phase} and became ${pod.status?.phase}`)
    }
    if (before.metadata.deletionTimestamp && !pod.metadata.deletionTimestamp) {
      this.#complain(pod, 'was being deleted and is not any more')
    }
  }

  #checkRoom(nodeName: string, pod: Stored<Pod>): void {
    const node = this.#nodes.get(nodeName)
    if (node === undefined) return this.#complain(pod, `was bound to unknown node ${nodeName}`)
    const there = [...this.#pods.values()].filter((other) => other.spec?.nodeName === nodeName && !isFinished(other))
    const overload = findOverload(node, there)
    if (overload.length > 0) this.#complain(pod, `made ${nodeName} too full: ${overload.join(', ')}`)
  }

  #checkParallelism(pod: Stored<Pod>): void {
    const owner = controllerOf(pod)
    const job = owner?.kind === 'Job' ? this.#jobs.get(owner.uid) : undefined
    const parallelism = job?.spec?.parallelism
    if (parallelism === undefined) return
    const active = [...this.#pods.values()].filter(
      (other) =>
        controllerOf(other)?.uid === owner!.uid && !isFinished(other) && other.metadata.deletionTimestamp === undefined,
    )
    if (active.length > parallelism) {
      const names = active.map(
        ({ metadata, status }) => `${metadata.name} (${metadata.resourceVersion} ${status?.phase})`,
      )
      this.#complain(pod, `is active with ${names.join(', ')} in a job with parallelism ${parallelism}`)
    }
  }

  #noteSuccess(pod: Stored<Pod>): void {
    const owner = controllerOf(pod)
    if (owner?.kind !== 'Job' || pod.status?.phase !== 'Succeeded') return
    const pods = this.#succeeded.get(owner.uid) ?? new Map<string, boolean>()
    this.#succeeded.set(owner.uid, pods)
    const { uid, deletionTimestamp } = pod.metadata
    if (!pods.has(uid)) pods.set(uid, deletionTimestamp !== undefined)
  }

  #noteEviction(pod: Stored<Pod>): void {
    const wasEvicted = pod.status?.conditions?.some(
      ({ type, reason }) =>
        type === 'DisruptionTarget' && (reason === 'DeletionByTaintManager' || reason === 'DeletionByPodGC'),
    )
    if (wasEvicted === true) this.evicted.set(pod.metadata.uid, pod.spec?.nodeName ?? '')
  }

  #complain({ metadata }: Stored<KubeObject>, what: string): void {
    this.problems.push(`pod ${metadata.namespace}/${metadata.name} (at ${metadata.resourceVersion}) ${what}`)
  }
}
