import {
  EPOCH_ANNOTATION,
  isStatus,
  NAMESPACE_ANNOTATION,
  RESOURCE_PARTITION_ANNOTATION,
  StatusError,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
  type Stored,
} from '@centaurus/api'
import { pods, type Binding, type Pod } from '@centaurus/api/core/v1'
import { formatGpuAllocation, GPU_ALLOCATION_ANNOTATION, type GpuAllocation } from '@centaurus/api/gpu'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink, PartitionLink } from '../membership/partition-link.ts'
import type { ClaimBook } from './claim-book.ts'
import { ClaimSender, claimsOver, type SendResult } from './claim-sender.ts'
import type { Amounts, ClaimAnswer, ClaimItem, ClaimRoom, HostPort, ReleaseRoom } from './model.ts'
import type { PartitionReach } from './partition-reach.ts'

/** A binding whose outcome is not known is made again after this long: it happens once. */
const BIND_RETRY_MS = 200

/** A scheduler's decision. The scheduler's `BindItem` fits. */
export interface BindingItem {
  readonly pod: Stored<Pod>
  readonly nodeName: string
  readonly requests: Amounts
  readonly ports: readonly HostPort[]
  /** Devices by container, which the pod gets with its node; they are in `requests` as well. */
  readonly gpus?: { readonly allocation: GpuAllocation } | undefined
  /** Enough items of one call with the same key have room, or none of them is bound. */
  readonly gang?: { readonly key: string; readonly needed: number } | undefined
}

/** The scheduler's `BindResult`. */
export type BindingResult =
  | { readonly type: 'bound' }
  | { readonly type: 'refused'; readonly reason: string; readonly free?: Amounts | undefined }
  /** It had room, and gave it back: not enough others of its gang had. */
  | { readonly type: 'gangRefused'; readonly reason: string }
  | { readonly type: 'failed'; readonly error: Error }

/** The scheduler's `PreemptResult`. */
export type PreemptionResult =
  | { readonly type: 'nominated'; readonly victims: number }
  | Exclude<BindingResult, { type: 'bound' | 'gangRefused' }>

export interface ClaimBinderDeps {
  readonly membership: Pick<Membership, 'self' | 'get' | 'hosts'>
  readonly openLink: OpenLink
  /** On the view over all tenants of this partition. */
  readonly client: Client
  /** Of this scheduler: see `acquireEpoch`. A binder serves one epoch. */
  readonly epoch: number
  /** Which resource partition has a node. */
  readonly partitionOf: (nodeName: string) => string | undefined
  /** The book of this partition when it has nodes of its own: no request goes over the network. */
  readonly localClaims?: ClaimBook | undefined
  /** Why a resource partition is not believed at the moment: nothing is claimed there. */
  readonly whyFenced?: ((partition: string) => string | undefined) | undefined
  /** Is told which partitions do not answer, and tells which are back. */
  readonly reach?: Pick<PartitionReach, 'claimFailed' | 'isReachable' | 'onChange'> | undefined
  readonly clock: Clock
  readonly logger: Logger
  /** Called when another scheduler has taken over: stop. */
  readonly onDeposed: () => void
}

/** Fits the scheduler's `Binder`. */
export interface ClaimBinder {
  bind(items: readonly BindingItem[]): Promise<readonly BindingResult[]>
  /** Has pods of other partitions make room for a more important one. `leaving`: pods of this partition that leave the node. */
  preempt(item: BindingItem, leaving: readonly string[]): Promise<PreemptionResult>
  /** Gives up what was asked by {@link preempt}. */
  withdraw(nodeName: string, uid: string): void
  /** Claims room for pods that are bound already, without binding them: the answer, or why there is none. */
  claim(items: readonly BindingItem[]): Promise<readonly SendResult[]>
  /** Whether the pod's claim or binding has no outcome yet. */
  isUnderWay(uid: string): boolean
  /** Gives room back at a resource partition, after everything that was asked of it before. */
  release(partition: string, items: readonly ReleaseRoom[]): Promise<readonly SendResult[]>
  close(): Promise<void>
}

/**
 * Makes decisions real: claims room at the partition that has the node, binds the pod here, and gives the room back when that fails. A pod is
 * bound only while it holds its room, and only while this scheduler leads.
 */
export function createClaimBinder(deps: ClaimBinderDeps): ClaimBinder {
  return new Binder(deps)
}

interface PlacedItem extends BindingItem {
  readonly partition: string
}

interface Peer {
  readonly endpoints: string
  readonly sender: ClaimSender
  readonly link: PartitionLink | undefined
}

class Binder implements ClaimBinder {
  readonly #deps: ClaimBinderDeps
  readonly #peers = new Map<string, Peer>()
  readonly #abort = new AbortController()
  readonly #underWay = new Set<string>()
  readonly #stopListening: () => void
  readonly #away = new Set<string>()

  constructor(deps: ClaimBinderDeps) {
    this.#deps = deps
    this.#stopListening = deps.reach?.onChange(() => this.#reachChanged()) ?? (() => {})
  }

  async bind(items: readonly BindingItem[]): Promise<readonly BindingResult[]> {
    const placed = items.map((item) => this.#place(item))
    for (const { pod } of placed) this.#underWay.add(pod.metadata.uid)
    try {
      const claims = await this.#claimPlaced(placed)
      const held = await Promise.all(placed.map((item, i) => this.#hold(item, claims[i]!)))
      const results = this.#giveBackGangs(placed, held)
      return await Promise.all(placed.map(async (item, i) => results[i] ?? this.#bindClaimed(item)))
    } finally {
      for (const { pod } of placed) this.#underWay.delete(pod.metadata.uid)
    }
  }

  async preempt(item: BindingItem, leaving: readonly string[]): Promise<PreemptionResult> {
    const placed = this.#place(item)
    const [result] = await this.#send(placed.partition, [{ ...toClaim(placed), op: 'preempt', leaving }])
    if (result!.type !== 'answered') return { type: 'failed', error: result!.error }
    const { answer } = result!
    if (answer.result === 'nominated') return { type: 'nominated', victims: answer.victims ?? 0 }
    return refusedBy(answer)
  }

  withdraw(nodeName: string, uid: string): void {
    const partition = this.#deps.partitionOf(nodeName)
    if (partition !== undefined) void this.#send(partition, [{ op: 'withdraw', uid }])
  }

  isUnderWay(uid: string): boolean {
    return this.#underWay.has(uid)
  }

  release(partition: string, items: readonly ReleaseRoom[]): Promise<readonly SendResult[]> {
    return this.#send(partition, items)
  }

  claim(items: readonly BindingItem[]): Promise<readonly SendResult[]> {
    return this.#claimPlaced(items.map((item) => this.#place(item)))
  }

  /** The partition is looked up once: nodes may come and go while a pod is bound. */
  #place(item: BindingItem): PlacedItem {
    return { ...item, partition: this.#deps.partitionOf(item.nodeName) ?? '' }
  }

  async #claimPlaced(items: readonly PlacedItem[]): Promise<readonly SendResult[]> {
    const results: SendResult[] = Array.from({ length: items.length })
    const byPartition = Map.groupBy(items.keys(), (i) => items[i]!.partition)
    await Promise.all(
      Array.from(byPartition, async ([partition, at]) => {
        const answers = await this.#send(
          partition,
          at.map((i) => toClaim(items[i]!)),
        )
        for (const [n, i] of at.entries()) results[i] = answers[n]!
      }),
    )
    return results
  }

  #reachChanged(): void {
    for (const [partition, { sender }] of this.#peers) {
      const isAway = this.#deps.reach?.isReachable(partition) === false
      if (!isAway && this.#away.delete(partition)) sender.retryNow()
      else if (isAway) this.#away.add(partition)
    }
  }

  async close(): Promise<void> {
    this.#stopListening()
    this.#abort.abort(new Error('The binder was closed'))
    await Promise.all(
      Array.from(this.#peers.values(), async ({ sender, link }) => {
        await sender.close()
        await link?.close()
      }),
    )
  }

  async #send(partition: string, items: readonly ClaimItem[]): Promise<readonly SendResult[]> {
    const sender = this.#senderOf(partition)
    if (sender instanceof Error) return items.map(() => ({ type: 'unreachable', error: sender }))
    return sender.send(items)
  }

  #senderOf(partition: string): ClaimSender | Error {
    const { membership, localClaims, openLink, whyFenced } = this.#deps
    const why = whyFenced?.(partition)
    if (why !== undefined) return new Error(`Partition "${partition}" is fenced: ${why}`)
    const member = membership.get(partition)
    if (member === undefined) return new Error('No resource partition that is known has the node')
    const endpoints = member.spec.endpoints.join()
    const present = this.#peers.get(partition)
    if (present !== undefined && (present.link === undefined || present.endpoints === endpoints)) return present.sender
    if (partition === membership.self) {
      if (localClaims === undefined) return new Error('This partition has no nodes')
      return this.#addPeer(partition, { endpoints, link: undefined })
    }
    return this.#addPeer(partition, { endpoints, link: openLink(member) }, present)
  }

  /** At new addresses the same sender goes on, since its requests are numbered. */
  #addPeer(partition: string, { endpoints, link }: Omit<Peer, 'sender'>, present?: Peer): ClaimSender {
    const { membership, localClaims, epoch, clock, logger, onDeposed, reach } = this.#deps
    const sender =
      present?.sender ??
      new ClaimSender({
        door: (request, signal) => {
          const way = this.#peers.get(partition)?.link
          return way === undefined ? localClaims!.submit(request) : claimsOver(way)(request, signal)
        },
        partition: membership.self,
        epoch,
        clock,
        logger: logger.with({ partition }),
        onDeposed,
        onFailed: (retryMs) => reach?.claimFailed(partition, retryMs),
      })
    this.#peers.set(partition, { endpoints, link, sender })
    void present?.link?.close()
    return sender
  }

  /** Undefined: it has its room. */
  async #hold(item: PlacedItem, result: SendResult): Promise<BindingResult | undefined> {
    if (result.type !== 'answered') {
      if (result.type === 'deposed') return { type: 'failed', error: result.error }
      return { type: 'refused', reason: result.error.message }
    }
    const { answer } = result
    if (answer.result === 'accepted') return undefined
    return answer.reason === 'ClaimedElsewhere' ? this.#moveClaim(item) : refusedBy(answer)
  }

  /** What becomes of pods whose gang has too little room over all partitions: what they hold is given back before any of them is bound. */
  #giveBackGangs(
    items: readonly PlacedItem[],
    held: readonly (BindingResult | undefined)[],
  ): (BindingResult | undefined)[] {
    const counts = new Map<string, number>()
    for (const [i, { gang }] of items.entries()) {
      if (gang !== undefined && held[i] === undefined) counts.set(gang.key, (counts.get(gang.key) ?? 0) + 1)
    }
    return items.map(({ gang, partition, nodeName, pod }, i) => {
      const count = counts.get(gang?.key ?? '') ?? 0
      if (held[i] !== undefined || gang === undefined || count >= gang.needed) return held[i]
      void this.#send(partition, [{ op: 'release', uid: pod.metadata.uid, node: nodeName }])
      return { type: 'gangRefused', reason: `${gang.needed} pods of its gang must have room, ${count} have` }
    })
  }

  /** An earlier try, perhaps of an earlier scheduler, left the room of a pod behind. It is given back if the pod is really not bound. */
  async #moveClaim(item: PlacedItem): Promise<BindingResult | undefined> {
    const { namespace, name, uid } = item.pod.metadata
    try {
      const pod = await this.#deps.client.get(pods, { namespace, name }, { signal: this.#abort.signal })
      if (pod.metadata.uid !== uid || pod.spec?.nodeName) {
        return { type: 'failed', error: new Error(`Pod is bound to node "${pod.spec?.nodeName}" already`) }
      }
    } catch (error) {
      return { type: 'failed', error: error as Error }
    }
    const sender = this.#senderOf(item.partition)
    if (sender instanceof Error) return { type: 'refused', reason: sender.message }
    const [, result] = await sender.send([{ op: 'release', uid }, toClaim(item)])
    if (result!.type !== 'answered') return { type: 'refused', reason: result!.error.message }
    const { answer } = result!
    return answer.result === 'accepted' ? undefined : refusedBy(answer)
  }

  async #bindClaimed(item: PlacedItem): Promise<BindingResult> {
    const { signal } = this.#abort
    const { uid } = item.pod.metadata
    for (;;) {
      const outcome = await this.#bindOnce(item)
      if (outcome === 'bound') return { type: 'bound' }
      if (!this.#deps.membership.hosts(tenantOf(item.pod))) {
        // it may have been bound just before the tenant moved: its new partition, and so the one with the node, know
        return { type: 'failed', error: new Error('The tenant of the Pod has moved to another partition') }
      }
      if (outcome !== 'unknown') {
        const sender = this.#peers.get(item.partition)?.sender
        void sender?.send([{ op: 'release', uid, node: item.nodeName }])
        return { type: 'failed', error: outcome }
      }
      try {
        await this.#deps.clock.sleep(BIND_RETRY_MS, { signal })
      } catch (error) {
        return { type: 'failed', error: error as Error } // whoever leads next finds out
      }
    }
  }

  /** `unknown`: it may have happened, or may yet. */
  async #bindOnce({ pod, nodeName, partition, gpus }: PlacedItem): Promise<'bound' | 'unknown' | Error> {
    const { client, epoch } = this.#deps
    const { namespace, name, uid } = pod.metadata
    const annotations = {
      [RESOURCE_PARTITION_ANNOTATION]: partition,
      [EPOCH_ANNOTATION]: String(epoch),
      ...(gpus && { [GPU_ALLOCATION_ANNOTATION]: formatGpuAllocation(gpus.allocation) }),
    }
    const binding: Binding = {
      metadata: { name, namespace, uid, annotations },
      target: { kind: 'Node', name: nodeName },
    }
    try {
      await client.createSubresource(pods, { namespace, name }, 'binding', binding)
      return 'bound'
    } catch (error) {
      if (!(error instanceof StatusError) || error.code >= 500 || error.code === 429) {
        this.#deps.logger.warn('Could not bind a Pod, will retry', { pod: `${namespace}/${name}`, error })
        return 'unknown'
      }
      if (!isStatus(error, 'Conflict')) return error
      return (await this.#isBoundTo(pod, nodeName)) ?? error
    }
  }

  /** A conflict may be with our own binding, of which no answer came. Undefined: it is with another's. */
  async #isBoundTo({ metadata }: Stored<Pod>, nodeName: string): Promise<'bound' | 'unknown' | undefined> {
    const { namespace, name, uid } = metadata
    try {
      const pod = await this.#deps.client.get(pods, { namespace, name })
      return pod.metadata.uid === uid && pod.spec?.nodeName === nodeName ? 'bound' : undefined
    } catch (error) {
      return isStatus(error, 'NotFound') ? undefined : 'unknown'
    }
  }
}

function tenantOf({ metadata }: Pod): string {
  return metadata.annotations?.[TENANT_ANNOTATION] ?? SYSTEM_TENANT
}

function refusedBy({ message, reason, free }: ClaimAnswer): Extract<BindingResult, { type: 'refused' }> {
  return { type: 'refused', reason: message ?? reason ?? 'refused', free }
}

/** Names are those that the pod's tenant knows. */
function toClaim({ pod, nodeName, requests, ports }: BindingItem): ClaimRoom {
  const { uid, name, namespace, annotations } = pod.metadata
  return {
    op: 'claim',
    uid,
    tenant: tenantOf(pod),
    namespace: annotations?.[NAMESPACE_ANNOTATION] ?? namespace ?? '',
    name,
    node: nodeName,
    requests,
    ports,
    priority: pod.spec?.priority,
  }
}
