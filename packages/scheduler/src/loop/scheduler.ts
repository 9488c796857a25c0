import { type Stored } from '@centaurus/api'
import { nodes, pods, type Node, type Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createEventRecorder, type Client, type EventRecorder, type InformerFactory } from '@centaurus/client'
import { ClusterState } from '../core/cluster-state.ts'
import { decide, formatFitFailure, type FitFailure } from '../core/decide.ts'
import { compilePod, type PodRequirements } from '../core/pod-requirements.ts'
import { planPreemption } from '../core/preempt.ts'
import { SchedulingQueue } from '../core/scheduling-queue.ts'
import { planVolumes, type VolumeBinding, type VolumeLookups } from '../core/volumes.ts'
import { createCaches, type Caches } from './caches.ts'
import { VolumeBinder } from './volume-binder.ts'
import { bindPod, evictVictims, reportUnschedulable } from './writes.ts'

/** The scheduler that pods get when they name none. */
export const DEFAULT_SCHEDULER_NAME = 'default-scheduler'

/** Bindings that may be on their way to the API server at once. */
const BINDINGS_IN_FLIGHT_MAX = 128

export interface SchedulerDeps {
  readonly client: Client
  readonly informers: InformerFactory
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Pods whose `spec.schedulerName` is this are ours; default {@link DEFAULT_SCHEDULER_NAME}. */
  readonly name?: string | undefined
}

export interface RunningScheduler {
  /** Pods that wait for a node. */
  readonly pendingPods: number
  /** Stops taking pods, and waits for bindings in flight. */
  close(): Promise<void>
}

/** Starts placing pods on nodes. One at a time decides; bindings are written side by side. */
export function startScheduler(deps: SchedulerDeps): RunningScheduler {
  const scheduler = new Scheduler(deps)
  return scheduler
}

class Scheduler implements RunningScheduler {
  readonly #deps: SchedulerDeps
  readonly #name: string
  readonly #state = new ClusterState()
  readonly #queue: SchedulingQueue
  readonly #caches: Caches
  readonly #recorder: EventRecorder
  readonly #abort = new AbortController()
  readonly #removeHandlers: (() => void)[]
  readonly #bindings = new Set<Promise<void>>()
  /** Pods that have a node and wait for their volumes there. Others do not wait for them. */
  readonly #volumeWaits = new Set<Promise<void>>()
  readonly #volumes: VolumeBinder
  readonly #lookups: VolumeLookups
  /** Refusals on their way to a pod's status: a binding of the same pod must come after them. */
  readonly #reports = new Map<string, Promise<void>>()
  /** Pods that we bound and whose binding the cache does not show yet. */
  readonly #assumed = new Set<string>()
  /** Room kept for a pod whose victims are on their way out: uid of the pod → uid of its stand-in. */
  readonly #nominated = new Map<string, string>()
  readonly #loop: Promise<void>
  #startSlot = 0

  constructor(deps: SchedulerDeps) {
    this.#deps = deps
    this.#name = deps.name ?? DEFAULT_SCHEDULER_NAME
    this.#queue = new SchedulingQueue(deps.clock)
    this.#caches = createCaches(deps.informers)
    this.#volumes = new VolumeBinder({ ...deps, caches: this.#caches })
    this.#lookups = {
      ...this.#caches,
      isPromised: (name) => this.#volumes.isPromised(name),
      isUsedByOther: (namespace, name, uid) => this.#isUsedByOther(namespace, name, uid),
    }
    this.#recorder = createEventRecorder({ ...deps, component: this.#name })
    this.#removeHandlers = [
      deps.informers.informer(pods).addHandler({
        onAdd: (pod) => this.#podChanged(pod, undefined),
        onUpdate: (pod, old) => this.#podChanged(pod, old),
        onDelete: (pod) => this.#podGone(pod),
      }),
      deps.informers.informer(nodes).addHandler({
        onAdd: (node) => this.#nodeChanged(node, undefined),
        onUpdate: (node, old) => this.#nodeChanged(node, old),
        onDelete: (node) => this.#state.removeNode(node.metadata.name),
      }),
      ...this.#caches.onVolumeChange(() => this.#volumesChanged()),
    ]
    this.#loop = this.#run()
  }

  get pendingPods(): number {
    return this.#queue.size
  }

  async close(): Promise<void> {
    for (const remove of this.#removeHandlers) remove()
    this.#abort.abort(new Error('Scheduler closed'))
    this.#queue.close()
    await this.#loop
    await Promise.allSettled(this.#volumeWaits)
    await Promise.allSettled(this.#bindings)
    await this.#recorder.close()
  }

  async #run(): Promise<void> {
    try {
      await this.#deps.informers.whenSynced(this.#abort.signal)
    } catch {
      return // closed before the first list came
    }
    for (let next = await this.#queue.take(); next !== undefined; next = await this.#queue.take()) {
      const pod = this.#caches.podByUid(next.uid)
      if (pod === undefined || !this.#isOurs(pod)) this.#queue.done(next.uid)
      else this.#schedule(pod)
      while (this.#bindings.size >= BINDINGS_IN_FLIGHT_MAX) await Promise.race(this.#bindings)
    }
  }

  #isOurs(pod: Stored<Pod>): boolean {
    const { spec, metadata, status } = pod
    return (
      (spec?.schedulerName ?? DEFAULT_SCHEDULER_NAME) === this.#name &&
      !spec?.nodeName &&
      metadata.deletionTimestamp === undefined &&
      !isTerminal(status?.phase) &&
      (spec?.schedulingGates ?? []).length === 0
    )
  }

  #schedule(pod: Stored<Pod>): void {
    const { uid } = pod.metadata
    this.#releaseNomination(uid)
    const volumes = planVolumes(pod, this.#lookups)
    if (volumes.type !== 'ready') {
      return this.#refuse(pod, formatVolumeRefusal(this.#state.nodeCount, volumes))
    }
    const requirements = this.#compile(pod, { volumeNodes: volumes.nodes, volumeChoice: volumes.choice })
    const decision = decide(this.#state, requirements, {
      startSlot: this.#startSlot,
      tieBreak: () => this.#deps.random.next(),
    })
    if (decision.type === 'refuse') return this.#preemptOrRefuse(pod, requirements, decision.failure)
    this.#startSlot =
      this.#state.slotCount === 0 ? 0 : (this.#startSlot + decision.evaluatedNodes) % this.#state.slotCount
    this.#state.putPod(requirements, decision.nodeName)
    this.#assumed.add(uid)
    const nodeLabels = this.#state.labels[this.#state.slotOf(decision.nodeName) ?? -1] ?? {}
    const bindings = volumes.choice?.bindingsOn(nodeLabels, decision.nodeName) ?? []
    if (bindings.length === 0) return this.#track(this.#bind(pod, decision.nodeName))
    const placed = this.#bind(pod, decision.nodeName, { bindings, nodeLabels })
    const waiting: Promise<void> = placed.finally(() => this.#volumeWaits.delete(waiting))
    this.#volumeWaits.add(waiting)
  }

  #compile(
    pod: Stored<Pod>,
    volumes: Pick<Parameters<typeof compilePod>[1], 'volumeNodes' | 'volumeChoice'> = {},
  ): PodRequirements {
    return compilePod(pod, {
      index: this.#state.resources,
      namespaceLabels: this.#caches.namespaceLabels,
      ...volumes,
    })
  }

  #isUsedByOther(namespace: string, name: string, podUid: string): boolean {
    return this.#caches
      .podsUsing(namespace, name)
      .some(
        ({ metadata: { uid }, spec, status }) =>
          uid !== podUid && (Boolean(spec?.nodeName) || this.#assumed.has(uid)) && !isTerminal(status?.phase),
      )
  }

  #volumesChanged(): void {
    this.#volumes.notify()
    this.#queue.moveAll()
  }

  /** Never rejects. */
  async #bind(
    pod: Stored<Pod>,
    nodeName: string,
    volumes?: { readonly bindings: readonly VolumeBinding[]; readonly nodeLabels: Readonly<Record<string, string>> },
  ): Promise<void> {
    const { uid, namespace, name } = pod.metadata
    try {
      if (volumes !== undefined) await this.#bindVolumes(pod, nodeName, volumes)
      await this.#reports.get(uid)
      await bindPod(this.#deps.client, pod, nodeName)
      this.#queue.done(uid)
      this.#recorder.record(pod, {
        type: 'Normal',
        reason: 'Scheduled',
        message: `Successfully assigned ${namespace}/${name} to ${nodeName}`,
      })
    } catch (error) {
      if (this.#abort.signal.aborted) return
      this.#assumed.delete(uid)
      const cached = this.#caches.podByUid(uid)
      if (cached?.spec?.nodeName) return this.#podChanged(cached, undefined) // somebody bound it meanwhile
      this.#state.removePod(uid)
      this.#queue.fail(uid, { park: false })
      this.#deps.logger.warn('Could not bind Pod', { pod: `${namespace}/${name}`, node: nodeName, error })
    }
  }

  async #bindVolumes(
    pod: Stored<Pod>,
    nodeName: string,
    volumes: { readonly bindings: readonly VolumeBinding[]; readonly nodeLabels: Readonly<Record<string, string>> },
  ): Promise<void> {
    try {
      await this.#volumes.bind({ pod, nodeName, ...volumes }, this.#abort.signal)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      const message = `running PreBind plugin "VolumeBinding": binding volumes: ${why}`
      if (!this.#abort.signal.aborted && this.#caches.podByUid(pod.metadata.uid) !== undefined)
        this.#recorder.record(pod, { type: 'Warning', reason: 'FailedScheduling', message })
      throw new Error(message, { cause })
    }
  }

  #refuse(pod: Stored<Pod>, message: string, nominatedNodeName?: string): void {
    this.#queue.fail(pod.metadata.uid, { park: true })
    this.#recorder.record(pod, { type: 'Warning', reason: 'FailedScheduling', message })
    const { uid } = pod.metadata
    const report = reportUnschedulable(this.#deps.client, pod, {
      message,
      nominatedNodeName,
      nowMs: this.#deps.clock.now(),
    })
    const settled = report
      .catch(() => {}) // logged where it is tracked
      .finally(() => {
        if (this.#reports.get(uid) === settled) this.#reports.delete(uid)
      })
    this.#reports.set(uid, settled)
    this.#track(report)
  }

  #preemptOrRefuse(pod: Stored<Pod>, requirements: PodRequirements, failure: FitFailure): void {
    const message = formatFitFailure(failure)
    const plan = planPreemption(this.#state, requirements, {
      slots: failure.resolvable,
      isProtected: (uid) => this.#caches.isProtected(uid),
    })
    if (plan === undefined) {
      const suffix =
        failure.nodeCount === 0
          ? ''
          : ` preemption: 0/${failure.nodeCount} nodes are available: ${preemptionReasons(failure)}.`
      return this.#refuse(pod, `${message}${suffix}`)
    }
    const standIn = `nominated/${requirements.uid}`
    this.#nominated.set(requirements.uid, standIn)
    this.#state.putPod({ ...requirements, uid: standIn }, plan.nodeName)
    this.#refuse(pod, message, plan.nodeName)
    const victims = plan.victims.flatMap((victim) => this.#caches.podByUid(victim.uid) ?? [])
    for (const victim of victims) {
      this.#recorder.record(victim, {
        type: 'Normal',
        reason: 'Preempted',
        message: `Preempted by pod ${requirements.uid} on node ${plan.nodeName}`,
      })
    }
    this.#track(evictVictims(this.#deps.client, victims, { schedulerName: this.#name, nowMs: this.#deps.clock.now() }))
  }

  #releaseNomination(uid: string): void {
    const standIn = this.#nominated.get(uid)
    if (standIn === undefined) return
    this.#nominated.delete(uid)
    this.#state.removePod(standIn)
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => {
        if (!this.#abort.signal.aborted) this.#deps.logger.warn('Could not write a scheduling result', { error })
      })
      .finally(() => this.#bindings.delete(tracked))
    this.#bindings.add(tracked)
  }

  #podChanged(pod: Stored<Pod>, old: Stored<Pod> | undefined): void {
    const { uid } = pod.metadata
    const nodeName = pod.spec?.nodeName
    if (isTerminal(pod.status?.phase)) return this.#podGone(pod)
    if (nodeName) {
      this.#assumed.delete(uid)
      this.#queue.done(uid)
      this.#releaseNomination(uid)
      const unchanged = old !== undefined && old.spec?.nodeName === nodeName && sameScheduling(pod, old)
      if (unchanged && this.#state.placement(uid) !== undefined) return
      this.#state.putPod(this.#compile(pod), nodeName)
      if (old?.spec?.nodeName !== undefined) this.#queue.moveAll()
      return
    }
    if (this.#assumed.has(uid)) return
    if (!this.#isOurs(pod)) return this.#queue.delete(uid)
    if (old !== undefined && sameScheduling(pod, old) && this.#isOurs(old)) return // only its status changed
    this.#queue.add({ uid, priority: pod.spec?.priority ?? 0, createdMs: Date.parse(pod.metadata.creationTimestamp) })
  }

  #podGone(pod: Stored<Pod>): void {
    const { uid } = pod.metadata
    this.#assumed.delete(uid)
    this.#queue.delete(uid)
    this.#releaseNomination(uid)
    const wasPlaced = this.#state.placement(uid) !== undefined
    this.#state.removePod(uid)
    this.#volumes.notify()
    if (wasPlaced) this.#queue.moveAll()
  }

  #nodeChanged(node: Stored<Node>, old: Stored<Node> | undefined): void {
    if (old !== undefined && sameCapacity(node, old)) return
    this.#state.putNode(node)
    this.#queue.moveAll()
  }
}

function isTerminal(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

/** Objects are replaced and never changed, so an unchanged part often is the same value; text settles the rest. */
function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

function sameScheduling(pod: Stored<Pod>, old: Stored<Pod>): boolean {
  return same(pod.metadata.labels, old.metadata.labels) && same(pod.spec, old.spec)
}

function sameCapacity(node: Stored<Node>, old: Stored<Node>): boolean {
  return (
    same(node.spec, old.spec) &&
    same(node.metadata.labels, old.metadata.labels) &&
    same(node.status?.allocatable, old.status?.allocatable) &&
    same(node.status?.images, old.status?.images)
  )
}

/** Source of the form: framework.FitError.Error, v1.37: what refuses the pod before nodes are looked at has no count. */
function formatVolumeRefusal(
  nodeCount: number,
  refusal: { type: 'waiting'; message: string } | { type: 'refused'; reason: string },
): string {
  if (nodeCount === 0) return 'no nodes available to schedule pods'
  const head = `0/${nodeCount} nodes are available: `
  const why = refusal.type === 'waiting' ? refusal.message : `${nodeCount} ${refusal.reason}`
  return `${head}${why}. preemption: ${head}${nodeCount} Preemption is not helpful for scheduling.`
}

function preemptionReasons({ nodeCount, resolvable }: FitFailure): string {
  const hopeless = nodeCount - resolvable.length
  const parts = [
    resolvable.length > 0 ? `${resolvable.length} No preemption victims found for incoming pod` : '',
    hopeless > 0 ? `${hopeless} Preemption is not helpful for scheduling` : '',
  ]
  return parts.filter((part) => part !== '').join(', ')
}
