import { isStatus, type Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import { pods } from '@centaurus/api/core/v1'
import { decodeText, type Clock, type Logger, type Timer } from '@centaurus/base'
import type { Client, Informer } from '@centaurus/client'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink } from '../membership/partition-link.ts'
import type { ClaimBinder } from './claim-binder.ts'
import type { ClaimBook } from './claim-book.ts'
import { isOver } from './claim-releaser.ts'
import { CLAIMS_PATH } from './claims-extension.ts'
import type { HeldClaim, HeldClaimsLine, ReleaseRoom } from './model.ts'

const FIRST_AFTER_MS = 60_000
const INTERVAL_MS = 10 * 60_000
/** Longest wait for a partition to list what we hold. */
const LIST_TIMEOUT_MS = 60_000

export interface ClaimAuditorDeps {
  readonly membership: Pick<Membership, 'self' | 'list' | 'hosts'>
  readonly openLink: OpenLink
  readonly localClaims?: ClaimBook | undefined
  readonly binder: Pick<ClaimBinder, 'isUnderWay' | 'release'>
  /** The one that the scheduler takes its pods from. */
  readonly pods: Informer<Pod>
  readonly client: Client
  readonly epoch: number
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Now and then compares the room that this scheduler holds at each resource partition with the pods that are bound, and gives back what nobody
 * uses: what was lost when an API server was killed between two steps. Claims of earlier schedulers are the resource partition's own to judge.
 */
export class ClaimAuditor {
  readonly #deps: ClaimAuditorDeps
  readonly #abort = new AbortController()
  #timer: Timer | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(deps: ClaimAuditorDeps) {
    this.#deps = deps
    this.#arm(FIRST_AFTER_MS)
  }

  /** Looks now. Never rejects: a partition that does not answer is looked at the next time. */
  async audit(): Promise<void> {
    const { membership, logger } = this.#deps
    for (const { metadata, spec } of membership.list()) {
      if (!spec.roles.includes('Resource') || this.#abort.signal.aborted) continue
      try {
        await this.#auditPartition(metadata.name)
      } catch (error) {
        logger.warn('Could not compare claims with Pods, will retry', { partition: metadata.name, error })
      }
    }
  }

  async close(): Promise<void> {
    this.#abort.abort(new Error('Closed'))
    this.#timer?.cancel()
    await this.#running
  }

  #arm(delayMs: number): void {
    this.#timer = this.#deps.clock.setTimer(delayMs, () => {
      this.#running = this.audit().finally(() => this.#abort.signal.aborted || this.#arm(INTERVAL_MS))
    })
  }

  async #auditPartition(partition: string): Promise<void> {
    const { binder, logger } = this.#deps
    const held = await this.#listHeld(partition)
    const byUid = new Map(this.#deps.pods.list().map((pod) => [pod.metadata.uid, pod]))
    for (const [uid, node, tenant] of held) {
      const pod = byUid.get(uid)
      if (binder.isUnderWay(uid) || (pod !== undefined && isBoundTo(pod, node))) continue
      // Whom this scheduler claimed for, it knew: a pod that it does not know any more is gone, or went elsewhere with its tenant.
      if (pod === undefined && !this.#deps.membership.hosts(tenant)) continue
      if (pod !== undefined && (await this.#isReallyBound(pod, node))) continue
      if (binder.isUnderWay(uid)) continue // since a moment ago
      const release: ReleaseRoom = { op: 'release', uid, node }
      void binder.release(partition, [release])
      logger.info('Gave room back that no Pod uses', { partition, node, uid })
    }
  }

  async #isReallyBound({ metadata }: Stored<Pod>, node: string): Promise<boolean> {
    const { namespace, name, uid } = metadata
    try {
      const pod = await this.#deps.client.get(pods, { namespace, name }, { signal: this.#abort.signal })
      return pod.metadata.uid === uid && isBoundTo(pod, node)
    } catch (error) {
      if (isStatus(error, 'NotFound')) return false
      throw error
    }
  }

  async #listHeld(partition: string): Promise<HeldClaim[]> {
    const { membership, localClaims, openLink, epoch, clock } = this.#deps
    if (partition === membership.self) return [...(localClaims?.held(partition, epoch) ?? [])]
    const member = membership.list().find(({ metadata }) => metadata.name === partition)!
    const link = openLink(member)
    const late = new AbortController()
    const timer = clock.setTimer(LIST_TIMEOUT_MS, () => late.abort(new Error(`No answer after ${LIST_TIMEOUT_MS} ms`)))
    const held: HeldClaim[] = []
    try {
      await link.stream({
        path: `${CLAIMS_PATH}?epoch=${epoch}`,
        signal: AbortSignal.any([this.#abort.signal, late.signal]),
        onLine: (bytes) => held.push(...(JSON.parse(decodeText(bytes)) as HeldClaimsLine).held),
      })
      return held
    } finally {
      timer.cancel()
      await link.close()
    }
  }
}

function isBoundTo(pod: Stored<Pod>, node: string): boolean {
  return pod.spec?.nodeName === node && !isOver(pod)
}
