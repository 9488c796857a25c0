import type { Shape } from './pending-set.ts'
import { findBlockage, type Level, type QueueNode } from './queue-node.ts'

/** Has a shape that does not fit wait at the queue that has too little for it, until there may be room. */
export function wait(shape: Shape): void {
  const { leaf, least } = shape
  const { node, resource, need } = findBlockage(leaf, least)!
  const passing: Level[] = []
  for (let below: QueueNode | undefined = leaf; below !== undefined && below !== node; below = below.parent) {
    const level = below.levels.get(resource)
    if (level !== undefined && level.guaranteed > 0) passing.push(level)
  }
  const level = node.levels.get(resource)!
  leaf.pending.block(shape, { level, need, passing })
  level.waiters.put(shape)
  for (const each of passing) each.passing.add(shape)
}

export function stopWaiting(shape: Shape): void {
  shape.blocked?.level?.waiters.remove(shape)
  for (const level of shape.blocked?.passing ?? []) level.passing.delete(shape)
}

/** There is more at `level` than before: lets those be tried again that may fit now, and adds their queues to `touched`. */
export function wakeWaiters(level: Level, touched: Set<QueueNode>): void {
  const tryAgain = (shape: Shape): void => {
    stopWaiting(shape)
    shape.leaf.pending.unblock(shape)
    touched.add(shape.leaf)
  }
  const left = level.limit - level.usage + level.reserved // who may pass those for whom room is kept
  for (let shape = level.waiters.peek(); shape !== undefined; shape = level.waiters.peek()) {
    if (shape.blocked!.need > left) break
    tryAgain(shape)
  }
  for (const shape of level.passing) tryAgain(shape)
}
