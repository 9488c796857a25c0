import type { Amounts } from './amounts.ts'
import { IndexedHeap } from './heap.ts'
import { PendingSet, type Shape } from './pending-set.ts'
import type { QueueSettings } from './types.ts'
import type { Running } from './running.ts'

/**
 * The past counts so many times as much as the present, in a tree that looks at it. Whoever is served least gets the next workload whole, which is the more above
 * its part the less its weight is; the past evens that out, the better the more it counts.
 */
const PAST_WEIGHT = 4

/**
 * One resource of one queue. `usage` is of all that is admitted or has room kept in the queue and below, without what queues below
 * have from what they do not lend: usage = own + Σ over children of max(0, child.usage − child.guaranteed).
 */
export interface Level {
  readonly nominal: number
  /** No more than this: subtree + borrowingLimit; of the top of the tree, subtree. */
  limit: number
  /** Own, and what queues below lend. */
  subtree: number
  /** What nobody else can have of it: subtree − lendingLimit. */
  guaranteed: number
  usage: number
  /** Of `usage`, what is kept and not used yet. */
  reserved: number
  /** What was used above `subtree`, averaged with the tree's half-life, at `pastAtMs`. */
  past: number
  pastAtMs: number
  /** Shapes that wait for so much to be left here. */
  readonly waiters: IndexedHeap<Shape>
  /** Shapes that wait further up, and need less there when more of `guaranteed` is free. */
  readonly passing: Set<Shape>
}

/** What compares the queues of a parent. */
export interface Rank {
  /** See {@link standingOf}. */
  readonly standing: number
  readonly priority: number
  readonly queuedAtMs: number
}

export class QueueNode {
  readonly settings: QueueSettings
  readonly parent: QueueNode | undefined
  readonly root: QueueNode
  readonly depth: number
  readonly children: QueueNode[] = []
  /** For every resource that some queue of the tree names. Others are not limited. */
  readonly levels = new Map<string, Level>()
  readonly pending: PendingSet
  readonly running = new Set<Running>()
  /** Children, or their descendants, with something to try. */
  readonly contenders = new IndexedHeap<QueueNode>(compareNodes)
  rank: Rank = { standing: 0, priority: 0, queuedAtMs: 0 }
  /** Whom {@link rank} is of. */
  best: Shape | undefined
  /** Children that borrow, those with the largest share first. */
  readonly borrowers = new IndexedHeap<QueueNode>((a, b) => b.share - a.share || (a.name < b.name ? -1 : 1))
  /** Now, without what it used in the past. */
  share = 0
  /** Who is first and does not fit, and since when. */
  firstBlocked: { readonly id: string; readonly sinceMs: number } | undefined
  readonly isStopped: boolean
  readonly isDrained: boolean

  constructor(settings: QueueSettings, parent: QueueNode | undefined) {
    this.settings = settings
    this.parent = parent
    this.root = parent?.root ?? this
    this.depth = parent === undefined ? 0 : parent.depth + 1
    this.isStopped = settings.stopPolicy !== 'None' || parent?.isStopped === true
    this.isDrained = settings.stopPolicy === 'HoldAndDrain' || parent?.isDrained === true
    this.pending = new PendingSet(settings.strategy)
    parent?.children.push(this)
  }

  get name(): string {
    return this.settings.name
  }

  get isLeaf(): boolean {
    return this.children.length === 0
  }
}

/** Where a request does not fit: at `node`, which has `need − available` of the resource too little. */
export interface Blockage {
  readonly node: QueueNode
  readonly resource: string
  /** What would be taken from the node. */
  readonly need: number
  /** Limit − usage there; may be negative while room is kept. */
  readonly available: number
}

/** The first queue from `leaf` upwards that has too little for `amounts`; undefined: they fit. */
export function findBlockage(leaf: QueueNode, amounts: Amounts): Blockage | undefined {
  for (const [resource, amount] of amounts) {
    let need = amount
    for (let node: QueueNode | undefined = leaf; node !== undefined && need > 0; node = node.parent) {
      const level = node.levels.get(resource)
      if (level === undefined) break
      if (level.usage + need > level.limit) return { node, resource, need, available: level.limit - level.usage }
      need -= Math.min(need, Math.max(0, level.guaranteed - level.usage))
    }
  }
  return undefined
}

/** Every queue that has too little, each resource's from `leaf` upwards. */
export function findBlockages(leaf: QueueNode, amounts: Amounts): readonly Blockage[] {
  const found: Blockage[] = []
  for (const [resource, amount] of amounts) {
    let need = amount
    for (let node: QueueNode | undefined = leaf; node !== undefined && need > 0; node = node.parent) {
      const level = node.levels.get(resource)
      if (level === undefined) break
      if (level.usage + need > level.limit) found.push({ node, resource, need, available: level.limit - level.usage })
      need -= Math.min(need, Math.max(0, level.guaranteed - level.usage))
    }
  }
  return found
}

/** Counts `amounts` in `leaf` and above. `reserved`: as kept, not as used. */
export function addUsage(leaf: QueueNode, amounts: Amounts, { reserved = false, nowMs = 0 } = {}): void {
  for (const [resource, amount] of amounts) {
    let left = amount
    for (let node: QueueNode | undefined = leaf; node !== undefined && left > 0; node = node.parent) {
      const level = node.levels.get(resource)
      if (level === undefined) break
      settlePast(node, level, nowMs)
      const local = Math.max(0, level.guaranteed - level.usage)
      level.usage += left
      if (reserved) level.reserved += left
      left -= Math.min(left, local)
    }
  }
}

/** The opposite of {@link addUsage}. `onLess` is called for every level that has more room now. */
export function removeUsage(
  leaf: QueueNode,
  amounts: Amounts,
  { reserved = false, nowMs = 0, onLess }: { reserved?: boolean; nowMs?: number; onLess?: (level: Level) => void } = {},
): void {
  for (const [resource, amount] of amounts) {
    let left = amount
    for (let node: QueueNode | undefined = leaf; node !== undefined && left > 0; node = node.parent) {
      const level = node.levels.get(resource)
      if (level === undefined) break
      settlePast(node, level, nowMs)
      const above = Math.max(0, level.usage - level.guaranteed)
      level.usage -= left
      if (reserved) level.reserved = Math.max(0, level.reserved - left)
      onLess?.(level)
      left = Math.min(left, above)
    }
  }
}

/** What was used since the last change counts into the past. */
function settlePast(node: QueueNode, level: Level, nowMs: number): void {
  const { halfLifeMs } = node.root.settings
  if (halfLifeMs === 0 || nowMs <= level.pastAtMs) return
  level.past = pastOf(level, { halfLifeMs, nowMs })
  level.pastAtMs = nowMs
}

function pastOf(level: Level, { halfLifeMs, nowMs }: { halfLifeMs: number; nowMs: number }): number {
  const kept = 0.5 ** (Math.max(0, nowMs - level.pastAtMs) / halfLifeMs)
  return level.past * kept + Math.max(0, level.usage - level.subtree) * (1 - kept)
}

/**
 * The dominant share of a queue beside its siblings, with `extra` more in `leaf` below it: the largest part, of any resource, that it has
 * above its own quota of what its parent has, by weight. 0: it borrows nothing.
 */
export function shareOf(
  node: QueueNode,
  { leaf, extra }: { readonly leaf?: QueueNode; readonly extra?: Amounts } = {},
): number {
  const { parent, settings } = node
  if (parent === undefined) return 0
  let share = 0
  for (const [resource, level] of node.levels) {
    const amount = extra?.get(resource) ?? 0
    const more = amount === 0 ? 0 : needAt(node, { leaf: leaf ?? node, resource, amount })
    const above = level.usage + more - level.subtree
    if (above > 0) share = Math.max(share, above / Math.max(1, parent.levels.get(resource)!.subtree))
  }
  return byWeight(share, settings.weight)
}

/**
 * How well a queue is served beside its siblings, by which they take turns: its dominant share as of {@link shareOf} with what it borrowed in the past, and
 * below 0 while it has less than its own quota of everything that it uses.
 */
export function standingOf(node: QueueNode, nowMs: number): number {
  const { parent, settings } = node
  const { halfLifeMs } = node.root.settings
  if (parent === undefined) return 0
  let standing = -Infinity
  for (const [resource, level] of node.levels) {
    if (level.subtree === 0 && level.usage === 0 && level.past === 0) continue
    const past = halfLifeMs === 0 ? 0 : pastOf(level, { halfLifeMs, nowMs })
    const above = level.usage - level.subtree + PAST_WEIGHT * past
    standing = Math.max(standing, above / Math.max(1, parent.levels.get(resource)!.subtree))
  }
  if (standing <= 0) return Number.isFinite(standing) ? standing : 0
  return byWeight(standing, settings.weight)
}

function byWeight(share: number, weight: number): number {
  if (share === 0) return 0
  return weight === 0 ? Number.MAX_VALUE : share / weight
}

/** How much of `amount` asked for in `leaf` is taken from `node` above it. */
export function needAt(
  node: QueueNode,
  { leaf, resource, amount }: { leaf: QueueNode; resource: string; amount: number },
): number {
  let need = amount
  for (let at: QueueNode | undefined = leaf; at !== undefined && at !== node && need > 0; at = at.parent) {
    const level = at.levels.get(resource)
    if (level === undefined) return 0
    need -= Math.min(need, Math.max(0, level.guaranteed - level.usage))
  }
  return need
}

/** Whether, with `amounts` more in `leaf`, it or a queue above has more than its own. */
export function isBorrowing(leaf: QueueNode, amounts: Amounts): boolean {
  for (const [resource, amount] of amounts) {
    let need = amount
    for (let node: QueueNode | undefined = leaf; node?.parent !== undefined && need > 0; node = node.parent) {
      const level = node.levels.get(resource)
      if (level === undefined) break
      if (level.usage + need > level.subtree) return true
      need -= Math.min(need, Math.max(0, level.guaranteed - level.usage))
    }
  }
  return false
}

/** Who is served least first, then priority, then who came first. */
export function compareRanks(a: Rank, b: Rank): number {
  return a.standing - b.standing || b.priority - a.priority || a.queuedAtMs - b.queuedAtMs
}

function compareNodes(a: QueueNode, b: QueueNode): number {
  return compareRanks(a.rank, b.rank) || (a.name < b.name ? -1 : 1)
}
