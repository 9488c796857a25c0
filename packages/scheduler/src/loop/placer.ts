import type { Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { Logger } from '@centaurus/base'
import type { ClusterState } from '../core/cluster-state.ts'
import type { PodVolumes } from '../core/decide.ts'
import type { GpuPlan } from '../core/gpu/gpu-table.ts'
import type { PodRequirements } from '../core/pod-requirements.ts'
import type { SchedulingQueue } from '../core/scheduling-queue.ts'
import type { VolumeBinding } from '../core/volumes.ts'
import { toBindItem, type Binder, type BindItem, type BindResult, type Gang } from './binder.ts'
import { BindingBatches } from './binding-batches.ts'
import type { Caches } from './caches.ts'
import type { Parking } from './parking.ts'
import type { Reporter } from './reporter.ts'
import type { VolumeBinder } from './volume-binder.ts'

/** Nodes that may refuse a pod, one after the other, before it rests. */
const REFUSALS_MAX = 8

/** What a pod asks for that could go somewhere. */
export interface ReadyPod {
  readonly requirements: PodRequirements
  readonly volumes: PodVolumes | undefined
}

/** A pod that got a node. */
export interface PlacedPod extends ReadyPod {
  readonly pod: Stored<Pod>
  readonly nodeName: string
  /** Absent: it gets no devices that we choose. */
  readonly gpus?: GpuPlan | undefined
}

export interface PlacerDeps {
  readonly state: ClusterState
  readonly queue: SchedulingQueue
  readonly parking: Parking
  readonly reporter: Reporter
  readonly caches: Pick<Caches, 'podByUid'>
  readonly volumes: VolumeBinder
  readonly binder: Binder
  readonly logger: Logger
  readonly signal: AbortSignal
  /** The binding failed because somebody else had bound the pod. */
  readonly onBoundByOther: (pod: Stored<Pod>) => void
  /** It is not bound, and counts nowhere any more. */
  readonly onNotBound: (uid: string) => void
}

interface PlacedVolumes {
  readonly bindings: readonly VolumeBinding[]
  readonly nodeLabels: Readonly<Record<string, string>>
}

/** Makes decisions real: volumes first, then bindings, many in one call. A pod counts on its node from the decision on. */
export class Placer {
  readonly #deps: PlacerDeps
  readonly #bindings: BindingBatches
  /** Pods that have a node and wait for their volumes there, or for those of their gang. Others do not wait for them. */
  readonly #waits = new Set<Promise<void>>()
  /** Pods that we bound and whose binding the cache does not show yet. */
  readonly #assumed = new Set<string>()
  /** Nodes whose owners refused a pod in its present try, by uid. */
  readonly #refusedBy = new Map<string, Set<string>>()

  constructor(deps: PlacerDeps) {
    this.#deps = deps
    this.#bindings = new BindingBatches({
      binder: deps.binder,
      onResult: (item, result) => this.#settle(item, result),
    })
  }

  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid)
  }

  /** Nodes that the pod should avoid; undefined: none. */
  refusedBy(uid: string): ReadonlySet<string> | undefined {
    return this.#refusedBy.get(uid)
  }

  /** The pod gets no node in this try. True: its owner refused a node that looked good. */
  endTry(uid: string): boolean {
    return this.#refusedBy.delete(uid)
  }

  /** The cache shows what became of the pod. */
  forget(uid: string): void {
    this.#assumed.delete(uid)
    this.#refusedBy.delete(uid)
  }

  /** The pod is counted on the node already. */
  place(member: PlacedPod): void {
    const item = toBindItem(this.#deps.state, member.pod, member)
    const placed = this.#assume(item, member.volumes)
    if (placed.bindings.length === 0) this.#bind(item)
    else this.#track(this.#bindAfterVolumes(item, placed))
  }

  /** The pods are counted on their nodes already; enough of them get their room, or none of them is bound. */
  placeTogether(members: readonly PlacedPod[], gang: Gang): void {
    const items = members.map((member) => toBindItem(this.#deps.state, member.pod, { ...member, gang }))
    const volumes = items.map((item, i) => this.#assume(item, members[i]!.volumes))
    this.#track(this.#bindTogether(items, volumes))
  }

  #assume({ pod, nodeName }: BindItem, volumes: PodVolumes | undefined): PlacedVolumes {
    const { state, parking } = this.#deps
    this.#assumed.add(pod.metadata.uid)
    parking.notePlaced()
    const nodeLabels = state.nodes.labels[state.slotOf(nodeName) ?? -1] ?? {}
    return { bindings: volumes?.choice?.bindingsOn(nodeLabels, nodeName) ?? [], nodeLabels }
  }

  #track(work: Promise<void>): void {
    const waiting: Promise<void> = work.finally(() => this.#waits.delete(waiting))
    this.#waits.add(waiting)
  }

  /** No more decisions come soon. */
  flush(): void {
    this.#bindings.flush()
  }

  whenRoom(): Promise<void> {
    return this.#bindings.whenRoom()
  }

  /** Resolves when nothing waits for volumes any more. */
  async drainVolumes(): Promise<void> {
    await Promise.allSettled(this.#waits)
  }

  /** Resolves when every decision has its answer. */
  drain(): Promise<void> {
    return this.#bindings.drain()
  }

  /** A refusal of the pod that is still on its way to its status comes first. */
  #bind(item: BindItem): void {
    const now = (): void => this.#bindings.add(item)
    const later = (): void => {
      now()
      this.#bindings.flush()
    }
    this.#deps.reporter.afterReports(item.pod.metadata.uid, { now, later })
  }

  /** Never rejects. */
  async #bindAfterVolumes(item: BindItem, volumes: PlacedVolumes): Promise<void> {
    try {
      await this.#bindVolumes(item, volumes)
      this.#bind(item)
      this.#bindings.flush()
    } catch (error) {
      this.#settle(item, { type: 'failed', error: error as Error })
    }
  }

  /** Never rejects. Volumes and reports come first, those of all of them. */
  async #bindTogether(items: readonly BindItem[], volumes: readonly PlacedVolumes[]): Promise<void> {
    try {
      await Promise.all(
        items.map(async (item, i) => {
          if (volumes[i]!.bindings.length > 0) await this.#bindVolumes(item, volumes[i]!)
          await this.#deps.reporter.whenReported(item.pod.metadata.uid)
        }),
      )
      this.#bindings.addTogether(items)
    } catch (error) {
      for (const item of items) this.#settle(item, { type: 'failed', error: error as Error })
    }
  }

  async #bindVolumes({ pod, nodeName }: BindItem, volumes: PlacedVolumes): Promise<void> {
    const { signal, caches, reporter } = this.#deps
    try {
      await this.#deps.volumes.bind({ pod, nodeName, ...volumes }, signal)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      const message = `running PreBind plugin "VolumeBinding": binding volumes: ${why}`
      if (!signal.aborted && caches.podByUid(pod.metadata.uid) !== undefined) reporter.failed(pod, message)
      throw new Error(message, { cause })
    }
  }

  #settle({ pod, nodeName }: BindItem, result: BindResult): void {
    const { queue, state, caches, parking, reporter, signal, onBoundByOther, onNotBound } = this.#deps
    const { uid } = pod.metadata
    if (result.type === 'bound') {
      queue.done(uid)
      this.#refusedBy.delete(uid)
      return reporter.scheduled(pod, nodeName)
    }
    if (signal.aborted) return
    this.#assumed.delete(uid)
    const cached = caches.podByUid(uid)
    if (cached?.spec?.nodeName) return onBoundByOther(cached)
    state.removePod(uid)
    onNotBound(uid)
    parking.noteNode(nodeName)
    if (result.type === 'refused' && this.#mayTryElsewhere(uid, nodeName)) return queue.retry(uid)
    if (result.type !== 'gangRefused') this.#refusedBy.delete(uid)
    queue.fail(uid, { park: false })
    this.#log(pod, nodeName, result)
  }

  #mayTryElsewhere(uid: string, nodeName: string): boolean {
    const refusedBy = this.#refusedBy.get(uid) ?? new Set<string>()
    this.#refusedBy.set(uid, refusedBy.add(nodeName))
    return refusedBy.size < REFUSALS_MAX
  }

  #log({ metadata }: Stored<Pod>, node: string, result: Exclude<BindResult, { type: 'bound' }>): void {
    const pair = { pod: `${metadata.namespace}/${metadata.name}`, node }
    if (result.type === 'failed') this.#deps.logger.warn('Could not bind Pod', { ...pair, error: result.error })
    else this.#deps.logger.info('Nodes refused Pod', { ...pair, reason: result.reason })
  }
}
