import { pods, type Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { Client, Informer } from '@centaurus/client'
import type { GpuGrant } from '@centaurus/api/gpu'
import type { Mount } from '../plugin/protocol/messages.ts'
import { containerKey, type ContainerFolders } from './container-folders.ts'
import { sharesOfPods } from './shares-of-pods.ts'

/** How soon after a change of pods their limits follow; changes that come together are one. */
const FOLLOW_MS = 50
/** How often folders without a pod are looked for. */
const SWEEP_MS = 10_000
/** A folder goes when its pod is away for so long: the API may know of a pod later than the node agent. */
const GONE_MS = 30_000

/** Whose GPUs they are. */
export interface ContainerOwner {
  readonly podUid: string
  readonly container: string
}

export interface ContainerKeeperOptions {
  readonly folders: ContainerFolders
  /** Those of this node. */
  readonly pods: Informer<Pod>
  readonly client: Client
  readonly nodeName: string
  readonly clock: Clock
  readonly logger: Logger
}

/** Keeps the folders of containers as their pods say: limits, what others see of them, and none for pods that are gone. */
export class ContainerKeeper {
  readonly #options: ContainerKeeperOptions
  readonly #stopFollowing: () => void
  /** Folders without a pod, and since when, monotonic milliseconds. */
  readonly #missing = new Map<string, number>()
  #follow: Timer | undefined
  #sweep: Timer | undefined
  #closed = false

  constructor(options: ContainerKeeperOptions) {
    this.#options = options
    const onChange = (): void => this.#followSoon()
    this.#stopFollowing = options.pods.addHandler({
      onAdd: onChange,
      onUpdate: onChange,
      onDelete: (pod) => this.#forget(pod),
    })
    this.#scheduleSweep()
  }

  /** Makes the folder of a container that begins. Returns what it must have mounted. Throws what the file system says. */
  prepare({ podUid, container }: ContainerOwner, grants: readonly GpuGrant[]): Mount[] {
    const key = containerKey(podUid, container)
    this.#missing.delete(key)
    // the pod may have come to the node agent before it comes here; its priority follows
    const priority = sharesOfPods(this.#options.pods.list()).get(key)?.priority ?? 0
    return this.#options.folders.prepare(key, { grants, priority })
  }

  close(): void {
    this.#closed = true
    this.#stopFollowing()
    this.#follow?.cancel()
    this.#sweep?.cancel()
  }

  #followSoon(): void {
    this.#follow ??= this.#options.clock.setTimer(FOLLOW_MS, () => {
      this.#follow = undefined
      this.#apply()
    })
  }

  /** The pod's containers have ended: nobody waits for what they wanted. Their folders go later, when that is certain. */
  #forget(pod: Pod): void {
    for (const key of sharesOfPods([pod]).keys()) {
      try {
        this.#options.folders.setDemand(key, undefined)
      } catch (error) {
        this.#options.logger.warn('Could not free what a container wanted', { pod: nameOf(pod), error })
      }
    }
  }

  /** Brings the folders that there are to what pods say. Safe to run at any time. */
  #apply(): void {
    const { folders, logger } = this.#options
    if (this.#closed || !this.#options.pods.synced) return
    const known = sharesOfPods(this.#options.pods.list())
    for (const key of folders.list()) {
      const container = known.get(key)
      if (container === undefined) continue
      const { pod, state } = container
      try {
        if (folders.setLimits(key, container))
          logger.info('Changed limits of a container', { pod: nameOf(pod), container: container.container })
        folders.setDemand(key, state === 'active' ? container : undefined)
      } catch (error) {
        logger.warn('Could not change limits of a container', { pod: nameOf(pod), error })
      }
    }
  }

  #scheduleSweep(): void {
    this.#sweep = this.#options.clock.setTimer(SWEEP_MS, () => {
      this.#removeGone()
        .catch((error: unknown) => this.#options.logger.warn('Could not remove folders of containers', { error }))
        .finally(() => {
          if (!this.#closed) this.#scheduleSweep()
        })
    })
  }

  async #removeGone(): Promise<void> {
    const { folders, clock, client, nodeName, logger } = this.#options
    if (!this.#options.pods.synced) return
    const missing = withoutPod(folders.list(), this.#options.pods.list())
    for (const key of this.#missing.keys()) if (!missing.includes(key)) this.#missing.delete(key)
    for (const key of missing) if (!this.#missing.has(key)) this.#missing.set(key, clock.monotonicMs())
    const isOld = (key: string): boolean => clock.monotonicMs() - (this.#missing.get(key) ?? Infinity) >= GONE_MS
    if (!missing.some(isOld)) return
    // what is followed may be late; a container must never lose its limits while it runs
    const listed = await client.list(pods, { fieldSelector: `spec.nodeName=${nodeName}` })
    for (const key of withoutPod(missing.filter(isOld), listed.items)) {
      folders.remove(key)
      this.#missing.delete(key)
      logger.info('Removed the folder of a container that is gone', { container: key })
    }
  }
}

/** Those that no container of these pods needs. */
function withoutPod(keys: readonly string[], list: readonly Pod[]): string[] {
  const known = sharesOfPods(list)
  return keys.filter((key) => (known.get(key)?.state ?? 'over') === 'over')
}

function nameOf({ metadata }: Pick<Pod, 'metadata'>): string {
  return `${metadata.namespace}/${metadata.name}`
}
