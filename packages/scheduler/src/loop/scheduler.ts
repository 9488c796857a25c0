import { setImmediate as yieldToOthers } from 'node:timers/promises'
import { type Stored } from '@centaurus/api'
import { nodes, pods, type Node, type Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createEventRecorder, type Client, type EventRecorder, type InformerFactory } from '@centaurus/client'
import { ClusterState } from '../core/cluster-state.ts'
import type { ForeignUseChange, ForeignUseSource } from '../core/foreign-use.ts'
import { decide, formatFitFailure, type FitFailure, type PodVolumes } from '../core/decide.ts'
import { PodCompiler } from '../core/pod-compiler.ts'
import type { PodRequirements } from '../core/pod-requirements.ts'
import { planPreemption } from '../core/preempt.ts'
import { QueueingHints } from '../core/queueing-hints.ts'
import { SchedulingQueue } from '../core/scheduling-queue.ts'
import { planVolumes, type VolumeBinding, type VolumeLookups } from '../core/volumes.ts'
import { createCaches, type Caches } from './caches.ts'
import { createClientBinder, type Binder, type BindItem, type BindResult } from './binder.ts'
import { BindingBatches } from './binding-batches.ts'
import { isTerminal, sameCapacity, sameScheduling } from './compare.ts'
import { InFlight } from './in-flight.ts'
import { Nominations } from './nominations.ts'
import { formatPreemptionFailure, formatVolumeRefusal } from './messages.ts'
import { VolumeBinder } from './volume-binder.ts'
import { evictVictims, reportUnschedulable } from './writes.ts'

/** The scheduler that pods get when they name none. */
export const DEFAULT_SCHEDULER_NAME = 'default-scheduler'

/** Statuses and evictions that may be on their way to the API server at once. */
const WRITES_IN_FLIGHT_MAX = 128
/** Decisions after which timers and sockets get their turn. */
const DECISIONS_PER_TURN = 128
/** Nodes that may refuse a pod, one after the other, before it rests. */
const REFUSALS_MAX = 8

export interface SchedulerDeps {
  readonly client: Client
  readonly informers: InformerFactory
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Pods whose `spec.schedulerName` is this are ours; default {@link DEFAULT_SCHEDULER_NAME}. */
  readonly name?: string | undefined
  /** How decisions are made real; default: Bindings written through {@link client}. */
  readonly binder?: Binder | undefined
  /** What schedulers of other partitions use of the nodes; default: nothing. */
  readonly foreignUse?: ForeignUseSource | undefined
}

/** Pods that any change may help. */
const ANY_CHANGE = ''

/** Why a pod gets no node now. */
interface PodRefusal {
  readonly message: string
  readonly nominatedNodeName?: string | undefined
  /** What a change must help; absent: any change may help. */
  readonly requirements?: PodRequirements | undefined
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
  readonly #compiler: PodCompiler
  readonly #queue: SchedulingQueue
  readonly #caches: Caches
  readonly #recorder: EventRecorder
  readonly #abort = new AbortController()
  readonly #removeHandlers: (() => void)[]
  readonly #bindings: BindingBatches
  /** Statuses and evictions under way. */
  readonly #writes: InFlight
  /** Pods that have a node and wait for their volumes there. Others do not wait for them. */
  readonly #volumeWaits = new Set<Promise<void>>()
  readonly #volumes: VolumeBinder
  readonly #lookups: VolumeLookups
  /** Refusals on their way to a pod's status: a binding of the same pod must come after them. */
  readonly #reports = new Map<string, Promise<void>>()
  /** Pods that we bound and whose binding the cache does not show yet. */
  readonly #assumed = new Set<string>()
  readonly #nominations = new Nominations()
  readonly #hints = new QueueingHints(this.#state)
  /** What parked pods of a group require. */
  readonly #parked = new Map<string, PodRequirements>()
  #isMoving = false
  /** Nodes whose owners refused a pod in its present try, by uid. */
  readonly #refusedBy = new Map<string, Set<string>>()
  readonly #loop: Promise<void>
  #startSlot = 0

  constructor(deps: SchedulerDeps) {
    this.#deps = deps
    this.#name = deps.name ?? DEFAULT_SCHEDULER_NAME
    this.#queue = new SchedulingQueue(deps.clock)
    this.#caches = createCaches(deps.informers)
    this.#compiler = new PodCompiler({
      index: this.#state.resources,
      namespaceLabels: this.#caches.namespaceLabels,
    })
    this.#volumes = new VolumeBinder({ ...deps, caches: this.#caches })
    this.#lookups = {
      ...this.#caches,
      isPromised: (name) => this.#volumes.isPromised(name),
      isUsedByOther: (namespace, name, uid) => this.#isUsedByOther(namespace, name, uid),
    }
    this.#bindings = new BindingBatches({
      binder: deps.binder ?? createClientBinder(deps.client),
      onResult: (item, result) => this.#settle(item, result),
    })
    this.#writes = new InFlight({
      max: WRITES_IN_FLIGHT_MAX,
      onError: (error) => {
        if (!this.#abort.signal.aborted) deps.logger.warn('Could not write a scheduling result', { error })
      },
    })
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
        onDelete: (node) => this.#nodeGone(node.metadata.name),
      }),
      ...this.#caches.onVolumeChange(() => this.#volumesChanged()),
      deps.foreignUse?.subscribe((changes) => this.#foreignUseChanged(changes)) ?? (() => {}),
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
    await this.#writes.drain() // a binding may wait for one of them
    await this.#bindings.drain()
    await this.#recorder.close()
  }

  async #run(): Promise<void> {
    try {
      await this.#deps.informers.whenSynced(this.#abort.signal)
    } catch {
      return // closed before the first list came
    }
    for (let turn = 1; ; turn++) {
      this.#moveHelped()
      if (!this.#queue.hasReady) this.#bindings.flush()
      const next = await this.#queue.take()
      if (next === undefined) return
      const pod = this.#caches.podByUid(next.uid)
      if (pod === undefined || !this.#isOurs(pod)) this.#queue.done(next.uid)
      else this.#trySchedule(pod)
      await this.#bindings.whenRoom()
      await this.#writes.whenRoom()
      if (turn % DECISIONS_PER_TURN === 0) await yieldToOthers()
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

  /** A pod that cannot be understood must not keep the others waiting. */
  #trySchedule(pod: Stored<Pod>): void {
    try {
      this.#schedule(pod)
    } catch (error) {
      const { uid, namespace, name } = pod.metadata
      this.#queue.fail(uid, { park: true })
      this.#deps.logger.error('Could not schedule Pod', { pod: `${namespace}/${name}`, error })
    }
  }

  #schedule(pod: Stored<Pod>): void {
    const { uid } = pod.metadata
    this.#releaseNomination(uid)
    const volumes = planVolumes(pod, this.#lookups)
    if (volumes.type !== 'ready') {
      return this.#refuse(pod, { message: formatVolumeRefusal(this.#state.nodeCount, volumes) })
    }
    const requirements = this.#compiler.requirements(pod)
    const hasVolumes = volumes.nodes.length > 0 || volumes.choice !== undefined
    const podVolumes = hasVolumes ? volumes : undefined
    const decision = decide(this.#state, requirements, {
      startSlot: this.#startSlot,
      tieBreak: () => this.#deps.random.next(),
      avoid: this.#refusedBy.get(uid),
      volumes: podVolumes,
    })
    if (decision.type === 'refuse')
      return this.#preemptOrRefuse(pod, { requirements, failure: decision.failure, volumes: podVolumes })
    this.#startSlot = decision.nextSlot
    this.#state.putPod(uid, requirements.footprint, decision.nodeName)
    this.#assumed.add(uid)
    const item: BindItem = {
      pod,
      nodeName: decision.nodeName,
      requests: this.#state.resources.toAmounts(requirements.footprint.requests),
      ports: requirements.footprint.hostPorts,
    }
    const nodeLabels = this.#state.nodes.labels[this.#state.slotOf(decision.nodeName) ?? -1] ?? {}
    const bindings = volumes.choice?.bindingsOn(nodeLabels, decision.nodeName) ?? []
    if (bindings.length === 0) return this.#bind(item)
    const waiting: Promise<void> = this.#bindAfterVolumes(item, { bindings, nodeLabels }).finally(() =>
      this.#volumeWaits.delete(waiting),
    )
    this.#volumeWaits.add(waiting)
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
    this.#queue.moveGroup(ANY_CHANGE)
  }

  /** A refusal of the pod that is still on its way to its status comes first. */
  #bind(item: BindItem): void {
    const report = this.#reports.get(item.pod.metadata.uid)
    if (report === undefined) return this.#bindings.add(item)
    const bindLater = (): void => {
      this.#bindings.add(item)
      this.#bindings.flush()
    }
    this.#writes.add(report.then(bindLater))
  }

  /** Never rejects. */
  async #bindAfterVolumes(
    item: BindItem,
    volumes: { readonly bindings: readonly VolumeBinding[]; readonly nodeLabels: Readonly<Record<string, string>> },
  ): Promise<void> {
    try {
      await this.#bindVolumes(item.pod, item.nodeName, volumes)
      this.#bind(item)
      this.#bindings.flush()
    } catch (error) {
      this.#settle(item, { type: 'failed', error: error as Error })
    }
  }

  #settle({ pod, nodeName }: BindItem, result: BindResult): void {
    const { uid, namespace, name } = pod.metadata
    if (result.type === 'bound') {
      this.#queue.done(uid)
      this.#refusedBy.delete(uid)
      const message = `Successfully assigned ${namespace}/${name} to ${nodeName}`
      return this.#recorder.record(pod, { type: 'Normal', reason: 'Scheduled', message })
    }
    if (this.#abort.signal.aborted) return
    this.#assumed.delete(uid)
    const cached = this.#caches.podByUid(uid)
    if (cached?.spec?.nodeName) return this.#podChanged(cached, undefined) // somebody bound it meanwhile
    this.#state.removePod(uid)
    this.#noteNode(nodeName)
    const pair = { pod: `${namespace}/${name}`, node: nodeName }
    if (result.type === 'refused') {
      const refusedBy = this.#refusedBy.get(uid) ?? new Set<string>()
      this.#refusedBy.set(uid, refusedBy.add(nodeName))
      this.#deps.logger.debug('Node refused Pod', { ...pair, reason: result.reason })
      if (refusedBy.size < REFUSALS_MAX) return this.#queue.retry(uid)
    } else {
      this.#deps.logger.warn('Could not bind Pod', { ...pair, error: result.error })
    }
    this.#refusedBy.delete(uid)
    this.#queue.fail(uid, { park: false })
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

  #refuse(pod: Stored<Pod>, { message, nominatedNodeName, requirements }: PodRefusal): void {
    const group = requirements?.key ?? ANY_CHANGE
    if (requirements !== undefined) this.#parked.set(group, requirements)
    // Who refused it may have room again without our hearing of it.
    this.#queue.fail(pod.metadata.uid, { park: !this.#refusedBy.delete(pod.metadata.uid), group })
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
    this.#writes.add(report)
  }

  #preemptOrRefuse(
    pod: Stored<Pod>,
    {
      requirements,
      failure,
      volumes,
    }: { requirements: PodRequirements; failure: FitFailure; volumes?: PodVolumes | undefined },
  ): void {
    const { uid } = pod.metadata
    const message = formatFitFailure(failure)
    const plan = planPreemption(this.#state, requirements, {
      slots: failure.resolvable,
      isProtected: (victim) => this.#caches.isProtected(victim),
      volumes,
    })
    const own = volumes === undefined ? requirements : undefined
    if (plan === undefined)
      return this.#refuse(pod, { message: `${message}${formatPreemptionFailure(failure)}`, requirements: own })
    this.#state.putPod(this.#nominations.add(uid, plan.nodeName), requirements.footprint, plan.nodeName)
    this.#refuse(pod, { message, nominatedNodeName: plan.nodeName, requirements: own })
    const victims = plan.victims.flatMap((victim) => this.#caches.podByUid(victim.uid) ?? [])
    for (const victim of victims) {
      this.#recorder.record(victim, {
        type: 'Normal',
        reason: 'Preempted',
        message: `Preempted by pod ${uid} on node ${plan.nodeName}`,
      })
    }
    this.#writes.add(
      evictVictims(this.#deps.client, victims, { schedulerName: this.#name, nowMs: this.#deps.clock.now() }),
    )
  }

  #releaseNomination(uid: string): void {
    const nomination = this.#nominations.remove(uid)
    if (nomination === undefined) return
    this.#state.removePod(nomination.standIn)
    this.#noteNode(nomination.nodeName)
  }

  #foreignUseChanged(changes: readonly ForeignUseChange[]): void {
    for (const change of changes) {
      this.#state.setForeignUse(change.nodeName, change)
      this.#noteNode(change.nodeName)
    }
  }

  /** Pods that wait may fit there now. Many such news are looked at together. */
  #noteNode(name: string): void {
    this.#hints.noteNode(name)
    this.#moveSoon()
  }

  #moveSoon(): void {
    if (this.#isMoving) return
    this.#isMoving = true
    queueMicrotask(() => this.#moveHelped())
  }

  /** Gives pods another try that what changed could help. */
  #moveHelped(): void {
    this.#isMoving = false
    if (this.#hints.isEmpty) return
    for (const group of this.#queue.parkedGroups) {
      const requirements = this.#parked.get(group)
      if (requirements === undefined || this.#hints.mayHelp(requirements)) this.#queue.moveGroup(group)
    }
    this.#hints.clear()
    const waiting = new Set(this.#queue.parkedGroups)
    for (const group of this.#parked.keys()) if (!waiting.has(group)) this.#parked.delete(group)
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
      this.#state.putPod(uid, this.#compiler.footprint(pod), nodeName)
      this.#noteNode(nodeName)
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
    this.#refusedBy.delete(uid)
    this.#queue.delete(uid)
    this.#releaseNomination(uid)
    const placement = this.#state.placement(uid)
    this.#state.removePod(uid)
    this.#volumes.notify()
    if (placement === undefined) return
    this.#noteNode(placement.nodeName)
    this.#queue.moveGroup(ANY_CHANGE) // it may have held a claim
    for (const nominated of this.#nominations.on(placement.nodeName)) this.#queue.move(nominated)
  }

  #nodeChanged(node: Stored<Node>, old: Stored<Node> | undefined): void {
    if (old !== undefined && sameCapacity(node, old)) return
    this.#state.putNode(node)
    this.#noteNode(node.metadata.name)
  }

  #nodeGone(name: string): void {
    this.#state.removeNode(name)
    // With it went its domains: spreading and affinity of others may look better.
    this.#hints.noteAnything()
    this.#moveSoon()
  }
}
