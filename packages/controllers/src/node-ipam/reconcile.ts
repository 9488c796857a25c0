/**
 * Gives each node a range of addresses for its pods. What a node gets is written to the ledger before the node says so, and stays there until the node has been
 * gone for a while: after a crash a node gets what was meant for it, and two processes that both believe to be the one that gives can't give the same.
 */
import { formatTime, isStatus, type Stored } from '@centaurus/api'
import { nodes, type Node, type NodeCondition } from '@centaurus/api/core/v1'
import type { ReconcileResult, RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { createLocalNodeAuthority } from '../frame/node-authority.ts'
import { NodeCidrs } from './node-cidrs.ts'
import type { CidrHolder, NodeCidrSource } from './source.ts'

export interface NodeIpamDeps extends ControllerDeps {
  readonly nodeCidrs: NodeCidrSource
}

/** Nobody gets the range of a node that is gone for so long: others may still have routes to it, and its machine may still run pods. */
const CIDR_REST_MS = 600_000
/** The next block is asked for when no more ranges are left, so that nodes need not wait for home. */
const FREE_MIN = 16
/** A node that got none is looked at again after this long, and when there are more blocks. */
const RETRY_MS = 30_000
/** A block that was just got shows by then, and wakes who waits for it if not. */
const SOON_MS = 1_000
/** Nodes that got none are told once in a while, not each time. */
const CONDITION = 'PodCIDRAssigned'
const NONE_LEFT = 'CIDRNotAvailable'

/** Starts the controller. Ranges that others gave to nodes are respected, and given to nobody else. */
export function startNodeIpam(deps: NodeIpamDeps): RunningController {
  const nodeCache = deps.informers.informer(nodes)
  const state = new IpamState(deps, () => nodeCache.list())
  const authority = createLocalNodeAuthority(deps.client)
  return startReconciler(deps, {
    name: 'node-ipam-controller',
    informer: nodeCache,
    watch({ queue }) {
      const add = ({ metadata }: Stored<Node>): void => queue.add(metadata.name)
      const onUpdate = (node: Stored<Node>, before: Stored<Node>): void => {
        if (node.spec?.podCIDR !== before.spec?.podCIDR || node.metadata.uid !== before.metadata.uid) add(node)
      }
      return [
        nodeCache.addHandler({ onAdd: add, onUpdate, onDelete: add }),
        deps.nodeCidrs.onChange(() => {
          for (const name of state.waiting) queue.add(name)
        }),
      ]
    },
    async reconcile(name, context) {
      const abandoned = await state.open()
      for (const { node } of abandoned) if (nodeCache.get(node) === undefined) context.queue.add(node)
      const node = nodeCache.get(name)
      const rested = await state.letGo(name, node, () => authority.isNodeGone(name, undefined))
      const given = node === undefined ? undefined : await assign(node, { ...context, state })
      return given ?? rested
    },
  })
}

interface AssignContext extends ReconcilerContext {
  readonly state: IpamState
}

async function assign(node: Stored<Node>, context: AssignContext): Promise<ReconcileResult> {
  const { state, client, events } = context
  const { name, uid } = node.metadata
  const given = node.spec?.podCIDR ?? ''
  if (given !== '') {
    state.waiting.delete(name)
    const other = await state.respect(node, given)
    if (other !== undefined) {
      const message = `Its range ${given} is also that of node ${other}: remove one of the two and let it register again`
      events.record(node, { type: 'Warning', reason: 'CIDRConflict', message })
    }
    return tellCondition(node, context, undefined)
  }
  const taken = await state.take(node)
  if (taken.type !== 'range') state.waiting.add(name)
  if (taken.type === 'soon') return { requeueAfterMs: SOON_MS }
  if (taken.type === 'none') {
    const message = `No range of addresses is left for the pods of node ${name}: give the cluster more in spec.podNetwork of its home partition`
    events.record(node, { type: 'Warning', reason: NONE_LEFT, message })
    await tellCondition(node, context, message)
    return { requeueAfterMs: RETRY_MS }
  }
  state.waiting.delete(name)
  const { cidr } = taken
  const body = { metadata: { uid }, spec: { podCIDR: cidr, podCIDRs: [cidr] } }
  try {
    await client.patch(nodes, { name }, { type: 'merge', body })
  } catch (error) {
    // it is gone, another one, or somebody gave it a range: its event brings us back
    if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict') && !isStatus(error, 'Invalid')) throw error
  }
  return undefined
}

/** Says whether there is a range for the node; one that always had one says nothing. */
async function tellCondition(
  node: Stored<Node>,
  { client, clock }: AssignContext,
  problem: string | undefined,
): Promise<undefined> {
  const known = node.status?.conditions?.find(({ type }) => type === CONDITION)
  const status = problem === undefined ? 'True' : 'False'
  if (known?.status === status || (known === undefined && problem === undefined)) return
  const now = formatTime(clock.now())
  const condition: NodeCondition = {
    type: CONDITION,
    status,
    reason: problem === undefined ? 'CIDRAssigned' : NONE_LEFT,
    message: problem ?? `Pods have addresses of ${node.spec?.podCIDR}`,
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  }
  const body = { status: { conditions: [condition] } }
  await client.patch(nodes, node.metadata, { type: 'strategic', body }, { subresource: 'status' })
}

/** Owner of ranges that another process has given. */
const OTHER_PROCESS = ''

/** `soon`: a block is on its way here. */
type Taken = { readonly type: 'range'; readonly cidr: string } | { readonly type: 'none' } | { readonly type: 'soon' }

/** What is known of ranges, in memory and in the ledger. */
class IpamState {
  /** Nodes for which there was no range. */
  readonly waiting = new Set<string>()
  readonly #source: NodeCidrSource
  readonly #deps: NodeIpamDeps
  readonly #listNodes: () => readonly Stored<Node>[]
  readonly #cidrs: NodeCidrs
  readonly #holders = new Map<string, CidrHolder>()
  readonly #byNode = new Map<string, Set<string>>()
  #opened: Promise<readonly CidrHolder[]> | undefined

  constructor(deps: NodeIpamDeps, listNodes: () => readonly Stored<Node>[]) {
    this.#deps = deps
    this.#source = deps.nodeCidrs
    this.#listNodes = listNodes
    this.#cidrs = new NodeCidrs(deps.nodeCidrs.nodePrefix())
  }

  /** Reads the ledger, and what nodes have, once. Resolves with all holders the first time, and with none later. */
  async open(): Promise<readonly CidrHolder[]> {
    const first = this.#opened === undefined
    this.#opened ??= this.#load().catch((error: unknown) => {
      this.#opened = undefined
      throw error
    })
    const holders = await this.#opened
    for (const block of this.#source.blocks()) {
      if (this.#cidrs.has(block)) continue
      this.#cidrs.addBlock(block)
      // what others gave to nodes of this block must be known before the first range of it is given
      for (const { metadata, spec } of this.#listNodes())
        if (this.#cidrs.overlaps(spec?.podCIDR ?? '')) this.#cidrs.occupy(metadata.uid, spec!.podCIDR!)
    }
    return first ? holders : []
  }

  /** The node's range, a new one if need be. */
  async take(node: Stored<Node>): Promise<Taken> {
    const { name, uid } = node.metadata
    const own = this.#of(name).find((cidr) => this.#holders.get(cidr)?.uid === uid)
    const cidr = own ?? (await this.#takeFree(node))
    if (cidr !== undefined) return { type: 'range', cidr }
    if (!(await this.#source.grow())) return { type: 'none' }
    await this.open()
    const grown = await this.#takeFree(node)
    return grown === undefined ? { type: 'soon' } : { type: 'range', cidr: grown }
  }

  /** Notes what others gave to a node. Returns the name of the node that has it already. */
  async respect({ metadata: { name, uid } }: Stored<Node>, given: string): Promise<string | undefined> {
    for (const cidr of this.#of(name)) {
      if (cidr !== given && this.#holders.get(cidr)?.uid === uid) await this.#forget(cidr) // never used
    }
    if (!this.#cidrs.overlaps(given)) return undefined // nobody gets it from here
    this.#cidrs.occupy(uid, given)
    const holder = this.#holders.get(given)
    if (holder?.uid === uid && holder.releasedAtMs === undefined) return undefined
    if (holder !== undefined && holder.releasedAtMs === undefined) return holder.node
    await this.#write(given, { node: name, uid })
    return undefined
  }

  /** Lets the ranges of earlier nodes of that name rest, and gives back those that have. */
  async letGo(name: string, node: Stored<Node> | undefined, isGone: () => Promise<boolean>): Promise<ReconcileResult> {
    const { clock } = this.#deps
    let waitMs: number | undefined
    for (const cidr of this.#of(name)) {
      const holder = this.#holders.get(cidr)
      if (holder === undefined || holder.uid === node?.metadata.uid) continue
      // the cache may be behind: only the server's own word makes a node gone
      if (holder.releasedAtMs === undefined && node === undefined && !(await isGone())) continue
      const releasedAtMs = holder.releasedAtMs ?? clock.now()
      if (holder.releasedAtMs === undefined) await this.#write(cidr, { ...holder, releasedAtMs })
      const restMs = releasedAtMs + CIDR_REST_MS - clock.now()
      if (restMs > 0) waitMs = Math.min(waitMs ?? Infinity, restMs, CIDR_REST_MS)
      else await this.#forget(cidr)
    }
    if (node === undefined) this.waiting.delete(name)
    return waitMs === undefined ? undefined : { requeueAfterMs: waitMs }
  }

  async #load(): Promise<readonly CidrHolder[]> {
    const known = await this.#source.ledger.load()
    for (const [cidr, holder] of known) this.#note(cidr, holder)
    return [...known.values()]
  }

  async #takeFree({ metadata: { name, uid } }: Stored<Node>): Promise<string | undefined> {
    for (;;) {
      const cidr = this.#cidrs.take(uid)
      if (cidr === undefined) return undefined
      if (await this.#write(cidr, { node: name, uid })) {
        if (this.#cidrs.freeCount < FREE_MIN) this.#growAhead()
        return cidr
      }
      this.#cidrs.vacate(uid, cidr)
      this.#cidrs.occupy(OTHER_PROCESS, cidr)
    }
  }

  #growAhead(): void {
    this.#source.grow().catch((error: unknown) => {
      this.#deps.logger.warn('Could not get more addresses for pods; will ask again for the next node', { error })
    })
  }

  async #write(cidr: string, holder: CidrHolder): Promise<boolean> {
    if (!(await this.#source.ledger.put(cidr, holder))) return false
    this.#note(cidr, holder)
    return true
  }

  async #forget(cidr: string): Promise<void> {
    await this.#source.ledger.remove(cidr)
    const holder = this.#holders.get(cidr)
    if (holder === undefined) return
    this.#holders.delete(cidr)
    this.#byNode.get(holder.node)?.delete(cidr)
    this.#cidrs.vacate(holder.uid, cidr)
  }

  #note(cidr: string, holder: CidrHolder): void {
    const before = this.#holders.get(cidr)
    if (before !== undefined && before.uid !== holder.uid) {
      this.#byNode.get(before.node)?.delete(cidr)
      this.#cidrs.vacate(before.uid, cidr)
    }
    this.#holders.set(cidr, holder)
    this.#byNode.set(holder.node, (this.#byNode.get(holder.node) ?? new Set()).add(cidr))
    this.#cidrs.occupy(holder.uid, cidr)
  }

  #of(name: string): string[] {
    return [...(this.#byNode.get(name) ?? [])]
  }
}
