import type { Amounts } from './amounts.ts'
import { addUsage, findBlockage, isBorrowing, removeUsage, type QueueNode } from './queue-node.ts'
import type { Shape } from './pending-set.ts'
import type { Reservation, Tree } from './tree.ts'

/**
 * Whether the least of `shape` fits, where room is kept for others. Room that is kept for one who borrows is no obstacle for another queue
 * that stays within its own, and room that nobody gets before `shadowMs` none for who has ended by then.
 */
export function fitsBeside(tree: Tree, shape: Shape, nowMs: number): boolean {
  const { leaf, least } = shape
  if (findBlockage(leaf, least) === undefined) return true
  if (tree.reservations.length === 0) return false
  const lifted = tree.reservations.filter((reservation) => mayPass(shape, reservation, nowMs))
  if (lifted.length === 0) return false
  return without(lifted, () => findBlockage(leaf, least) === undefined)
}

function mayPass({ leaf, least, workloads }: Shape, reservation: Reservation, nowMs: number): boolean {
  const { shape, shadowMs } = reservation
  const maxRuntimeMs = workloads.peek()?.maxRuntimeMs
  if (maxRuntimeMs !== undefined && nowMs + maxRuntimeMs <= shadowMs) return true
  if (shape.leaf === leaf || isBorrowing(leaf, least)) return false
  return without([reservation], () => isBorrowing(shape.leaf, shape.least))
}

/** Whether the least of a workload with room kept for it fits now, where room is kept for those before it alone. */
export function fitsInTurn({ reservations }: Tree, reservation: Reservation): boolean {
  const later = reservations.slice(reservations.indexOf(reservation))
  return without(later, () => findBlockage(reservation.shape.leaf, reservation.shape.least) === undefined)
}

/**
 * When the least of `shape` will fit by what is known of the ends of others; −∞: nobody knows. Room that is kept counts as used. Costs as much
 * as the tree has running workloads.
 */
export function findShadowMs(tree: Tree, { leaf, least }: Pick<Shape, 'leaf' | 'least'>): number {
  const ends = tree.leaves
    .flatMap((queue) => [...queue.running])
    .flatMap(({ workload, leaf: at, amounts, admittedAtMs }) =>
      workload.maxRuntimeMs === undefined ? [] : [{ at, amounts, endMs: admittedAtMs + workload.maxRuntimeMs }],
    )
    .toSorted((a, b) => a.endMs - b.endMs)
  let gone = 0
  let shadowMs = -Infinity
  for (const { at, amounts, endMs } of ends) {
    removeUsage(at, amounts)
    gone++
    if (findBlockage(leaf, least) !== undefined) continue
    shadowMs = endMs
    break
  }
  for (const { at, amounts } of ends.slice(0, gone)) addUsage(at, amounts)
  return shadowMs
}

/** Who has been first and has not fitted for longest, long enough to have room kept for it; undefined: nobody, or somebody has. */
export function whoStarves(tree: Tree, nowMs: number): Shape | undefined {
  let oldest: QueueNode | undefined
  for (const leaf of hungry(tree)) {
    const { sinceMs } = leaf.firstBlocked!
    if (sinceMs + leaf.settings.reserveAfterMs > nowMs) continue
    if (oldest === undefined || sinceMs < oldest.firstBlocked!.sinceMs) oldest = leaf
  }
  return oldest?.pending.first()
}

/** When {@link whoStarves} will find the next one; ∞: never. */
export function reserveAtMs(tree: Tree): number {
  let atMs = Infinity
  for (const { firstBlocked, settings } of hungry(tree))
    atMs = Math.min(atMs, firstBlocked!.sinceMs + settings.reserveAfterMs)
  return atMs
}

/** Queues whose first workload does not fit, could, and has no room kept for it; none while there is such room in the tree. */
function hungry({ blocked, reservations }: Tree): QueueNode[] {
  if (reservations.some(({ kind }) => kind === 'starving')) return []
  return [...blocked].filter((leaf) => {
    const { firstBlocked, isStopped, pending } = leaf
    if (firstBlocked === undefined || isStopped) return false
    if (reservations.some(({ workload }) => workload.id === firstBlocked.id)) return false
    return canEverFit(leaf, pending.first()!.least)
  })
}

/** Whether so much would fit if nothing ran. */
export function canEverFit(leaf: QueueNode, amounts: Amounts): boolean {
  return missingEver(leaf, amounts) === undefined
}

/** The queue and the resource of which there will never be enough; undefined: there will. */
export function missingEver(
  leaf: QueueNode,
  amounts: Amounts,
): { readonly node: QueueNode; readonly resource: string; readonly limit: number } | undefined {
  for (const [resource, amount] of amounts) {
    let need = amount
    for (let node: QueueNode | undefined = leaf; node !== undefined && need > 0; node = node.parent) {
      const level = node.levels.get(resource)
      if (level === undefined) break
      if (need > level.limit) return { node, resource, limit: level.limit }
      need -= Math.min(need, level.guaranteed)
    }
  }
  return undefined
}

function without<T>(reservations: readonly Reservation[], run: () => T): T {
  for (const { shape } of reservations) removeUsage(shape.leaf, shape.least)
  const result = run()
  for (const { shape } of reservations) addUsage(shape.leaf, shape.least)
  return result
}
