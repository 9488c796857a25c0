import type { Container, Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { ClaimBook } from './claim-book.ts'
import type { Amounts, ClaimRoom } from './model.ts'
import { roomOf } from './pod-room.ts'

/** Pods that are resized within this time change their room together. */
const COALESCE_MS = 20
const RETRY_DELAY_MS = 1_000

export interface ClaimResizerDeps {
  readonly claims: ClaimBook
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Keeps the room of pods what it is after they were resized in place: what they ask for, if that fits, and in any case what their node has given
 * them. The node alone decides whether it gives more, and it knows less: not those that are on their way to it.
 */
export class ClaimResizer {
  readonly #deps: ClaimResizerDeps
  readonly #waiting = new Map<string, Readonly<Pod>>()
  #timer: Timer | undefined
  #closed = false

  constructor(deps: ClaimResizerDeps) {
    this.#deps = deps
  }

  /** A pod that is there, or has changed. Those that were never changed after they were made cost nothing. */
  look(pod: Readonly<Pod>): void {
    const { uid, generation = 1 } = pod.metadata
    if (generation <= 1 || uid === undefined) return
    if (this.#planClaim(uid, pod) === undefined) return void this.#waiting.delete(uid)
    this.#waiting.set(uid, pod)
    this.#arm(COALESCE_MS)
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #arm(delayMs: number): void {
    if (this.#closed) return
    this.#timer ??= this.#deps.clock.setTimer(delayMs, () => void this.#flush())
  }

  async #flush(): Promise<void> {
    this.#timer = undefined
    const { claims, logger } = this.#deps
    const pods = new Map(this.#waiting)
    this.#waiting.clear()
    try {
      await claims.whenCurrent() // another API server may have made the claim, or changed it, just now
      const byPartition = new Map<string, ClaimRoom[]>()
      for (const [uid, pod] of pods) {
        const planned = this.#planClaim(uid, pod)
        if (planned === undefined) continue
        const items = byPartition.get(planned.partition) ?? []
        byPartition.set(planned.partition, items)
        items.push(planned.item)
      }
      await Promise.all(Array.from(byPartition, ([partition, items]) => claims.claimFor(partition, items)))
    } catch (error) {
      if (this.#closed) return
      logger.warn('Could not change the room of pods that were resized, will retry', { pods: pods.size, error })
      for (const [uid, pod] of pods) if (!this.#waiting.has(uid)) this.#waiting.set(uid, pod)
      this.#arm(RETRY_DELAY_MS)
    }
  }

  /** Undefined when its room is as it should be, or somebody else's business. */
  #planClaim(uid: string, pod: Readonly<Pod>): { readonly partition: string; readonly item: ClaimRoom } | undefined {
    const found = this.#deps.claims.ledger.findClaim(uid)
    if (found === undefined || found.node !== pod.spec?.nodeName) return undefined
    const { name, terms } = found.claim
    const given = roomOf(withGiven(pod)).requests
    const requests = raise(roomOf(pod).requests, given)
    if (isSame(requests, terms.requests)) return undefined
    const { partition, tenant, namespace, ports, priority } = terms
    const { node } = found
    return { partition, item: { op: 'claim', uid, tenant, namespace, name, node, requests, given, ports, priority } }
  }
}

/** The pod with what its node says that its containers have. */
function withGiven(pod: Readonly<Pod>): Readonly<Pod> {
  const { spec, status } = pod
  if (spec === undefined) return pod
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  const known = new Map(statuses.map((each) => [each.name, each.resources?.requests]))
  const give = (container: Container): Container => {
    const requests = known.get(container.name)
    if (requests === undefined) return container
    const { resources } = container
    return { ...container, resources: { ...resources, requests: { ...resources?.requests, ...requests } } }
  }
  const { containers, initContainers } = spec
  const initial = initContainers === undefined ? {} : { initContainers: initContainers.map(give) }
  return { ...pod, spec: { ...spec, containers: containers.map(give), ...initial } }
}

/** The larger of both, by resource. */
function raise(a: Amounts, b: Amounts): Amounts {
  const raised: Record<string, number> = { ...a }
  for (const name in b) raised[name] = Math.max(raised[name] ?? 0, b[name]!)
  return raised
}

function isSame(a: Amounts, b: Amounts): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].every((name) => (a[name] ?? 0) === (b[name] ?? 0))
}
