import type { Amounts } from './amounts.ts'
import { addUsage, findBlockage, removeUsage, shareOf, type Blockage, type QueueNode } from './queue-node.ts'
import { amountsOf, extraOf, leastCounts, leavingAmounts, withoutAmounts, type Running } from './running.ts'
import type { Tree } from './tree.ts'
import type { EvictionReason, Workload } from './types.ts'

export interface Victim {
  readonly running: Running
  readonly reason: EvictionReason
  /** It goes on with its least pods. */
  readonly shrinks: boolean
}

/** A part of what a victim uses. */
interface Taken {
  readonly running: Running
  readonly reason: EvictionReason
  readonly shrinks: boolean
  readonly amounts: Amounts
}

interface Search {
  readonly workload: Workload
  readonly leaf: QueueNode
  readonly amounts: Amounts
  readonly taken: Taken[]
}

/** False: no search would find anybody to give way to the first workload of the queue. Costs no more than the tree is deep, and the queue's own. */
export function mayPreempt(leaf: QueueNode, workload: Workload, amounts: Amounts): boolean {
  if (ownVictims(leaf, workload, 'shrinks').length > 0 || ownVictims(leaf, workload, 'ends').length > 0) return true
  if (leaf.settings.reclaim === 'Never') return false
  for (let node: QueueNode | undefined = leaf; node.parent !== undefined; node = node.parent) {
    const most = node.parent.borrowers.peek()
    if (most !== undefined && most.share > shareOf(node, { leaf, extra: amounts })) return true
  }
  return false
}

/**
 * Who must give way so that the least of `workload` fits: first elastic workloads' pods above their least, then whole ones. Undefined: not
 * even all who may would do; empty: those who are on their way out will. Of its own queue elastic ones shrink for their equals, and ones end as
 * `withinQueue` says; the lowest priority goes first and of these the last admitted. Of others, as long as their queue's side has a larger share than the workload's side will have:
 * whoever gave way so can not take it back. Leaves the tree as it is.
 */
export function planPreemption(tree: Tree, leaf: QueueNode, workload: Workload): readonly Victim[] | undefined {
  const amounts = amountsOf(workload, leastCounts(workload))
  const search: Search = { workload, leaf, amounts, taken: [] }
  for (const running of tree.leaving) removeUsage(running.leaf, leavingAmounts(running))
  const isFound = take(search, 'shrinks') || take(search, 'ends')
  if (isFound) spare(search)
  for (const { running, amounts: theirs } of search.taken) addUsage(running.leaf, theirs)
  for (const running of tree.leaving) addUsage(running.leaf, leavingAmounts(running))
  return isFound ? merge(search.taken) : undefined
}

function take(search: Search, how: 'shrinks' | 'ends'): boolean {
  for (;;) {
    const blockage = findBlockage(search.leaf, search.amounts)
    if (blockage === undefined) return true
    const next = nextVictim(search, blockage, how)
    if (next === undefined) return false
    removeUsage(next.running.leaf, next.amounts)
    search.taken.push(next)
  }
}

/** Lets go of those that turn out not to be needed. */
function spare({ taken, leaf, amounts }: Search): void {
  for (let i = taken.length - 2; i >= 0; i--) {
    const { running, amounts: theirs, shrinks } = taken[i] as Taken
    if (shrinks && taken.some((other) => other.running === running && !other.shrinks)) continue
    addUsage(running.leaf, theirs)
    if (findBlockage(leaf, amounts) === undefined) taken.splice(i, 1)
    else removeUsage(running.leaf, theirs)
  }
}

function merge(taken: readonly Taken[]): readonly Victim[] {
  const ended = new Set(taken.filter(({ shrinks }) => !shrinks).map(({ running }) => running))
  return taken
    .filter(({ running, shrinks }) => !shrinks || !ended.has(running))
    .map(({ running, reason, shrinks }) => ({ running, reason, shrinks }))
}

function nextVictim(search: Search, blockage: Blockage, how: 'shrinks' | 'ends'): Taken | undefined {
  const { leaf, workload, amounts } = search
  if (leaf.settings.reclaim !== 'Never') {
    for (let node = leaf; node !== blockage.node && node.parent !== undefined; node = node.parent) {
      const share = shareOf(node, { leaf, extra: amounts })
      const others = node.parent.children.filter((other) => other !== node)
      const found = victimBelow(others, { search, resource: blockage.resource, how, above: share })
      if (found !== undefined) return { ...found, reason: 'Reclaimed' }
    }
  }
  const own = ownVictims(leaf, workload, how).toSorted(compareVictims)
  const found = firstPart(own, { search, resource: blockage.resource, how })
  return found === undefined ? undefined : { ...found, reason: 'Preempted' }
}

interface Wanted {
  readonly search: Search
  readonly resource: string
  readonly how: 'shrinks' | 'ends'
}

type Part = Omit<Taken, 'reason'>

/** Within the queue with the largest share, if that is larger than `above`. */
function victimBelow(queues: readonly QueueNode[], wanted: Wanted & { readonly above: number }): Part | undefined {
  const { search, above } = wanted
  const byShare = queues
    .map((queue) => ({ queue, share: shareOf(queue) }))
    .filter(({ share }) => share > above)
    .toSorted((a, b) => b.share - a.share)
  for (const { queue } of byShare) {
    const found = queue.isLeaf
      ? firstPart(reclaimable(queue, search), wanted)
      : victimBelow(queue.children, { ...wanted, above: 0 })
    if (found !== undefined) return found
  }
  return undefined
}

function reclaimable(queue: QueueNode, { leaf, workload }: Search): Running[] {
  const isLower = leaf.settings.reclaim === 'LowerPriority'
  return [...queue.running]
    .filter((running) => mayGiveWay(running) && (!isLower || running.workload.priority < workload.priority))
    .toSorted(compareVictims)
}

/** To shrink: all that have more than their least and are no more important. What ends for others is said by `withinQueue`. */
function ownVictims({ settings, running }: QueueNode, workload: Workload, how: 'shrinks' | 'ends'): Running[] {
  const { withinQueue } = settings
  if (withinQueue === 'Never') return []
  return [...running].filter((one) => {
    if (!mayGiveWay(one)) return false
    const { priority, queuedAtMs } = one.workload
    if (how === 'shrinks') return priority <= workload.priority && extraOf(one.workload, one.counts) > 0
    if (priority < workload.priority) return true
    return (
      withinQueue === 'LowerOrNewerEqualPriority' && priority === workload.priority && queuedAtMs > workload.queuedAtMs
    )
  })
}

function mayGiveWay({ workload, isLeaving, shrinksTo }: Running): boolean {
  return workload.preemptible && !isLeaving && shrinksTo === undefined
}

/** The first that uses the resource and can still give some of it. */
function firstPart(candidates: readonly Running[], { search, resource, how }: Wanted): Part | undefined {
  for (const running of candidates) {
    const earlier = search.taken.findLast((taken) => taken.running === running)
    if (earlier !== undefined && (how === 'shrinks' || !earlier.shrinks)) continue
    const amounts = partOf(running, { how, isShrunk: earlier !== undefined })
    if ((amounts.get(resource) ?? 0) > 0) return { running, shrinks: how === 'shrinks', amounts }
  }
  return undefined
}

function partOf(
  { workload, amounts }: Running,
  { how, isShrunk }: { how: 'shrinks' | 'ends'; isShrunk: boolean },
): Amounts {
  const least = amountsOf(workload, leastCounts(workload))
  if (how === 'ends') return isShrunk ? least : amounts
  return withoutAmounts(amounts, least)
}

function compareVictims(a: Running, b: Running): number {
  return (
    a.workload.priority - b.workload.priority ||
    b.admittedAtMs - a.admittedAtMs ||
    (a.workload.id < b.workload.id ? 1 : -1)
  )
}
