import type { Random } from '@centaurus/base'
import type { Pod } from '@centaurus/api/core/v1'
import { readSteering } from '../../steering.ts'
import { callUntilAnswered, type HollowDeps } from './hollow-call.ts'
import { nodeAddress, podAddress, type HollowIdentity } from './node-objects.ts'
import { podDeleteBody, podEventBody, podStatusBody, type PodPlace } from './pod-status.ts'

/** How long a task runs that does not say it. */
const TASK_MS = 5_000

export interface PodRunnerOptions extends HollowDeps {
  readonly random: Random
  /** From the pod's arrival at the node to running containers; spread by half to both sides. */
  readonly podStartMs: number
  /** Whether a status is written also when the containers are being made, as kubelets do. */
  readonly writesCreating: boolean
  readonly events: boolean
}

/** A node that can be stopped. */
export interface RunnerNode extends HollowIdentity {
  readonly stopped: boolean
  /** Pods so far: gives each an address. */
  pods: number
}

interface HollowPod {
  readonly uid: string
  readonly node: RunnerNode
  readonly slot: number
  startedMs: number
  stage: 'starting' | 'running' | 'ended' | 'ending'
}

/** Runs the pods of all nodes of this process: nothing is started, but the API hears what a kubelet would tell it. */
export class PodRunner {
  readonly #options: PodRunnerOptions
  /** By `namespace/name`. */
  readonly #pods = new Map<string, HollowPod>()
  #running = 0

  constructor(options: PodRunnerOptions) {
    this.#options = options
  }

  /** Pods with running containers. */
  get running(): number {
    return this.#running
  }

  /** Whether an event of this pod can tell anything new, as long as it is not being deleted. */
  knows(key: string, uid: string): boolean {
    return this.#pods.get(key)?.uid === uid
  }

  /** The pod is on the node, as it stands. */
  observe(node: RunnerNode, pod: Pod): void {
    const key = keyOf(pod)
    const uid = pod.metadata.uid ?? ''
    const known = this.#pods.get(key)
    const mine = known?.uid === uid ? known : undefined
    if (mine !== undefined && mine.node !== node) this.#options.counters.doubleRuns++
    if (pod.metadata.deletionTimestamp !== undefined) return this.#end(mine ?? this.#adopt(node, pod), pod)
    if (mine !== undefined) return
    if (known !== undefined) this.#forget(key, known)
    const adopted = this.#adopt(node, pod)
    const phase = pod.status?.phase
    if (phase === 'Succeeded' || phase === 'Failed') adopted.stage = 'ended'
    else if (phase === 'Running') this.#becomeRunning(adopted, pod)
    else void this.#start(adopted, pod)
  }

  /** The pod is gone from the API. */
  remove(node: RunnerNode, pod: Pod): void {
    const key = keyOf(pod)
    const known = this.#pods.get(key)
    if (known === undefined || known.uid !== pod.metadata.uid || known.node !== node) return
    this.#forget(key, known)
    this.#options.counters.podsDeleted++
  }

  /** Forgets pods of the node that are not in `keys`: they went while it did not look. */
  keepOnly(node: RunnerNode, keys: ReadonlySet<string>): void {
    for (const [key, pod] of this.#pods) if (pod.node === node && !keys.has(key)) this.#forget(key, pod)
  }

  #adopt(node: RunnerNode, pod: Pod): HollowPod {
    const adopted: HollowPod = {
      uid: pod.metadata.uid ?? '',
      node,
      slot: node.pods++,
      startedMs: this.#options.clock.now(),
      stage: 'starting',
    }
    this.#pods.set(keyOf(pod), adopted)
    return adopted
  }

  #forget(key: string, pod: HollowPod): void {
    if (pod.stage === 'running') this.#running--
    pod.stage = 'ended'
    this.#pods.delete(key)
  }

  async #start(mine: HollowPod, pod: Pod): Promise<void> {
    const { podStartMs, random, writesCreating, events, counters } = this.#options
    if (writesCreating) void this.#write(mine, pod, { type: 'creating' })
    await new Promise((resolve) => setTimeout(resolve, podStartMs * (0.5 + random.next())))
    if (!this.#isStill(mine, 'starting')) return
    mine.startedMs = this.#options.clock.now()
    if (events) this.#postEvents(mine, pod)
    if (!(await this.#write(mine, pod, { type: 'running' })) || mine.stage !== 'starting') return
    counters.podsStarted++
    this.#becomeRunning(mine, pod)
  }

  #becomeRunning(mine: HollowPod, pod: Pod): void {
    mine.stage = 'running'
    this.#running++
    if ((pod.spec?.restartPolicy ?? 'Always') === 'Always') return
    const { runMs = TASK_MS, exitCode = 0 } = readSteering(pod.metadata.annotations ?? {})
    setTimeout(() => void this.#finish(mine, pod, exitCode), runMs)
  }

  async #finish(mine: HollowPod, pod: Pod, exitCode: number): Promise<void> {
    if (!this.#isStill(mine, 'running')) return
    mine.stage = 'ended'
    this.#running--
    this.#options.counters.podsEnded++
    await this.#write(mine, pod, { type: 'ended', exitCode })
  }

  /** The API wants the pod gone: its containers end, and then it is deleted there. */
  #end(mine: HollowPod, pod: Pod): void {
    if (mine.stage === 'ending') return
    if (mine.stage === 'running') this.#running--
    mine.stage = 'ending'
    void this.#sendEnd(mine, pod)
  }

  async #sendEnd(mine: HollowPod, pod: Pod): Promise<void> {
    await this.#write(mine, pod, { type: 'ended', exitCode: 0 })
    const { name } = mine.node
    const body = podDeleteBody(mine.uid)
    const call = {
      method: 'DELETE',
      path: pathOf(pod),
      body,
      resource: 'pods',
      node: name,
      slot: mine.node.index,
    } as const
    await callUntilAnswered(this.#options, call, { isWanted: () => !mine.node.stopped })
  }

  #isStill(pod: HollowPod, stage: HollowPod['stage']): boolean {
    return pod.stage === stage && !pod.node.stopped && !this.#options.signal.aborted
  }

  /** False when the API did not take it. */
  async #write(mine: HollowPod, pod: Pod, stage: Parameters<typeof podStatusBody>[1]): Promise<boolean> {
    const { node, slot, startedMs } = mine
    const place: PodPlace = {
      hostIP: nodeAddress(node.index),
      podIP: podAddress(node.index, slot),
      nowMs: this.#options.clock.now(),
      startedMs,
    }
    const { status } = await callUntilAnswered(
      this.#options,
      {
        method: 'PATCH',
        path: `${pathOf(pod)}/status`,
        body: podStatusBody(pod, stage, place),
        contentType: 'application/strategic-merge-patch+json',
        resource: 'pods/status',
        node: node.name,
        slot: node.index,
      },
      { isWanted: () => !node.stopped },
    )
    this.#options.counters.podStatuses++
    return status >= 200 && status < 300
  }

  #postEvents(mine: HollowPod, pod: Pod): void {
    const { node } = mine
    const image = pod.spec?.containers?.[0]?.image ?? ''
    for (const [reason, message] of [
      ['Pulled', `Container image "${image}" already present on machine`],
      ['Created', 'Container created'],
      ['Started', 'Container started'],
    ] as const) {
      this.#options.counters.events++
      const body = podEventBody(pod, node.name, { reason, message, nowMs: mine.startedMs })
      const path = `/api/v1/namespaces/${pod.metadata.namespace}/events`
      const call = { method: 'POST', path, body, resource: 'events', node: node.name, slot: node.index } as const
      // Events are told once: upstream drops them too when the server is too busy.
      void callUntilAnswered(this.#options, call, { isWanted: () => false })
    }
  }
}

export function keyOf({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.name}`
}

function pathOf({ metadata }: Pod): string {
  return `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`
}
