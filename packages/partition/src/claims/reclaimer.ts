import { objectKey, RESOURCE_PARTITION_ANNOTATION, type Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import { createWorkQueue, runController, type Informer, type RunningController } from '@centaurus/client'
import type { PeerStates } from '../epoch/peer-states.ts'
import type { Membership } from '../membership/membership.ts'
import type { ClaimBinder } from './claim-binder.ts'
import { isOver } from './claim-releaser.ts'
import { isMirrorPod, roomOf } from './pod-room.ts'

/** Pods that are claimed in one go. */
const BATCH_PODS_MAX = 256
/** A partition that does not answer, or does not know a node yet, is asked again after this. */
const RETRY_MS = 2_000

export interface ReclaimerDeps {
  readonly binder: Pick<ClaimBinder, 'claim'>
  /** All pods of this partition's tenants. */
  readonly pods: Informer<Pod>
  readonly peers: Pick<PeerStates, 'whyFenced' | 'onChange'>
  readonly membership: Pick<Membership, 'list'>
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Claims room again for all pods on the nodes of a resource partition that was fenced and is believed again: its store is an older or another one, and
 * may know nothing of what runs there. Claims that it has are answered as before.
 */
export function startReclaimer(deps: ReclaimerDeps): RunningController {
  const { peers, membership, clock, logger } = deps
  const queue = createWorkQueue({ clock })
  const fenced = new Set<string>()
  const review = (): void => {
    for (const { metadata } of membership.list()) {
      const { name } = metadata
      if (peers.whyFenced(name) !== undefined) fenced.add(name)
      else if (fenced.delete(name)) queue.add(name)
    }
  }
  const remove = peers.onChange(review)
  review()
  const running = runController({
    name: 'reclaim-controller',
    queue,
    workers: 1,
    logger,
    async reconcile(partition, signal) {
      await deps.pods.whenSynced(signal)
      const left = peers.whyFenced(partition) === undefined ? await claimAll(partition, deps) : 0
      return left > 0 ? { requeueAfterMs: RETRY_MS } : undefined
    },
  })
  return {
    ...running,
    async close() {
      remove()
      await running.close()
    },
  }
}

/** Returns for how many pods there is no answer yet that will last. */
async function claimAll(partition: string, { binder, pods, logger }: ReclaimerDeps): Promise<number> {
  const bound = pods.list().filter((pod) => holdsRoom(pod, partition))
  let left = 0
  for (let at = 0; at < bound.length; at += BATCH_PODS_MAX) {
    const batch = bound.slice(at, at + BATCH_PODS_MAX)
    const results = await binder.claim(batch.map((pod) => ({ pod, nodeName: pod.spec!.nodeName!, ...roomOf(pod) })))
    for (const [i, result] of results.entries()) {
      if (result.type === 'deposed') return 0
      if (result.type !== 'answered') left++
      else if (result.answer.result !== 'accepted') {
        const { reason } = result.answer
        if (reason === 'NodePorts' || reason?.startsWith('OutOf') === true)
          logger.warn('A Pod runs where it has no room', { pod: objectKey(batch[i]!), partition, reason })
        else left++
      }
    }
  }
  return left
}

function holdsRoom(pod: Stored<Pod>, partition: string): boolean {
  return (
    pod.metadata.annotations?.[RESOURCE_PARTITION_ANNOTATION] === partition &&
    Boolean(pod.spec?.nodeName) &&
    !isOver(pod) &&
    !isMirrorPod(pod)
  )
}
