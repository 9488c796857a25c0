import type { Amounts } from './amounts.ts'
import { createForest, type Forest } from './forest.ts'
import { mayPreempt, planPreemption, type Victim } from './preemption.ts'
import { addUsage, findBlockage, removeUsage, type Level, type QueueNode } from './queue-node.ts'
import { canEverFit, findShadowMs, fitsBeside, fitsInTurn, reserveAtMs, whoStarves } from './reservations.ts'
import { amountsOf, extraOf, isElastic, leastCounts, mostCounts, withoutAmounts, type Running } from './running.ts'
import type { Shape } from './pending-set.ts'
import { stopWaiting, wait, wakeWaiters } from './waiting.ts'
import type { Reservation, Tree } from './tree.ts'
import type { Admission, Counts, Eviction, QueuePlan, QueueSettings, Workload } from './types.ts'

/** Blocked shapes of a queue that look for victims in one go; those further behind get their turn when these are gone. */
const PREEMPTORS_PER_QUEUE_MAX = 4
/** Of a tree's half-life: how often shares are compared anew while nothing else changes them. */
const RANKS_PER_HALF_LIFE = 100

interface Draft {
  readonly admit: Admission[]
  readonly evict: Eviction[]
  readonly resize: Admission[]
  wakeAtMs: number
}

/**
 * Decides which workloads of one tenant run: who is next by fair share, priority and age, who gives way, and for whom room is kept. Holds
 * what is wanted and what runs; a change costs as much as the tree of queues is deep and what it lets happen, not what exists.
 *
 * A workload that has been first in its queue and has not fitted for `reserveAfterMs` has room kept for it, one at a time in a tree, oldest first. From
 * then on only those get room who have ended in time for it, or who stay within what is their queue's own. So one that fits into what is its own
 * queue's is admitted, from when it is first, after at most reserveAfterMs + (queues of the tree) × (longest runtime).
 *
 * Times are of one clock, and do not go back. Not safe to share between plans: copy what it returns.
 */
export class Queues {
  readonly #settings = new Map<string, QueueSettings>()
  /** In no queue that can have workloads. */
  readonly #homeless = new Map<string, Workload>()
  readonly #running = new Map<string, Running>()
  readonly #dirty = new Set<Tree>()
  /** Those of whom some may want what others have just got. */
  readonly #again = new Set<Tree>()
  #forest: Forest = createForest([])
  #isStale = false
  #nowMs = 0

  putQueue(settings: QueueSettings): void {
    this.#settings.set(settings.name, settings)
    this.#isStale = true
  }

  /** Its workloads wait until there is a queue of this name again; those that run, run on. */
  removeQueue(name: string): void {
    if (this.#settings.delete(name)) this.#isStale = true
  }

  /** A workload that waits. One that runs by this id is left alone. */
  put(workload: Workload): void {
    if (this.#running.has(workload.id)) return
    this.#take(workload.id)
    this.#place(workload)
  }

  /** One that runs already, as after a restart. Counts whatever its queue has. */
  restore(
    workload: Workload,
    admitted: {
      readonly counts: Counts
      readonly admittedAtMs: number
      readonly isLeaving?: boolean
      readonly shrinksTo?: Counts
    },
  ): void {
    this.remove(workload.id)
    this.#settle()
    const leaf = this.#forest.anyNodes.get(workload.queue)
    const counts = admitted.counts
    const running: Running = {
      workload,
      leaf: leaf ?? this.#forest.nowhere,
      admittedAtMs: admitted.admittedAtMs,
      counts,
      amounts: amountsOf(workload, counts),
      isLeaving: false,
      shrinksTo: admitted.shrinksTo,
    }
    this.#start(running)
    if (admitted.shrinksTo !== undefined) this.#forest.treeOf(running.leaf)?.leaving.add(running)
    if (admitted.isLeaving === true) this.#markLeaving(running)
  }

  /** It has ended, or is not wanted any more: nothing of it uses quota. */
  remove(id: string): void {
    this.#take(id)
    const running = this.#running.get(id)
    if (running === undefined) return
    this.#running.delete(id)
    const { leaf, amounts } = running
    leaf.running.delete(running)
    const tree = this.#forest.treeOf(leaf)
    if (tree === undefined) return
    tree.leaving.delete(running)
    tree.shrunk.delete(running)
    for (const { victims } of tree.reservations) victims.delete(id)
    this.#free(tree, leaf, amounts)
  }

  /** An admitted workload is told to end, by somebody else than {@link plan}. */
  leave(id: string): void {
    const running = this.#running.get(id)
    if (running === undefined || running.isLeaving) return
    this.#markLeaving(running)
    const tree = this.#forest.treeOf(running.leaf)
    if (tree !== undefined) this.#dirty.add(tree)
  }

  /** An elastic workload has so many pods now. */
  resized(id: string, counts: Counts): void {
    const running = this.#running.get(id)
    if (running === undefined) return
    const { leaf, workload } = running
    const tree = this.#forest.treeOf(leaf)
    const amounts = amountsOf(workload, counts)
    const before = running.amounts
    running.counts = counts
    running.amounts = amounts
    running.shrinksTo = undefined
    if (tree === undefined) return
    if (!running.isLeaving) tree.leaving.delete(running)
    addUsage(leaf, amounts, { nowMs: this.#nowMs })
    this.#free(tree, leaf, before)
    this.#noteShrunk(tree, running)
    for (const { victims } of tree.reservations) victims.delete(id)
  }

  /** What an admitted workload uses of its quota; nothing: it is not admitted. */
  usedBy(id: string): Amounts {
    return this.#running.get(id)?.amounts ?? new Map()
  }

  /** Who is first of those that wait in a queue; undefined: nobody waits. */
  firstOf(queue: string): string | undefined {
    return this.forest.leaves.get(queue)?.pending.first()?.workloads.peek()?.id
  }

  isRunning(id: string): boolean {
    return this.#running.has(id)
  }

  runningOf(id: string): Running | undefined {
    return this.#running.get(id)
  }

  /** What the last changes let happen. */
  plan(nowMs: number): QueuePlan {
    this.#nowMs = Math.max(this.#nowMs, nowMs)
    this.#settle()
    const draft: Draft = { admit: [], evict: [], resize: [], wakeAtMs: Infinity }
    for (const tree of this.#forest.trees) this.#wake(tree)
    for (const tree of this.#dirty) this.#planTree(tree, draft)
    this.#dirty.clear()
    if (this.#again.size > 0) draft.wakeAtMs = this.#nowMs
    for (const tree of this.#again) this.#dirty.add(tree)
    this.#again.clear()
    for (const tree of this.#forest.waitingTrees()) draft.wakeAtMs = Math.min(draft.wakeAtMs, reserveAtMs(tree))
    const { wakeAtMs, ...plan } = draft
    return Number.isFinite(wakeAtMs) ? { ...plan, wakeAtMs } : plan
  }

  /** For whoever explains. */
  get forest(): Forest {
    this.#settle()
    return this.#forest
  }

  /** A workload that waits though its queue can have none, by id. */
  homeless(id: string): Workload | undefined {
    return this.#homeless.get(id)
  }

  #wake(tree: Tree): void {
    const { halfLifeMs } = tree.root.settings
    if (halfLifeMs > 0 && this.#nowMs - tree.ranksOfMs >= halfLifeMs / RANKS_PER_HALF_LIFE) tree.refreshAll(this.#nowMs)
    if (reserveAtMs(tree) <= this.#nowMs) this.#dirty.add(tree)
  }

  #planTree(tree: Tree, draft: Draft): void {
    this.#drain(tree, draft)
    this.#serve(tree, draft)
    this.#preempt(tree, draft)
    const before = draft.admit.length
    for (let shape = tree.next(); shape !== undefined; shape = tree.next()) this.#try(tree, shape, draft)
    if (draft.admit.length > before && tree.blocked.size > 0) this.#again.add(tree)
    this.#reserve(tree)
    this.#grow(tree, draft)
  }

  #drain(tree: Tree, draft: Draft): void {
    for (const leaf of tree.leaves) {
      if (!leaf.isDrained) continue
      for (const running of leaf.running) {
        if (running.isLeaving) continue
        this.#markLeaving(running)
        draft.evict.push({ id: running.workload.id, reason: 'Drained' })
      }
    }
  }

  /** Those for whom room is kept, in the order in which it was. */
  #serve(tree: Tree, draft: Draft): void {
    for (const reservation of tree.reservations.slice()) {
      const { workload, shape, kind, victims } = reservation
      if (shape.leaf.isStopped) this.#cancel(tree, reservation)
      else if (fitsInTurn(tree, reservation)) {
        this.#cancel(tree, reservation)
        this.#admit(tree, { workload, shape, counts: leastCounts(workload) }, draft)
      } else if (kind === 'preempting' && victims.size === 0) this.#cancel(tree, reservation)
    }
  }

  #try(tree: Tree, shape: Shape, draft: Draft): void {
    const workload = shape.workloads.peek()!
    if (fitsBeside(tree, shape, this.#nowMs))
      this.#admit(tree, { workload, shape, counts: leastCounts(workload) }, draft)
    else {
      wait(shape)
      this.#preemptFor(tree, shape, draft)
      tree.refresh(shape.leaf, this.#nowMs)
    }
  }

  #admit(
    tree: Tree,
    { workload, shape, counts }: { readonly workload: Workload; readonly shape: Shape; readonly counts: Counts },
    draft: Draft,
  ): void {
    const { leaf } = shape
    this.#take(workload.id)
    const running: Running = {
      workload,
      leaf,
      admittedAtMs: this.#nowMs,
      counts,
      amounts: amountsOf(workload, counts),
      isLeaving: false,
    }
    this.#start(running)
    if (isElastic(workload)) this.#enlarge(tree, running)
    draft.admit.push({ id: workload.id, counts: running.counts })
  }

  /** Gives an elastic workload as many pods as fit. True: it has more now. */
  #enlarge(tree: Tree, running: Running): boolean {
    const { leaf, workload, amounts } = running
    const fits = (wanted: Amounts): boolean => findBlockage(leaf, withoutAmounts(wanted, amounts)) === undefined
    const least = Math.max(0, extraOf(workload, running.counts))
    const counts = mostCounts(workload, { fits, least })
    const isMore = extraOf(workload, counts) > least
    if (isMore) {
      removeUsage(leaf, amounts, { nowMs: this.#nowMs })
      running.counts = counts
      running.amounts = amountsOf(workload, counts)
      addUsage(leaf, running.amounts, { nowMs: this.#nowMs })
      tree.refresh(leaf, this.#nowMs)
    }
    this.#noteShrunk(tree, running)
    return isMore
  }

  #noteShrunk(tree: Tree, running: Running): void {
    const { workload, counts, isLeaving } = running
    const isLess = !isLeaving && counts.some((count, i) => count < (workload.podSets[i]?.count ?? 0))
    if (isLess) tree.shrunk.add(running)
    else tree.shrunk.delete(running)
  }

  /** Looks for those who can give way to who does not fit. */
  #preempt(tree: Tree, draft: Draft): void {
    const hungry = [...tree.blocked].toSorted((a, b) => a.share - b.share || (a.name < b.name ? -1 : 1))
    for (const leaf of hungry) {
      if (leaf.isStopped) continue
      const most = leaf.settings.strategy === 'StrictFIFO' ? 1 : PREEMPTORS_PER_QUEUE_MAX
      for (const shape of leaf.pending.firstShapes(most)) this.#preemptFor(tree, shape, draft)
    }
  }

  #preemptFor(tree: Tree, shape: Shape, draft: Draft): void {
    const { leaf, least } = shape
    const workload = shape.workloads.peek()
    if (workload === undefined || shape.blocked === undefined) return
    if (tree.reservations.some((reservation) => reservation.workload.id === workload.id)) return
    if (!mayPreempt(leaf, workload, least) || !canEverFit(leaf, least)) return
    const victims = planPreemption(tree, leaf, workload)
    if (victims !== undefined) this.#evict(tree, { workload, shape, victims }, draft)
  }

  #evict(
    tree: Tree,
    {
      workload,
      shape,
      victims,
    }: { readonly workload: Workload; readonly shape: Shape; readonly victims: readonly Victim[] },
    draft: Draft,
  ): void {
    for (const { running, reason, shrinks } of victims) {
      const { id } = running.workload
      if (shrinks) {
        running.shrinksTo = leastCounts(running.workload)
        this.#forest.treeOf(running.leaf)?.leaving.add(running)
        draft.resize.push({ id, counts: running.shrinksTo })
      } else {
        this.#markLeaving(running)
        draft.evict.push({ id, reason, by: workload.id })
      }
    }
    const awaited = victims.length > 0 ? victims.map(({ running }) => running) : [...tree.leaving]
    this.#keep(tree, {
      workload,
      shape,
      kind: 'preempting',
      victims: new Set(awaited.map((running) => running.workload.id)),
      shadowMs: -Infinity,
    })
  }

  /** Keeps room for who has been first and not fitted for longest, one in a tree. */
  #reserve(tree: Tree): void {
    const shape = whoStarves(tree, this.#nowMs)
    const workload = shape?.workloads.peek()
    if (shape === undefined || workload === undefined) return
    const shadowMs = findShadowMs(tree, shape)
    this.#keep(tree, { workload, shape, kind: 'starving', victims: new Set(), shadowMs })
  }

  #keep(tree: Tree, reservation: Reservation): void {
    tree.reservations.push(reservation)
    addUsage(reservation.shape.leaf, reservation.shape.least, { reserved: true, nowMs: this.#nowMs })
    tree.refresh(reservation.shape.leaf, this.#nowMs)
  }

  #cancel(tree: Tree, reservation: Reservation): void {
    const at = tree.reservations.indexOf(reservation)
    if (at < 0) return
    tree.reservations.splice(at, 1)
    this.#free(tree, reservation.shape.leaf, reservation.shape.least, true)
  }

  /** When nobody waits, elastic workloads get what is left. */
  #grow(tree: Tree, draft: Draft): void {
    if (tree.blocked.size > 0) return
    for (const running of tree.shrunk) {
      if (running.isLeaving || running.shrinksTo !== undefined) continue
      if (draft.admit.some(({ id }) => id === running.workload.id)) continue
      if (this.#enlarge(tree, running)) draft.resize.push({ id: running.workload.id, counts: running.counts })
    }
  }

  #start(running: Running): void {
    const { leaf, amounts, workload } = running
    this.#running.set(workload.id, running)
    leaf.running.add(running)
    const tree = this.#forest.treeOf(leaf)
    if (tree === undefined) return
    addUsage(leaf, amounts, { nowMs: this.#nowMs })
    this.#noteShrunk(tree, running)
    tree.refresh(leaf, this.#nowMs)
    this.#dirty.add(tree)
  }

  #markLeaving(running: Running): void {
    running.isLeaving = true
    const tree = this.#forest.treeOf(running.leaf)
    tree?.leaving.add(running)
    tree?.shrunk.delete(running)
  }

  /** Takes a workload that waits out of its queue. */
  #take(id: string): void {
    if (this.#homeless.delete(id)) return
    const leaf = this.#forest.queueOfPending.get(id)
    if (leaf === undefined) return
    this.#forest.queueOfPending.delete(id)
    const tree = this.#forest.treeOf(leaf)!
    const reservation = tree.reservations.find(({ workload }) => workload.id === id)
    const shape = leaf.pending.remove(id)
    if (shape?.workloads.size === 0) stopWaiting(shape)
    if (reservation !== undefined) this.#cancel(tree, reservation)
    tree.refresh(leaf, this.#nowMs)
    this.#dirty.add(tree)
  }

  #place(workload: Workload): void {
    this.#settle()
    const leaf = this.#forest.leaves.get(workload.queue)
    if (leaf === undefined) return void this.#homeless.set(workload.id, workload)
    const tree = this.#forest.treeOf(leaf)!
    leaf.pending.put(leaf, workload)
    this.#forest.queueOfPending.set(workload.id, leaf)
    tree.refresh(leaf, this.#nowMs)
    this.#dirty.add(tree)
  }

  #free(tree: Tree, leaf: QueueNode, amounts: Amounts, reserved = false): void {
    const touched = new Set<QueueNode>([leaf])
    const onLess = (level: Level): void => wakeWaiters(level, touched)
    removeUsage(leaf, amounts, { reserved, nowMs: this.#nowMs, onLess })
    for (const each of touched) tree.refresh(each, this.#nowMs)
    this.#dirty.add(tree)
  }

  /** Makes the trees anew after queues have changed. */
  #settle(): void {
    if (!this.#isStale) return
    this.#isStale = false
    const before = this.#forest
    const waiting = [...this.#homeless.values(), ...before.pending()]
    this.#homeless.clear()
    this.#dirty.clear()
    this.#forest = createForest([...this.#settings.values()], before)
    const running = [...this.#running.values()]
    this.#running.clear()
    for (const one of running) {
      const leaf = this.#forest.anyNodes.get(one.workload.queue) ?? this.#forest.nowhere
      this.#start({ ...one, leaf })
      if (one.isLeaving || one.shrinksTo !== undefined)
        this.#forest.treeOf(leaf)?.leaving.add(this.#running.get(one.workload.id)!)
    }
    for (const workload of waiting) this.#place(workload)
    for (const tree of this.#forest.trees) this.#dirty.add(tree)
  }
}
