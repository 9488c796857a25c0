import { findBlockages, type QueueNode } from './queue-node.ts'
import { compareWorkloads, type Shape } from './pending-set.ts'
import { missingEver } from './reservations.ts'
import type { Queues } from './queues.ts'
import type { Tree } from './tree.ts'
import type { Workload } from './types.ts'

/** Workloads that are named as those that would have to end. */
const ENDS_MAX = 5

/** What a queue lacks for a workload. */
export interface Lack {
  readonly resource: string
  /** The queue that has too little: the workload's own, or one above. */
  readonly queue: string
  /** What the workload would take there. */
  readonly needed: number
  /** What is left there for it; 0 while more is kept for others than there is. */
  readonly available: number
  /** The most that the queue may ever use. */
  readonly limit: number
}

/** Why a workload waits. */
export interface PendingReason {
  /** One word for programs: `QueueNotFound`, `QueueInvalid`, `QueueHasChildren`, `QueueStopped`, `TooLarge`, `InsufficientQuota`, `NotFirst`, `Kept`, `Waiting`. */
  readonly reason: string
  /** The same as a sentence. */
  readonly message: string
  /** From 1: its place in the queue. Absent: it is in none. */
  readonly position?: number | undefined
  readonly lacks: readonly Lack[]
  /** Workloads whose end would let it in, of those that run now; empty: nobody's. At most {@link ENDS_MAX}. */
  readonly ends: readonly string[]
  /** Room is kept for it. */
  readonly isNext: boolean
}

/** Reasons that all workloads have that ask for the same in a queue; good as long as nothing changes. */
export type KnownReasons = Map<Shape, PendingReason>

export interface ExplainOptions {
  /** How an amount of a resource is written, such as 1500 millicores of `cpu` as `1500m`. */
  readonly format: (resource: string, amount: number) => string
  /** How the user knows the queue, or the workload. */
  readonly nameOf: (id: string) => string
}

/** Positions of all that wait in a queue, by id, from 1. Costs as much as there are, times their logarithm. */
export function positionsOf(leaf: QueueNode): ReadonlyMap<string, number> {
  return new Map(
    leaf.pending
      .workloads()
      .toSorted(compareWorkloads)
      .map(({ id }, i) => [id, i + 1]),
  )
}

/** Why a workload waits; undefined: it does not. `position` as of {@link positionsOf}. Costs as much as its tree has running workloads, but for what is `known`. */
export function explain(
  queues: Queues,
  id: string,
  {
    position,
    known,
    ...options
  }: ExplainOptions & { readonly position?: number | undefined; readonly known?: KnownReasons | undefined },
): PendingReason | undefined {
  const homeless = queues.homeless(id)
  const { forest } = queues
  if (homeless !== undefined) return explainHomeless(queues, homeless, options)
  const leaf = forest.queueOfPending.get(id)
  const shape = leaf?.pending.shapeOf(id)
  const tree = leaf === undefined ? undefined : forest.treeOf(leaf)
  if (leaf === undefined || shape === undefined || tree === undefined) return undefined
  const found = known?.get(shape) ?? explainPending(tree, shape, id, options)
  const isOfAll = found.reason === 'InsufficientQuota' || found.reason === 'TooLarge' || found.reason === 'QueueStopped'
  if (isOfAll && !tree.reservations.some((reservation) => reservation.shape === shape)) known?.set(shape, found)
  return { ...found, position }
}

function explainHomeless(queues: Queues, { queue }: Workload, { nameOf }: ExplainOptions): PendingReason {
  const name = nameOf(queue)
  const problem = queues.forest.problems.get(queue)
  const nothing = { lacks: [], ends: [], isNext: false }
  if (problem !== undefined) {
    const message = `Queue "${name}" can admit nothing: ${problem}`
    return { reason: 'QueueInvalid', message, ...nothing }
  }
  if (queues.forest.anyNodes.has(queue)) {
    const children = queues.forest.anyNodes.get(queue)!.children.map((child) => `"${nameOf(child.name)}"`)
    const message = `Queue "${name}" has other queues in it, which workloads must name instead: ${children.sort().join(', ')}`
    return { reason: 'QueueHasChildren', message, ...nothing }
  }
  return { reason: 'QueueNotFound', message: `There is no queue "${name}"; it waits until there is`, ...nothing }
}

function explainPending(tree: Tree, shape: Shape, id: string, options: ExplainOptions): PendingReason {
  const { leaf, least } = shape
  const { format, nameOf } = options
  const queue = nameOf(leaf.name)
  const nothing = { lacks: [], ends: [], isNext: false }
  if (leaf.isStopped) {
    const stopped = stoppedAbove(leaf)
    const message = `Queue "${nameOf(stopped.name)}" is stopped (stopPolicy ${stopped.settings.stopPolicy})`
    return { reason: 'QueueStopped', message, ...nothing }
  }
  const never = missingEver(leaf, least)
  if (never !== undefined) {
    const { node, resource, limit } = never
    const needed = least.get(resource) ?? 0
    const message = `Asks for ${format(resource, needed)} ${resource}, and queue "${nameOf(node.name)}" can never have more than ${format(resource, limit)}`
    return {
      reason: 'TooLarge',
      message,
      ...nothing,
      lacks: [{ resource, queue: node.name, needed, available: 0, limit }],
    }
  }
  const reservation = tree.reservations.find(({ workload }) => workload.id === id)
  const lacks = findBlockages(leaf, least).map(({ node, resource, need, available }) => ({
    resource,
    queue: node.name,
    needed: need,
    available: Math.max(0, available + ownReserved(reservation !== undefined, need)),
    limit: node.levels.get(resource)!.limit,
  }))
  if (reservation !== undefined) {
    const ends = reservation.victims.size > 0 ? [...reservation.victims] : whoWouldEnd(shape)
    const message = `Room is kept for it in queue "${queue}"${describeEnds(ends, options)}`
    return { reason: 'Kept', message, lacks, ends: ends.slice(0, ENDS_MAX), isNext: true }
  }
  if (lacks.length === 0) {
    const first = leaf.pending.first()?.workloads.peek()
    const isBehind = leaf.settings.strategy === 'StrictFIFO' && first !== undefined && first.id !== id
    const message = isBehind
      ? `Queue "${queue}" is strict, and "${nameOf(first.id)}" is before it`
      : `Its turn in queue "${queue}" has not come yet`
    return { reason: isBehind ? 'NotFirst' : 'Waiting', message, ...nothing }
  }
  const ends = whoWouldEnd(shape)
  const what = lacks.map(({ resource, queue: at, needed, available, limit }) => {
    const left = `${format(resource, available)} of ${format(resource, limit)} left`
    return `needs ${format(resource, needed)} ${resource} of queue "${nameOf(at)}", which has ${left}`
  })
  const kept = tree.reservations.find((other) => other.shape.leaf !== leaf || other.workload.id !== id)
  const beside = kept === undefined ? '' : `; room is kept for "${nameOf(kept.workload.id)}"`
  const message = `${capitalize(what.join(', and '))}${describeEnds(ends, options)}${beside}`
  return { reason: 'InsufficientQuota', message, lacks, ends: ends.slice(0, ENDS_MAX), isNext: false }
}

function ownReserved(isReserved: boolean, need: number): number {
  return isReserved ? need : 0
}

function stoppedAbove(leaf: QueueNode): QueueNode {
  let found = leaf
  for (let node: QueueNode | undefined = leaf; node !== undefined; node = node.parent)
    if (node.settings.stopPolicy !== 'None') found = node
  return found
}

/** Of those that run where there is too little, the fewest and largest whose end is enough for everything that lacks. */
function whoWouldEnd({ leaf, least }: Shape): string[] {
  const chosen = new Set<string>()
  for (const { node, resource, need, available } of findBlockages(leaf, least)) {
    let missing = need - available
    const users = runningBelow(node)
      .map(({ workload, amounts }) => ({ id: workload.id, amount: amounts.get(resource) ?? 0 }))
      .filter(({ amount }) => amount > 0)
      .toSorted((a, b) => b.amount - a.amount || (a.id < b.id ? -1 : 1))
    for (const { id, amount } of users) if (chosen.has(id)) missing -= amount
    const enough = users.findLast(({ amount }) => amount >= missing)
    for (const { id, amount } of enough === undefined ? users : [enough]) {
      if (missing <= 0) break
      if (chosen.has(id)) continue
      chosen.add(id)
      missing -= amount
    }
  }
  return [...chosen]
}

function runningBelow(node: QueueNode): { workload: Workload; amounts: ReadonlyMap<string, number> }[] {
  return [...node.running, ...node.children.flatMap(runningBelow)]
}

function describeEnds(ends: readonly string[], { nameOf }: ExplainOptions): string {
  if (ends.length === 0) return ''
  const named = ends.slice(0, ENDS_MAX).map((id) => `"${nameOf(id)}"`)
  const more = ends.length > ENDS_MAX ? ` and ${ends.length - ENDS_MAX} more` : ''
  return `; there is room when ${named.join(', ')}${more} ${ends.length === 1 ? 'ends' : 'end'}`
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
