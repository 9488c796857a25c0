import { IndexedHeap } from './heap.ts'
import { compareRanks, shareOf, standingOf, type Level, type QueueNode } from './queue-node.ts'
import type { Shape } from './pending-set.ts'
import type { Running } from './running.ts'
import type { QueueSettings, Workload } from './types.ts'

/** Room that is kept for a workload: counted as used, so that nobody else gets it. */
export interface Reservation {
  readonly workload: Workload
  readonly shape: Shape
  /** `starving`: it was first for too long. `preempting`: others end for it. */
  readonly kind: 'starving' | 'preempting'
  /** Workloads that have been told to end for it, and have not yet. */
  readonly victims: Set<string>
  /** Those who end before may go ahead; −∞: nobody may. */
  readonly shadowMs: number
}

/** A tree of queues, and what is decided for all of it together. */
export class Tree {
  readonly root: QueueNode
  readonly leaves: readonly QueueNode[]
  /** In the order in which they were made, which is the order in which they are served. */
  readonly reservations: Reservation[] = []
  /** Queues whose first workload does not fit. */
  readonly blocked = new Set<QueueNode>()
  readonly leaving = new Set<Running>()
  /** Elastic workloads with fewer pods than they would take. */
  readonly shrunk = new Set<Running>()
  ranksOfMs = 0

  constructor(root: QueueNode) {
    this.root = root
    const nodes = descendants(root)
    for (const node of nodes.toReversed()) settleQuotas(node)
    this.leaves = nodes.filter(({ isLeaf }) => isLeaf)
  }

  /** Brings up to date what compares `leaf` and the queues above it; call it when its usage or its candidate has changed. */
  refresh(leaf: QueueNode, nowMs: number): void {
    const first = leaf.pending.first()
    if (first === undefined) leaf.firstBlocked = undefined
    const id = first?.workloads.peek()?.id
    if (id !== leaf.firstBlocked?.id) leaf.firstBlocked = undefined
    if (first?.blocked !== undefined && id !== undefined) {
      leaf.firstBlocked ??= { id, sinceMs: nowMs }
      this.blocked.add(leaf)
    } else this.blocked.delete(leaf)
    for (let node: QueueNode | undefined = leaf; node?.parent !== undefined; node = node.parent) {
      refreshShare(node)
      refreshRank(node, nowMs)
    }
    if (leaf.parent === undefined) leaf.best = candidateOf(leaf)
  }

  /** The past fades: what it says of queues that nothing happened to changes too. */
  refreshAll(nowMs: number): void {
    this.ranksOfMs = nowMs
    for (const leaf of this.leaves) if (leaf.pending.size > 0) this.refresh(leaf, nowMs)
  }

  /** Whose turn it is: down from the root, the queue that is served least each time, with its first workload that is not known not to fit. */
  next(): Shape | undefined {
    return this.root.isLeaf ? candidateOf(this.root) : this.root.contenders.peek()?.best
  }
}

function refreshShare(node: QueueNode): void {
  const { parent } = node
  node.share = shareOf(node)
  if (node.share > 0) parent!.borrowers.put(node)
  else parent!.borrowers.remove(node)
}

function refreshRank(node: QueueNode, nowMs: number): void {
  const { parent } = node
  const best = node.isLeaf ? candidateOf(node) : node.contenders.peek()?.best
  node.best = best
  const workload = best?.workloads.peek()
  if (best === undefined || workload === undefined) return void parent!.contenders.remove(node)
  const rank = { standing: standingOf(node, nowMs), priority: workload.priority, queuedAtMs: workload.queuedAtMs }
  const isNew = !parent!.contenders.has(node)
  if (!isNew && compareRanks(rank, node.rank) === 0) return
  node.rank = rank
  parent!.contenders.put(node)
}

function candidateOf(leaf: QueueNode): Shape | undefined {
  return leaf.isStopped ? undefined : leaf.pending.candidate()
}

function descendants(node: QueueNode): QueueNode[] {
  return [node, ...node.children.flatMap(descendants)]
}

/** Gives every queue of the tree levels for every resource that one of them names. */
export function createLevels(root: QueueNode): void {
  const nodes = descendants(root)
  const resources = new Set(nodes.flatMap(({ settings }) => [...settings.quotas.keys()]))
  for (const node of nodes)
    for (const resource of resources) node.levels.set(resource, createLevel(node.settings, resource))
}

function createLevel({ quotas }: QueueSettings, resource: string): Level {
  return {
    nominal: quotas.get(resource)?.nominal ?? 0,
    limit: 0,
    subtree: 0,
    guaranteed: 0,
    usage: 0,
    reserved: 0,
    past: 0,
    pastAtMs: 0,
    waiters: new IndexedHeap<Shape>(
      (a, b) => (a.blocked?.need ?? 0) - (b.blocked?.need ?? 0) || (a.key < b.key ? -1 : 1),
    ),
    passing: new Set(),
  }
}

/** From the levels of its children. Source: Kueue's cohorts, pkg/cache/hierarchy and resource_node v0.19. */
function settleQuotas(node: QueueNode): void {
  for (const [resource, level] of node.levels) {
    const { lendingLimit = Infinity, borrowingLimit = Infinity } = node.settings.quotas.get(resource) ?? {}
    level.subtree = level.nominal
    for (const child of node.children) {
      const { subtree, guaranteed } = child.levels.get(resource)!
      level.subtree += subtree - guaranteed
    }
    level.guaranteed = node.parent === undefined ? level.subtree : Math.max(0, level.subtree - lendingLimit)
    level.limit = node.parent === undefined ? level.subtree : level.subtree + borrowingLimit
  }
}
