import type { Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger, Random, Timer } from '@centaurus/base'
import type { ClusterState } from '../core/cluster-state.ts'
import { formatFitFailure, type FitFailure, type PodVolumes } from '../core/decide.ts'
import type { GpuPlan } from '../core/gpu/gpu-table.ts'
import type { ForeignUseChange } from '../core/foreign-use.ts'
import type { PodFootprint } from '../core/pod-footprint.ts'
import type { PodRequirements } from '../core/pod-requirements.ts'
import { planGpusAfterLeaving, planPreemption, type PreemptionPlan } from '../core/preempt.ts'
import type { SchedulingQueue } from '../core/scheduling-queue.ts'
import { toBindItem, type Binder, type PreemptResult } from './binder.ts'
import type { Caches } from './caches.ts'
import { isTerminal } from './compare.ts'
import { formatPreemptionFailure } from './messages.ts'
import { Nominations } from './nominations.ts'
import type { Reporter } from './reporter.ts'

/** Pods that could not be evicted are tried again after this. */
const EVICT_RETRY_MS = 1_000

/** Why a pod gets no node now. */
export interface PodRefusal {
  readonly message: string
  readonly nominatedNodeName?: string | undefined
  /** What a change must help; absent: any change may help. */
  readonly requirements?: PodRequirements | undefined
}

/** No node fits the pod as things are. */
export interface FailedTry {
  readonly requirements: PodRequirements
  readonly failure: FitFailure
  readonly volumes: PodVolumes | undefined
  /** Kept room for it until now. */
  readonly nominatedNode: string | undefined
}

export interface Nominated {
  readonly requirements: PodRequirements
  /** Absent: it waits for those of others of its group. */
  readonly plan: PreemptionPlan | undefined
  readonly message: string
}

export interface PreemptorDeps {
  readonly state: ClusterState
  readonly queue: SchedulingQueue
  readonly caches: Pick<Caches, 'podByUid' | 'isProtected'>
  readonly reporter: Reporter
  readonly binder: Pick<Binder, 'preempt' | 'withdraw'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly refuse: (pod: Stored<Pod>, refusal: PodRefusal) => void
  /** What a pod without a node would be to others on one. */
  readonly footprintOf: (pod: Stored<Pod>) => PodFootprint
  /** Counts a pod as it is now. */
  readonly recount: (pod: Stored<Pod>) => void
  /** Something on the node went away. */
  readonly roomChanged: (nodeName: string) => void
}

/**
 * Makes room for important pods: evicts less important ones of this partition itself, and has the owner of the node see to those of others;
 * evicts in turn what owners of nodes ask for. Until it gets its room a pod keeps it by a nomination.
 */
export class Preemptor {
  readonly #deps: PreemptorDeps
  readonly #nominations = new Nominations()
  /** Victims that the cache does not show as leaving yet. */
  readonly #leaving = new Set<string>()
  /** Pods for which the owner of a node is being asked, and whether they were tried meanwhile. */
  readonly #asking = new Map<string, { wasTried: boolean }>()
  /** By pod of ours: the node that others are leaving for it, as its owner knows. */
  readonly #promised = new Map<string, string>()
  /** By pod of ours that others take the room of: its node. */
  readonly #orders = new Map<string, string>()
  /** Of these, those that could not be evicted and wait for another try. */
  readonly #resting = new Set<string>()
  /** What was told of a node, if anything. */
  readonly #told = new Map<string, Pick<ForeignUseChange, 'evict' | 'nominated'>>()
  #isSynced = false
  #timer: Timer | undefined

  constructor(deps: PreemptorDeps) {
    this.#deps = deps
  }

  isLeaving(uid: string): boolean {
    return this.#leaving.has(uid)
  }

  /** Whether it is not known yet if a node's owner makes room for the pod, which gets its try when it is. */
  isAsking(uid: string): boolean {
    const asking = this.#asking.get(uid)
    if (asking !== undefined) asking.wasTried = true
    return asking !== undefined
  }

  nodeOf(uid: string): string | undefined {
    return this.#nominations.nodeOf(uid)
  }

  /** Tries what was put off until the pods are known. */
  synced(): void {
    this.#isSynced = true
    for (const [uid, nodeName] of this.#promised) this.#review(uid, nodeName)
    for (const uid of this.#promised.keys()) this.keep(uid)
  }

  close(): void {
    this.#timer?.cancel()
  }

  /** Plans to make room for a pod that fits nowhere. */
  preemptOrRefuse(pod: Stored<Pod>, { requirements, failure, volumes, nominatedNode }: FailedTry): void {
    const { state, refuse } = this.#deps
    const message = formatFitFailure(failure)
    if (nominatedNode !== undefined && state.isMakingRoom(nominatedNode, requirements.footprint)) {
      const why = `${message} preemption: not eligible due to a terminating pod on the nominated node.`
      const plan = { nodeName: nominatedNode, victims: [], foreignVictims: 0 }
      return this.nominate(pod, { requirements, plan, message: why })
    }
    const { isProtected } = this.#deps.caches
    const startAt = this.#deps.random.next()
    const promised = state.slotOf(this.#promised.get(pod.metadata.uid) ?? '')
    const slots = promised !== undefined && failure.resolvable.includes(promised) ? [promised] : []
    const plan =
      planPreemption(state, requirements, { slots, isProtected, volumes }) ??
      planPreemption(state, requirements, { slots: failure.resolvable, isProtected, volumes, startAt })
    const own = volumes === undefined ? requirements : undefined
    if (plan === undefined)
      return refuse(pod, { message: `${message}${formatPreemptionFailure(failure)}`, requirements: own })
    this.nominate(pod, { requirements, plan, message })
  }

  /** Keeps room for the pod where the plan's victims go. */
  nominate(pod: Stored<Pod>, { requirements, plan, message }: Nominated): void {
    const { caches, refuse } = this.#deps
    if (plan === undefined) return refuse(pod, { message })
    const { uid } = pod.metadata
    const { nodeName } = plan
    this.#withdrawUnless(uid, nodeName)
    for (const victim of plan.victims) this.#yield(this.#nominations.podOf(victim.uid))
    const gpus = this.#keepRoom(uid, requirements.footprint, plan)
    refuse(pod, { message, nominatedNodeName: nodeName, requirements })
    const victims = plan.victims
      .filter(({ footprint }) => !footprint.isTerminating)
      .flatMap((victim) => caches.podByUid(victim.uid) ?? [])
    if (this.#deps.binder.preempt !== undefined) this.#ask(pod, { requirements, plan: { ...plan, gpus }, victims })
    else if (plan.foreignVictims === 0) this.#evict(victims, { pod, nodeName })
  }

  /** Ends a nomination: the pod is tried again, has its node, or is gone. */
  release(uid: string): void {
    const nomination = this.#nominations.remove(uid)
    if (nomination === undefined) return
    this.#deps.state.removePod(nomination.standIn)
    this.#deps.roomChanged(nomination.nodeName)
  }

  /**
   * Counts the room that a node's owner keeps for the pod as taken, whatever became of the pod's try. Others of ours would be refused there, and the
   * pod, finding its room taken by them, would evict more.
   */
  keep(uid: string): void {
    const { state, caches, footprintOf } = this.#deps
    const nodeName = this.#promised.get(uid)
    if (nodeName === undefined || this.nodeOf(uid) !== undefined || state.placement(uid)?.nodeName === nodeName) return
    const pod = caches.podByUid(uid)
    if (pod === undefined) return
    this.#keepRoom(uid, footprintOf(pod), { nodeName })
  }

  /** Also the devices, which nobody else may take when they become free. */
  #keepRoom(
    uid: string,
    footprint: PodFootprint,
    { nodeName, gpus }: Pick<PreemptionPlan, 'nodeName' | 'gpus'>,
  ): GpuPlan | undefined {
    const { state } = this.#deps
    const plan = gpus ?? planGpusAfterLeaving(state, footprint, nodeName)
    state.putPod(this.#nominations.add(uid, nodeName), footprint, nodeName, plan?.use)
    return plan
  }

  /** The node has room again: gives those that wait for it another try. */
  moveNominated(nodeName: string): void {
    for (const uid of this.#nominations.on(nodeName)) this.#deps.queue.move(uid)
  }

  /** Takes what the owners of nodes say: which pods must leave, and which will have room. */
  foreignUseChanged({ nodeName, evict = [], nominated = [] }: ForeignUseChange): void {
    const before = this.#told.get(nodeName)
    for (const uid of before?.evict ?? []) if (!evict.includes(uid)) this.#orders.delete(uid)
    for (const uid of before?.nominated ?? [])
      if (!nominated.includes(uid) && this.#promised.get(uid) === nodeName) this.#promised.delete(uid)
    if (evict.length + nominated.length === 0) this.#told.delete(nodeName)
    else this.#told.set(nodeName, { evict, nominated })
    for (const uid of evict) this.#orders.set(uid, nodeName)
    for (const uid of nominated) this.#promised.set(uid, nodeName)
    for (const uid of evict) this.#obey(uid)
    for (const uid of nominated) {
      this.#review(uid, nodeName)
      if (this.#isSynced) this.keep(uid)
      this.#deps.queue.move(uid)
    }
    this.moveNominated(nodeName)
  }

  /** The cache shows another version of a pod of this partition. */
  podChanged({ metadata: { uid, deletionTimestamp } }: Stored<Pod>): void {
    if (deletionTimestamp !== undefined) this.#leaving.delete(uid)
    if (this.#orders.has(uid)) this.#obey(uid)
    const promised = this.#promised.get(uid)
    if (promised !== undefined) this.#review(uid, promised)
  }

  podGone(uid: string): void {
    this.#leaving.delete(uid)
    this.release(uid)
    const promised = this.#promised.get(uid)
    if (promised !== undefined) this.#review(uid, promised)
  }

  /** They count as leaving before the cache shows it, so that nobody asks for more meanwhile. */
  #evict(victims: readonly Stored<Pod>[], { pod, nodeName }: { pod: Stored<Pod>; nodeName: string }): void {
    for (const victim of victims) this.#markLeaving(victim)
    const onFailed = (): void => {
      for (const { metadata } of victims) this.#unmarkLeaving(metadata.uid)
      this.#deps.queue.move(pod.metadata.uid)
    }
    this.#deps.reporter.evict(victims, { preemptor: pod, nodeName, onFailed })
  }

  #markLeaving(victim: Stored<Pod>): void {
    this.#leaving.add(victim.metadata.uid)
    this.#deps.recount(victim)
  }

  /** It is not leaving after all: it counts as the cache has it. */
  #unmarkLeaving(uid: string): void {
    this.#leaving.delete(uid)
    const cached = this.#deps.caches.podByUid(uid)
    if (cached !== undefined) this.#deps.recount(cached)
  }

  /** Victims here go when the owner of the node has agreed, and not in vain. */
  #ask(
    pod: Stored<Pod>,
    {
      requirements,
      plan: { nodeName, gpus },
      victims,
    }: { requirements: PodRequirements; plan: PreemptionPlan; victims: readonly Stored<Pod>[] },
  ): void {
    const { state, binder, reporter, queue } = this.#deps
    const { uid } = pod.metadata
    const leaving = [
      ...state.leavingPods(nodeName).map((each) => each.uid),
      ...victims.map(({ metadata }) => metadata.uid),
    ]
    const asking = { wasTried: false }
    this.#asking.set(uid, asking)
    const ask = async (): Promise<PreemptResult> => {
      try {
        return await binder.preempt!(toBindItem(state, pod, { requirements, nodeName, gpus }), leaving)
      } catch (error) {
        return { type: 'failed', error: error as Error }
      }
    }
    const settle = async (): Promise<void> => {
      const result = await ask()
      this.#asking.delete(uid)
      this.#settle(pod, result, { nodeName, victims })
      if (asking.wasTried) queue.move(uid)
    }
    reporter.track(settle())
  }

  #settle(pod: Stored<Pod>, result: PreemptResult, at: { nodeName: string; victims: readonly Stored<Pod>[] }): void {
    const { queue, caches, logger } = this.#deps
    const { uid, namespace, name } = pod.metadata
    const { nodeName, victims } = at
    if (result.type === 'nominated') {
      this.#promised.set(uid, nodeName)
      this.#review(uid, nodeName)
      if (caches.podByUid(uid) === undefined) return
      this.keep(uid)
      this.#evict(victims, { pod, nodeName })
      if (result.victims === 0) queue.move(uid)
      return
    }
    // What failed may have been done all the same: then its owner tells.
    if (result.type === 'refused' && this.#promised.get(uid) === nodeName) this.#promised.delete(uid)
    this.release(uid)
    this.keep(uid)
    queue.move(uid)
    const why = result.type === 'failed' ? { error: result.error } : { reason: result.reason }
    logger.info('No room was made for Pod', { pod: `${namespace}/${name}`, node: nodeName, ...why })
  }

  #withdrawUnless(uid: string, nodeName: string | undefined): void {
    const promised = this.#promised.get(uid)
    if (promised === undefined || promised === nodeName) return
    this.#promised.delete(uid)
    this.#deps.binder.withdraw?.(promised, uid)
  }

  /** A more important pod takes the room that was kept for this one. Source: scheduler getLowerPriorityNominatedPods. */
  #yield(uid: string | undefined): void {
    if (uid === undefined) return
    this.#withdrawUnless(uid, undefined)
    this.release(uid)
    this.#deps.queue.move(uid)
  }

  /** A pod that needs no room there any more lets others have it. */
  #review(uid: string, nodeName: string): void {
    if (!this.#isSynced) return
    const pod = this.#deps.caches.podByUid(uid)
    const isWaiting = pod !== undefined && !pod.spec?.nodeName && pod.metadata.deletionTimestamp === undefined
    if (isWaiting && !isTerminal(pod.status?.phase)) return
    this.#promised.delete(uid)
    this.#deps.binder.withdraw?.(nodeName, uid)
  }

  /** Evicts a pod whose room others get, once it is there and as long as it is. */
  #obey(uid: string): void {
    const { caches, reporter } = this.#deps
    const nodeName = this.#orders.get(uid)
    const pod = caches.podByUid(uid)
    if (pod === undefined || nodeName === undefined || pod.spec?.nodeName !== nodeName) return
    if (this.#resting.has(uid)) return
    if (this.#leaving.has(uid) || pod.metadata.deletionTimestamp !== undefined || isTerminal(pod.status?.phase)) return
    this.#markLeaving(pod)
    const onFailed = (): void => {
      this.#resting.add(uid)
      this.#unmarkLeaving(uid)
      this.#timer ??= this.#deps.clock.setTimer(EVICT_RETRY_MS, () => {
        this.#timer = undefined
        this.#resting.clear()
        for (const each of this.#orders.keys()) this.#obey(each)
      })
    }
    reporter.evict([pod], { preemptor: undefined, nodeName, onFailed })
  }
}
