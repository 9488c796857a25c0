import { setImmediate as yieldToOthers } from 'node:timers/promises'
import { deepEqual, type MaxPriorityOf, type Stored } from '@centaurus/api'
import { nodes, pods, type Node, type Pod } from '@centaurus/api/core/v1'
import { podMentionsGpu } from '@centaurus/api/gpu'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client, InformerFactory } from '@centaurus/client'
import { ClusterState } from '../core/cluster-state.ts'
import type { ForeignUseChange, ForeignUseSource } from '../core/foreign-use.ts'
import { decideGang } from '../core/decide-gang.ts'
import { decide, decideBatch, formatFitFailure, prepareRefuse } from '../core/decide.ts'
import { gpuUseOfPod } from '../core/gpu/gpu-table.ts'
import { footprintKey } from '../core/pod-footprint.ts'
import { PodCompiler } from '../core/pod-compiler.ts'
import type { PodRequirements } from '../core/pod-requirements.ts'
import { SchedulingQueue } from '../core/scheduling-queue.ts'
import { claimsOf, planVolumes, type VolumeLookups } from '../core/volumes.ts'
import { createCaches, type Caches } from './caches.ts'
import { createClientBinder, type Binder } from './binder.ts'
import { asLeaving, isTerminal, sameCapacity, sameScheduling } from './compare.ts'
import { gangKey, Gangs, type GangMembership } from './gangs.ts'
import { formatVolumeRefusal } from './messages.ts'
import { Parking } from './parking.ts'
import type { NodeReach } from './node-reach.ts'
import { Placer, type PlacedPod, type ReadyPod } from './placer.ts'
import { Preemptor, type PodRefusal } from './preemptor.ts'
import { Reporter } from './reporter.ts'
import { VolumeBinder } from './volume-binder.ts'

/** The scheduler that pods get when they name none. */
export const DEFAULT_SCHEDULER_NAME = 'default-scheduler'

/** Pods that are placed in one pass. */
const RUN_PODS_MAX = 64
/** Decisions after which timers and sockets get their turn. */
const DECISIONS_PER_TURN = 16

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
  /** Which nodes can be given pods now; default: all. */
  readonly reach?: NodeReach | undefined
  /** `Tenant.spec.maxPriority`: what a tenant's priorities count beside those of others; default: nothing. */
  readonly maxPriorityOf?: MaxPriorityOf | undefined
}

type PodPlan = (ReadyPod & { readonly type: 'ready' }) | { readonly type: 'wait'; readonly message: string }

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
  readonly #state: ClusterState
  readonly #compiler: PodCompiler
  readonly #queue: SchedulingQueue
  readonly #caches: Caches
  readonly #reporter: Reporter
  readonly #parking: Parking
  readonly #gangs: Gangs
  readonly #abort = new AbortController()
  readonly #removeHandlers: (() => void)[]
  readonly #placer: Placer
  readonly #volumes: VolumeBinder
  readonly #lookups: VolumeLookups
  readonly #preemptor: Preemptor
  readonly #loop: Promise<void>
  #startSlot = 0

  constructor(deps: SchedulerDeps) {
    this.#deps = deps
    this.#name = deps.name ?? DEFAULT_SCHEDULER_NAME
    this.#state = new ClusterState(deps)
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
    this.#reporter = new Reporter({ ...deps, name: this.#name })
    this.#parking = new Parking(this.#state, this.#queue)
    const binder = deps.binder ?? createClientBinder(deps.client)
    this.#preemptor = new Preemptor({
      ...deps,
      state: this.#state,
      queue: this.#queue,
      caches: this.#caches,
      reporter: this.#reporter,
      binder,
      refuse: (pod, refusal) => this.#refuse(pod, refusal),
      footprintOf: (pod) => this.#compiler.footprint(pod),
      recount: (pod) => this.#podChanged(pod, undefined),
      roomChanged: (nodeName) => this.#parking.noteNode(nodeName),
    })
    this.#placer = new Placer({
      state: this.#state,
      queue: this.#queue,
      parking: this.#parking,
      reporter: this.#reporter,
      caches: this.#caches,
      volumes: this.#volumes,
      binder,
      logger: deps.logger,
      signal: this.#abort.signal,
      onBoundByOther: (pod) => this.#podChanged(pod, undefined),
      onNotBound: (uid) => this.#preemptor.keep(uid),
    })
    this.#gangs = new Gangs({
      informers: deps.informers,
      podsOfGroup: this.#caches.podsOfGroup,
      onChange: (group) => this.#queue.moveGroup(group),
    })
    this.#removeHandlers = [
      deps.informers.informer(pods).addHandler({
        onAdd: (pod) => this.#podAdded(pod),
        onUpdate: (pod, old) => this.#podChanged(pod, old),
        onDelete: (pod) => this.#podGone(pod),
      }),
      deps.informers.informer(nodes).addHandler({
        onAdd: (node) => this.#nodeChanged(node, undefined),
        onUpdate: (node, old) => this.#nodeChanged(node, old),
        onDelete: (node) => this.#nodeGone(node.metadata.name),
      }),
      ...this.#caches.onVolumeChange(() => this.#volumesChanged()),
      this.#caches.onNamespaceLabels(() => {
        this.#state.namespacesChanged()
        this.#parking.noteAnything()
      }),
      deps.foreignUse?.subscribe((changes) => this.#foreignUseChanged(changes)) ?? (() => {}),
      deps.reach?.onChange(() => this.#reachChanged()) ?? (() => {}),
    ]
    this.#loop = this.#run()
  }

  get pendingPods(): number {
    return this.#queue.size
  }

  async close(): Promise<void> {
    for (const remove of this.#removeHandlers) remove()
    this.#gangs.close()
    this.#abort.abort(new Error('Scheduler closed'))
    this.#queue.close()
    this.#preemptor.close()
    await this.#loop
    await this.#placer.drainVolumes()
    await this.#reporter.drain() // a binding may wait for a report
    await this.#placer.drain()
    await this.#reporter.close()
  }

  async #run(): Promise<void> {
    try {
      await this.#deps.informers.whenSynced(this.#abort.signal)
    } catch {
      return // closed before the first list came
    }
    this.#preemptor.synced()
    for (let turn = 1; ; turn++) {
      const isLast = !this.#queue.hasReady
      const isBreak = isLast || turn % DECISIONS_PER_TURN === 0
      if (isBreak) this.#placer.flush()
      if (isBreak) this.#parking.moveHelped()
      this.#parking.isIdle = isLast
      const next = await this.#queue.take()
      this.#parking.isIdle = false
      if (next === undefined) return
      const pod = this.#caches.podByUid(next.uid)
      if (pod === undefined || !this.#isOurs(pod)) this.#queue.done(next.uid)
      else this.#trySchedule(pod, { takesAlike: true })
      await this.#placer.whenRoom()
      await this.#reporter.whenRoom()
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
  #trySchedule(pod: Stored<Pod>, options: { readonly takesAlike: boolean }): void {
    try {
      this.#schedule(pod, options)
    } catch (error) {
      const { uid, namespace, name } = pod.metadata
      this.#queue.fail(uid, { park: true })
      this.#deps.logger.error('Could not schedule Pod', { pod: `${namespace}/${name}`, error })
    }
  }

  #schedule(pod: Stored<Pod>, { takesAlike }: { readonly takesAlike: boolean }): void {
    const { uid } = pod.metadata
    if (this.#preemptor.isAsking(uid)) return this.#queue.fail(uid, { park: true })
    const membership = this.#gangs.membershipOf(pod)
    if (membership.type === 'wait') {
      this.#queue.hold(uid, membership.group)
      return this.#reporter.unschedulable(pod, membership)
    }
    if (membership.type === 'gang') return this.#scheduleGang(pod, membership)
    const nominatedNode = this.#preemptor.nodeOf(uid)
    this.#preemptor.release(uid)
    const plan = this.#planPod(pod)
    if (plan.type === 'wait') return this.#refuse(pod, plan)
    const { requirements, volumes } = plan
    if (nominatedNode !== undefined && this.#fitsOn(nominatedNode, { uid, ...plan })) {
      return this.#place(pod, plan, nominatedNode)
    }
    const alike = takesAlike && nominatedNode === undefined && this.#isPlain(pod) ? this.#takeAlike(requirements) : []
    if (alike.length > 0) return this.#scheduleRun([pod, ...alike], plan)
    const decision = decide(this.#state, requirements, {
      startSlot: this.#startSlot,
      tieBreak: () => this.#deps.random.next(),
      avoid: this.#placer.refusedBy(uid),
      volumes,
    })
    if (decision.type === 'refuse') {
      const { failure } = decision
      // A node that looked good was refused: what is known is old, and not enough to evict anybody for.
      if (this.#placer.refusedBy(uid) !== undefined) return this.#refuse(pod, { message: formatFitFailure(failure) })
      return this.#preemptor.preemptOrRefuse(pod, { requirements, failure, volumes, nominatedNode })
    }
    this.#startSlot = decision.nextSlot
    this.#place(pod, plan, decision.nodeName)
  }

  /** Where room is kept for a pod is its place once there is room, wherever else there may be some. Source: scheduler evaluateNominatedNode. */
  #fitsOn(nodeName: string, { uid, requirements, volumes }: ReadyPod & { readonly uid: string }): boolean {
    const slot = this.#state.slotOf(nodeName)
    if (slot === undefined || this.#placer.refusedBy(uid)?.has(nodeName)) return false
    return prepareRefuse(this.#state, requirements, volumes)(slot) === undefined
  }

  #place(pod: Stored<Pod>, plan: ReadyPod, nodeName: string): void {
    const { uid } = pod.metadata
    const gpus = this.#state.place(uid, plan.requirements.footprint, nodeName)
    this.#preemptor.keep(uid)
    this.#placer.place({ ...plan, pod, nodeName, gpus })
  }

  /** Nothing but its requirements decides where it goes. */
  #isPlain(pod: Stored<Pod>): boolean {
    const { uid } = pod.metadata
    const isAlone = pod.spec?.schedulingGroup === undefined && claimsOf(pod).length === 0
    return isAlone && this.#placer.refusedBy(uid) === undefined && this.#preemptor.nodeOf(uid) === undefined
  }

  /** Takes the pods that are next, as long as they ask for the same. */
  #takeAlike(requirements: PodRequirements): Stored<Pod>[] {
    const alike: Stored<Pod>[] = []
    while (alike.length + 1 < RUN_PODS_MAX) {
      const pod = this.#caches.podByUid(this.#queue.peekReady()?.uid ?? '')
      if (pod === undefined || !this.#isOurs(pod) || !this.#isPlain(pod)) break
      if (this.#compiler.requirements(pod) !== requirements) break
      this.#queue.takeReady()
      alike.push(pod)
    }
    return alike
  }

  /** Many alike in one pass: the same as one after the other. */
  #scheduleRun(run: readonly Stored<Pod>[], plan: ReadyPod): void {
    const { requirements } = plan
    const { nodeNames, gpus, failure, nextSlot } = decideBatch(this.#state, requirements, {
      uids: run.map(({ metadata }) => metadata.uid),
      startSlot: this.#startSlot,
      tieBreak: () => this.#deps.random.next(),
    })
    this.#startSlot = nextSlot
    for (const [i, nodeName] of nodeNames.entries())
      this.#placer.place({ ...plan, pod: run[i]!, nodeName, gpus: gpus[i] })
    const [refused, ...others] = run.slice(nodeNames.length)
    if (refused === undefined || failure === undefined) return
    this.#preemptor.preemptOrRefuse(refused, { requirements, failure, volumes: undefined, nominatedNode: undefined })
    for (const pod of others) this.#trySchedule(pod, { takesAlike: false })
  }

  /** What the pod asks for, or what it waits for whatever the node. */
  #planPod(pod: Stored<Pod>): PodPlan {
    const volumes = planVolumes(pod, this.#lookups)
    if (volumes.type !== 'ready') return { type: 'wait', message: formatVolumeRefusal(this.#state.nodeCount, volumes) }
    const hasVolumes = volumes.nodes.length > 0 || volumes.choice !== undefined
    const requirements = this.#compiler.requirements(pod)
    return { type: 'ready', requirements, volumes: hasVolumes ? volumes : undefined }
  }

  /** Gives nodes to `first` and the others of its group that wait, all in one pass. */
  #scheduleGang(first: Stored<Pod>, { minCount, pods: all }: Extract<GangMembership, { type: 'gang' }>): void {
    const { uid: firstUid } = first.metadata
    const others = all.filter(({ metadata }) => metadata.uid !== firstUid)
    const scheduled = others.filter((pod) => pod.spec?.nodeName || this.#placer.isAssumed(pod.metadata.uid)).length
    const waiting = [first, ...others.filter((pod) => this.#isOurs(pod) && this.#queue.takeOne(pod.metadata.uid))]
    const ready = new Map<string, { pod: Stored<Pod>; plan: ReadyPod }>()
    let isMakingRoom = false
    for (const pod of waiting) {
      const nominatedNode = this.#preemptor.nodeOf(pod.metadata.uid)
      isMakingRoom ||=
        nominatedNode !== undefined && this.#state.isMakingRoom(nominatedNode, this.#compiler.footprint(pod))
      this.#preemptor.release(pod.metadata.uid)
      const plan = this.#planPod(pod)
      if (plan.type === 'wait') this.#refuse(pod, plan)
      else ready.set(pod.metadata.uid, { pod, plan })
    }
    const members = [...ready].map(([uid, { plan }]) => ({ uid, ...plan, avoid: this.#placer.refusedBy(uid) }))
    const wasRefused = members.some(({ avoid }) => avoid !== undefined)
    const decision = decideGang(this.#state, members, {
      minCount,
      scheduled,
      startSlot: this.#startSlot,
      tieBreak: () => this.#deps.random.next(),
      isProtected: this.#caches.isProtected,
      preempts: !isMakingRoom && !wasRefused,
    })
    const placed: PlacedPod[] = []
    for (const [uid, { pod, plan }] of ready) {
      const nodeName = decision.type === 'place' ? decision.placed.get(uid) : undefined
      const gpus = decision.type === 'place' ? decision.gpus.get(uid) : undefined
      if (nodeName !== undefined) placed.push({ ...plan, pod, nodeName, gpus })
      else if (decision.type === 'place') this.#refuse(pod, { message: decision.refused.get(uid) ?? '' })
      else if (decision.type === 'refuse') this.#refuse(pod, { message: decision.reasons.get(uid) ?? decision.message })
      else
        this.#preemptor.nominate(pod, {
          requirements: plan.requirements,
          plan: decision.plans.get(uid),
          message: decision.message,
        })
    }
    if (decision.type !== 'place') return
    this.#startSlot = decision.nextSlot
    // Those that are on their way to a node may yet be refused there.
    const bound = others.filter(({ spec }) => Boolean(spec?.nodeName)).length
    for (const { pod } of placed) this.#preemptor.keep(pod.metadata.uid)
    this.#placer.placeTogether(placed, { key: gangKey(first), needed: minCount - bound })
  }

  #isUsedByOther(namespace: string, name: string, podUid: string): boolean {
    return this.#caches
      .podsUsing(namespace, name)
      .some(
        ({ metadata: { uid }, spec, status }) =>
          uid !== podUid && (Boolean(spec?.nodeName) || this.#placer.isAssumed(uid)) && !isTerminal(status?.phase),
      )
  }

  #volumesChanged(): void {
    this.#volumes.notify()
    this.#parking.noteObstacle()
  }

  #refuse(pod: Stored<Pod>, refusal: PodRefusal): void {
    const { uid } = pod.metadata
    // Who refused it may have room again without our hearing of it.
    if (this.#placer.endTry(uid)) this.#queue.fail(uid, { park: false })
    else this.#parking.park(uid, refusal.requirements)
    this.#preemptor.keep(uid)
    this.#reporter.unschedulable(pod, refusal)
  }

  #foreignUseChanged(changes: readonly ForeignUseChange[]): void {
    for (const change of changes) {
      this.#state.setForeignUse(change.nodeName, change)
      this.#parking.noteNode(change.nodeName)
      this.#preemptor.foreignUseChanged(change)
    }
  }

  #podAdded(pod: Stored<Pod>): void {
    if (podMentionsGpu(pod)) this.#state.observe(this.#compiler.footprint(pod))
    this.#podChanged(pod, undefined)
  }

  #podChanged(pod: Stored<Pod>, old: Stored<Pod> | undefined): void {
    const { uid } = pod.metadata
    const nodeName = pod.spec?.nodeName
    if (isTerminal(pod.status?.phase)) return this.#podGone(pod)
    this.#preemptor.podChanged(pod)
    if (nodeName) {
      this.#placer.forget(uid)
      this.#queue.done(uid)
      this.#preemptor.release(uid)
      const placement = this.#state.placement(uid)
      const shown = this.#preemptor.isLeaving(uid) ? asLeaving(pod) : pod
      const key = footprintKey(shown)
      const isCounted = placement?.nodeName === nodeName && placement.footprint.key === key
      if (isCounted && placement.footprint.gpu === undefined) return
      const footprint = this.#compiler.footprint(shown, key)
      const gpus = gpuUseOfPod(pod, footprint)
      if (isCounted && deepEqual(this.#state.gpuUse(uid), gpus)) return
      this.#state.putPod(uid, footprint, nodeName, gpus)
      if (placement === undefined) this.#parking.notePlaced()
      else this.#parking.noteNode(nodeName)
      return
    }
    if (this.#placer.isAssumed(uid)) return
    if (!this.#isOurs(pod)) return this.#queue.delete(uid)
    if (old !== undefined && sameScheduling(pod, old) && this.#isOurs(old)) return // only its status changed
    this.#queue.add({ uid, priority: pod.spec?.priority ?? 0, createdMs: Date.parse(pod.metadata.creationTimestamp) })
    // Those that wait for enough of them are tried when there are enough, and not before.
    if (pod.spec?.schedulingGroup === undefined || this.#gangs.membershipOf(pod).type === 'wait') return
    this.#queue.moveGroup(gangKey(pod))
  }

  #podGone(pod: Stored<Pod>): void {
    const { uid } = pod.metadata
    this.#placer.forget(uid)
    this.#queue.delete(uid)
    this.#preemptor.podGone(uid)
    const placement = this.#state.placement(uid)
    this.#state.removePod(uid)
    this.#volumes.notify()
    if (placement === undefined) return
    this.#parking.noteNode(placement.nodeName)
    this.#parking.noteObstacle() // it may have held a claim
    this.#preemptor.moveNominated(placement.nodeName)
  }

  #nodeChanged(node: Stored<Node>, old: Stored<Node> | undefined): void {
    if (old !== undefined && sameCapacity(node, old)) return
    const { name } = node.metadata
    this.#state.putNode(node)
    this.#state.setAway(name, this.#deps.reach?.isReachable(name) === false)
    this.#parking.noteNode(name)
  }

  /** Cost: all nodes, which a partition is many of. */
  #reachChanged(): void {
    let isAnyBack = false
    for (const { metadata } of this.#deps.informers.informer(nodes).list()) {
      const isReachable = this.#deps.reach!.isReachable(metadata.name)
      if (this.#state.setAway(metadata.name, !isReachable) && isReachable) isAnyBack = true
    }
    if (isAnyBack) this.#parking.noteAnything() // who has no room there may find somebody to preempt
  }

  #nodeGone(name: string): void {
    this.#state.removeNode(name)
    // With it went its domains: spreading and affinity of others may look better.
    this.#parking.noteAnything()
  }
}
