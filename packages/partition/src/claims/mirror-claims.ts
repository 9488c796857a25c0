import { SYSTEM_TENANT } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { ObjectReader } from '@centaurus/apiserver'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { ClaimBook } from './claim-book.ts'
import { isOver } from './claim-releaser.ts'
import type { ClaimRoom } from './model.ts'
import { isMirrorPod, roomOf } from './pod-room.ts'

const COALESCE_MS = 20
/** Nobody can take their room: the node would start them again. Source: IsCriticalPod, pkg/kubelet/types/pod_update.go v1.37. */
const NODE_CRITICAL_PRIORITY = 2_000_001_000
/** A node that has no room for what it runs already, or did not say yet what it has, is asked again. */
const RETRY_DELAY_MS = 30_000

export interface MirrorClaimsDeps {
  readonly claims: ClaimBook
  /** This partition. */
  readonly self: string
  readonly reader: ObjectReader
  readonly clock: Clock
  readonly logger: Logger
}

/** Claims room for the pods that nodes run from their own files: no scheduler does, and they are there. Ends of such pods are the releaser's. */
export class MirrorClaims {
  readonly #deps: MirrorClaimsDeps
  readonly #waiting = new Map<string, ClaimRoom>()
  readonly #removeListener: () => void
  #timer: Timer | undefined

  constructor(deps: MirrorClaimsDeps) {
    this.#deps = deps
    const { reader } = deps
    this.#removeListener = reader.onChange<Pod>(pods, (change) => {
      if (change.type === 'DELETED') this.#waiting.delete(change.object().metadata.uid)
      else this.#look(change.object())
    })
    for (const pod of reader.list<Pod>(pods)) this.#look(pod)
  }

  close(): void {
    this.#removeListener()
    this.#timer?.cancel()
  }

  #look(pod: Readonly<Pod>): void {
    const { uid, namespace = '', name = '' } = pod.metadata
    const node = pod.spec?.nodeName
    if (uid === undefined || !node || !isMirrorPod(pod)) return
    if (isOver(pod)) return void this.#waiting.delete(uid)
    if (this.#deps.claims.ledger.nodeOf(uid) !== undefined) return
    const room = roomOf(pod)
    this.#waiting.set(uid, {
      op: 'claim',
      uid,
      tenant: SYSTEM_TENANT,
      namespace,
      name,
      node,
      ...room,
      priority: NODE_CRITICAL_PRIORITY,
    })
    this.#arm(COALESCE_MS)
  }

  #arm(delayMs: number): void {
    this.#timer ??= this.#deps.clock.setTimer(delayMs, () => {
      this.#timer = undefined
      void this.#claim()
    })
  }

  async #claim(): Promise<void> {
    const { claims, self, logger } = this.#deps
    try {
      for (const answer of await claims.claimFor(self, [...this.#waiting.values()])) {
        if (answer.result === 'accepted') this.#waiting.delete(answer.uid)
        else logger.debug('Node has no room for a Pod that it runs itself', { uid: answer.uid, reason: answer.reason })
      }
    } catch (error) {
      logger.warn('Could not claim room for mirror Pods, will retry', { error })
    }
    if (this.#waiting.size > 0) this.#arm(RETRY_DELAY_MS)
  }
}
