import type { Clock, Logger, Timer } from '@centaurus/base'

import { createRuntimeState, EMPTY_RUNTIME_STATE, type PodRuntimeState } from '../pod/runtime-state.ts'
import type {
  ContainerDetail,
  ContainerRuntime,
  ContainerSummary,
  SandboxDetail,
  SandboxSummary,
} from '../runtime/container-runtime.ts'

export interface RuntimeCacheOptions {
  readonly runtime: ContainerRuntime
  readonly clock: Clock
  readonly logger: Logger
  readonly relistPeriodMs: number
  readonly relistWithEventsPeriodMs: number
  /** The pod's state differs from before. Also for pods that the API does not know. */
  readonly onChange: (podUid: string) => void
}

/**
 * What the runtime holds, by pod: listed periodically (and at once when the runtime tells of a change), so that nothing but the runtime is
 * the truth. Details are asked for once a transition: an idle node costs two calls a period.
 */
export class RuntimeCache {
  readonly #options: RuntimeCacheOptions
  readonly #states = new Map<string, PodRuntimeState>()
  readonly #prints = new Map<string, string>()
  /** Uids of pods with a network of their own, by address. */
  readonly #uids = new Map<string, string>()
  /** Latest refresh of a pod; refreshes of one pod run after each other, so that an old answer never overwrites a new one. */
  readonly #refreshing = new Map<string, Promise<PodRuntimeState>>()
  #timer: Timer | undefined
  #unsubscribe: (() => void) | undefined
  #closed = false
  #lastRelistMs = -Infinity

  constructor(options: RuntimeCacheOptions) {
    this.#options = options
  }

  /** When the runtime last answered a full list, on the monotonic clock. */
  get lastRelistMs(): number {
    return this.#lastRelistMs
  }

  /** Uids of all pods that have anything in the runtime. */
  podUids(): readonly string[] {
    return [...this.#states.keys()]
  }

  get(podUid: string): PodRuntimeState {
    return this.#states.get(podUid) ?? EMPTY_RUNTIME_STATE
  }

  /** What runs at an address; undefined for addresses that are no pod's of this node. */
  sandboxAt(address: string): SandboxDetail | undefined {
    const uid = this.#uids.get(address)
    return uid === undefined ? undefined : this.get(uid).sandboxes.find((sandbox) => hasAddress(sandbox, address))
  }

  /** First list; rejects when the runtime does not answer. Then keeps listing until closed. */
  async start(): Promise<void> {
    await this.#relist()
    this.#subscribe()
    this.#schedule()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#unsubscribe?.()
  }

  /** Reads one pod afresh. */
  refresh(podUid: string): Promise<PodRuntimeState> {
    const before = this.#refreshing.get(podUid) ?? Promise.resolve(EMPTY_RUNTIME_STATE)
    const next = before.catch(() => EMPTY_RUNTIME_STATE).then(() => this.#readPod(podUid))
    this.#refreshing.set(podUid, next)
    void next
      .catch(() => undefined)
      .finally(() => this.#refreshing.get(podUid) === next && this.#refreshing.delete(podUid))
    return next
  }

  async #readPod(podUid: string): Promise<PodRuntimeState> {
    const { runtime } = this.#options
    const [sandboxes, containers] = await Promise.all([
      runtime.listSandboxes({ podUid }),
      runtime.listContainers({ podUid }),
    ])
    const state = await this.#detail(podUid, sandboxes, containers)
    this.#store(podUid, state, fingerprint(sandboxes, containers))
    return state
  }

  #store(podUid: string, state: PodRuntimeState, print: string): void {
    for (const ip of this.get(podUid).sandboxes.flatMap(({ ips }) => ips))
      if (this.#uids.get(ip) === podUid) this.#uids.delete(ip)
    for (const { ready, ips } of state.sandboxes) if (ready) for (const ip of ips) this.#uids.set(ip, podUid)
    if (state.sandboxes.length === 0 && state.containers.length === 0) {
      this.#states.delete(podUid)
      this.#prints.delete(podUid)
      return
    }
    this.#states.set(podUid, state)
    this.#prints.set(podUid, print)
  }

  async #relist(): Promise<void> {
    const { runtime, onChange, clock } = this.#options
    const [sandboxes, containers] = await Promise.all([runtime.listSandboxes(), runtime.listContainers()])
    this.#lastRelistMs = clock.monotonicMs()
    const seen = groupByPod(sandboxes, containers)
    for (const [podUid, group] of seen) {
      if (this.#prints.get(podUid) === fingerprint(group.sandboxes, group.containers)) continue
      await this.refresh(podUid)
      if (!this.#closed) onChange(podUid)
    }
    for (const podUid of this.#states.keys()) {
      if (seen.has(podUid)) continue
      await this.refresh(podUid) // it may have come since the list was made
      if (!this.#closed) onChange(podUid)
    }
  }

  async #detail(
    podUid: string,
    sandboxes: readonly SandboxSummary[],
    containers: readonly ContainerSummary[],
  ): Promise<PodRuntimeState> {
    const old = this.get(podUid)
    const [sandboxDetails, containerDetails] = await Promise.all([
      Promise.all(sandboxes.map((summary) => this.#detailSandbox(summary, old))),
      Promise.all(containers.map((summary) => this.#detailContainer(summary, old))),
    ])
    return createRuntimeState(
      sandboxDetails.filter((detail) => detail !== undefined),
      containerDetails.filter((detail) => detail !== undefined),
    )
  }

  async #detailSandbox(summary: SandboxSummary, old: PodRuntimeState): Promise<SandboxDetail | undefined> {
    const known = old.sandboxes.find(({ id }) => id === summary.id)
    if (known !== undefined && known.ready === summary.ready) return known
    if (known !== undefined && !summary.ready) return { ...known, ready: false } // its network is gone; its address is remembered
    return this.#options.runtime.sandboxStatus(summary.id)
  }

  async #detailContainer(summary: ContainerSummary, old: PodRuntimeState): Promise<ContainerDetail | undefined> {
    const known = old.containers.find(({ id }) => id === summary.id)
    if (known !== undefined && known.phase === summary.phase) return known
    const detail = await this.#options.runtime.containerStatus(summary.id)
    return detail === undefined ? undefined : { ...detail, sandboxId: summary.sandboxId }
  }

  #subscribe(): void {
    const { runtime, logger, onChange } = this.#options
    this.#unsubscribe = runtime.subscribe?.(
      (podUid) => {
        const changed = (): void => void (this.#closed || onChange(podUid))
        this.refresh(podUid).then(changed, (error: unknown) =>
          logger.debug('Could not read a Pod from the runtime', { error }),
        )
      },
      () => {
        // Events are missed from now on: list at once, and often.
        this.#unsubscribe = undefined
        this.#schedule()
      },
    )
  }

  #schedule(): void {
    const { clock, logger, relistPeriodMs, relistWithEventsPeriodMs } = this.#options
    this.#timer?.cancel()
    if (this.#closed) return
    const period = this.#unsubscribe === undefined ? relistPeriodMs : relistWithEventsPeriodMs
    this.#timer = clock.setTimer(period, () => {
      this.#relist()
        .catch((error: unknown) => logger.warn('Could not list the runtime', { error }))
        .finally(() => this.#schedule())
    })
  }
}

/** Addresses of sandboxes that have ended are others' by now. */
function hasAddress({ ready, ips }: SandboxDetail, address: string): boolean {
  return ready && ips.includes(address)
}

function groupByPod(
  sandboxes: readonly SandboxSummary[],
  containers: readonly ContainerSummary[],
): Map<string, { sandboxes: SandboxSummary[]; containers: ContainerSummary[] }> {
  const groups = new Map<string, { sandboxes: SandboxSummary[]; containers: ContainerSummary[] }>()
  const of = (podUid: string): { sandboxes: SandboxSummary[]; containers: ContainerSummary[] } => {
    const group = groups.get(podUid) ?? { sandboxes: [], containers: [] }
    groups.set(podUid, group)
    return group
  }
  // Without a uid it is not a pod of ours: someone else uses the runtime too.
  for (const sandbox of sandboxes) if (sandbox.podUid !== '') of(sandbox.podUid).sandboxes.push(sandbox)
  for (const container of containers) if (container.podUid !== '') of(container.podUid).containers.push(container)
  return groups
}

function fingerprint(sandboxes: readonly SandboxSummary[], containers: readonly ContainerSummary[]): string {
  const parts = [
    ...sandboxes.map(({ id, ready }) => `${id}${ready ? '+' : '-'}`),
    ...containers.map(({ id, phase }) => `${id}${phase}`),
  ]
  return parts.toSorted().join(' ')
}
