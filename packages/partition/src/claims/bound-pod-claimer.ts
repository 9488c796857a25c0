import { isStatus, objectKey, RESOURCE_PARTITION_ANNOTATION, type ObjectKey, type Stored } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { Client, Informer } from '@centaurus/client'
import type { ClaimBinder } from './claim-binder.ts'
import { isOver } from './claim-releaser.ts'
import type { SendResult } from './claim-sender.ts'
import { isMirrorPod, roomOf } from './pod-room.ts'

const COALESCE_MS = 20
/** A node whose partition does not answer, or is not known yet, is asked again after this long. */
const RETRY_DELAY_MS = 5_000
/** Pods that are claimed in one go. */
const BATCH_PODS_MAX = 256

export interface BoundPodClaimerDeps {
  readonly binder: Pick<ClaimBinder, 'claim'>
  /** All pods of this partition's tenants. */
  readonly pods: Informer<Pod>
  readonly partitionOf: (nodeName: string) => string | undefined
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Claims room for pods that came with a node and never met a scheduler. With room, they are marked with the node's partition, which makes them go
 * to their node; without, they fail as a kubelet would have failed them. A pod that runs already is left alone.
 */
export class BoundPodClaimer {
  readonly #deps: BoundPodClaimerDeps
  readonly #waiting = new Set<ObjectKey>()
  readonly #removeHandler: () => void
  #timer: Timer | undefined
  #running: Promise<void> = Promise.resolve()
  #closed = false

  constructor(deps: BoundPodClaimerDeps) {
    this.#deps = deps
    const look = (pod: Stored<Pod>): void => {
      if (!needsRoom(pod)) return void this.#waiting.delete(objectKey(pod))
      this.#waiting.add(objectKey(pod))
      this.#arm(COALESCE_MS)
    }
    this.#removeHandler = deps.pods.addHandler({
      onAdd: look,
      onUpdate: look,
      onDelete: (pod) => this.#waiting.delete(objectKey(pod)),
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#removeHandler()
    this.#timer?.cancel()
    await this.#running
  }

  #arm(delayMs: number): void {
    if (this.#closed) return
    this.#timer ??= this.#deps.clock.setTimer(delayMs, () => {
      this.#timer = undefined
      this.#running = this.#claimAll()
    })
  }

  /** Never rejects. What can't be settled now waits for the next time. */
  async #claimAll(): Promise<void> {
    const { binder, partitionOf, logger } = this.#deps
    const due = Array.from(this.#waiting)
      .flatMap((key) => this.#deps.pods.get(key) ?? [])
      .filter((pod) => needsRoom(pod) && partitionOf(pod.spec!.nodeName!) !== undefined)
      .slice(0, BATCH_PODS_MAX)
    try {
      const results = await binder.claim(due.map((pod) => ({ pod, nodeName: pod.spec!.nodeName!, ...roomOf(pod) })))
      await Promise.all(due.map((pod, i) => this.#settle(pod, results[i]!)))
    } catch (error) {
      logger.warn('Could not settle Pods that came with a node, will retry', { error })
    }
    if (this.#waiting.size > 0) this.#arm(RETRY_DELAY_MS)
  }

  async #settle(pod: Stored<Pod>, result: SendResult): Promise<void> {
    if (result.type !== 'answered') return
    const { namespace, name } = pod.metadata
    const { answer } = result
    try {
      if (answer.result === 'accepted') await this.#mark(pod)
      else if (isFinal(answer.reason) && pod.status?.startTime === undefined) {
        await this.#fail(pod, { reason: answer.reason!, message: answer.message ?? '' })
      } else {
        this.#deps.logger.debug('No room for a Pod that came with a node', { pod: `${namespace}/${name}`, ...answer })
        return
      }
    } catch (error) {
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error
    }
    this.#waiting.delete(objectKey(pod)) // its next version comes again
  }

  async #mark({ metadata, spec }: Stored<Pod>): Promise<void> {
    const partition = this.#deps.partitionOf(spec!.nodeName!)
    if (partition === undefined) return
    const { namespace, name, uid } = metadata
    const annotations = { [RESOURCE_PARTITION_ANNOTATION]: partition }
    const body = { metadata: { uid, annotations } }
    await this.#deps.client.patch(pods, { namespace, name }, { type: 'merge', body })
  }

  /** Source: kubelet pkg/kubelet/kubelet.go rejectPod and lifecycle/predicate.go, v1.37. */
  async #fail({ metadata }: Stored<Pod>, { reason, message }: { reason: string; message: string }): Promise<void> {
    const { namespace, name, uid } = metadata
    const status = { phase: 'Failed', reason, message: `Pod was rejected: ${message}` }
    const body = { metadata: { uid }, status }
    await this.#deps.client.patch(pods, { namespace, name }, { type: 'merge', body }, { subresource: 'status' })
  }
}

function needsRoom(pod: Stored<Pod>): boolean {
  const { annotations, deletionTimestamp } = pod.metadata
  if (!pod.spec?.nodeName || deletionTimestamp !== undefined || isOver(pod) || isMirrorPod(pod)) return false
  return annotations?.[RESOURCE_PARTITION_ANNOTATION] === undefined
}

/** Other refusals may pass: a node that is not known yet, room that is held elsewhere. */
function isFinal(reason: string | undefined): boolean {
  return reason === 'NodePorts' || reason?.startsWith('OutOf') === true
}
