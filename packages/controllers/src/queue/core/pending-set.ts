import { formatAmounts, type Amounts } from './amounts.ts'
import { IndexedHeap } from './heap.ts'
import type { Level, QueueNode } from './queue-node.ts'
import { amountsOf, leastCounts } from './running.ts'
import type { QueueSettings, Workload } from './types.ts'

/** Workloads of one queue that ask for the same: when one of them does not fit, none does. */
export interface Shape {
  readonly key: string
  readonly leaf: QueueNode
  /** The least that one of them takes. */
  readonly least: Amounts
  readonly workloads: IndexedHeap<Workload>
  /** Why the first of them can not be admitted now; undefined: not tried yet. */
  blocked: BlockedShape | undefined
}

export interface BlockedShape {
  /** Where it waits for room. */
  readonly level: Level | undefined
  /** How much must be left there. */
  readonly need: number
  readonly passing: readonly Level[]
}

/** What waits in one queue, in its order. */
export class PendingSet {
  readonly #strategy: QueueSettings['strategy']
  readonly #shapes = new Map<string, Shape>()
  readonly #byId = new Map<string, { readonly shape: Shape; readonly workload: Workload }>()
  readonly #order = new IndexedHeap<Shape>(compareShapes)
  readonly #untried = new IndexedHeap<Shape>(compareShapes)

  constructor(strategy: QueueSettings['strategy']) {
    this.#strategy = strategy
  }

  get size(): number {
    return this.#byId.size
  }

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  workloads(): Workload[] {
    return [...this.#byId.values()].map(({ workload }) => workload)
  }

  /** Who is first, fitting or not. */
  first(): Shape | undefined {
    return this.#order.peek()
  }

  /** The first ones in the queue's order. Costs as much as there are shapes. */
  firstShapes(most: number): readonly Shape[] {
    const shapes = this.#order.values()
    return shapes.length <= 1 ? shapes : shapes.toSorted(compareShapes).slice(0, most)
  }

  shapeOf(id: string): Shape | undefined {
    return this.#byId.get(id)?.shape
  }

  /** Whose turn it is to be tried: the first one of a strict queue, or the first one that is not known not to fit. */
  candidate(): Shape | undefined {
    if (this.#strategy === 'BestEffortFIFO') return this.#untried.peek()
    const first = this.#order.peek()
    return first?.blocked === undefined ? first : undefined
  }

  /** Returns its shape. */
  put(leaf: QueueNode, workload: Workload): Shape {
    const key = shapeKey(workload)
    let shape = this.#shapes.get(key)
    if (shape === undefined) {
      const least = amountsOf(workload, leastCounts(workload))
      shape = { key, leaf, least, workloads: new IndexedHeap(compareWorkloads), blocked: undefined }
      this.#shapes.set(key, shape)
    }
    shape.workloads.put(workload)
    this.#byId.set(workload.id, { shape, workload })
    this.#place(shape)
    return shape
  }

  /** Its shape, which may be empty now; undefined: it was not here. */
  remove(id: string): Shape | undefined {
    const found = this.#byId.get(id)
    if (found === undefined) return undefined
    const { shape, workload } = found
    this.#byId.delete(id)
    shape.workloads.remove(workload)
    if (shape.workloads.size === 0) {
      this.#shapes.delete(shape.key)
      this.#order.remove(shape)
      this.#untried.remove(shape)
    } else this.#place(shape)
    return shape
  }

  block(shape: Shape, blocked: BlockedShape): void {
    shape.blocked = blocked
    this.#untried.remove(shape)
  }

  unblock(shape: Shape): void {
    shape.blocked = undefined
    if (shape.workloads.size > 0) this.#untried.put(shape)
  }

  #place(shape: Shape): void {
    this.#order.put(shape)
    if (shape.blocked === undefined) this.#untried.put(shape)
  }
}

function shapeKey({ podSets, maxRuntimeMs }: Workload): string {
  const sets = podSets.map(({ count, minCount, request }) => `${minCount}-${count}x${formatAmounts(request)}`)
  return `${sets.join(';')}/${maxRuntimeMs ?? ''}`
}

/** Higher priority first, then who came first. */
export function compareWorkloads(a: Workload, b: Workload): number {
  return b.priority - a.priority || a.queuedAtMs - b.queuedAtMs || (a.id < b.id ? -1 : 1)
}

function compareShapes(a: Shape, b: Shape): number {
  const [first, second] = [a.workloads.peek(), b.workloads.peek()]
  if (first === undefined || second === undefined) return Number(first === undefined) - Number(second === undefined)
  return compareWorkloads(first, second)
}
