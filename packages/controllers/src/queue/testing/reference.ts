import type { QueueSettings, Workload } from '../core/types.ts'

interface Held {
  readonly queue: string
  readonly amounts: ReadonlyMap<string, number>
}

/**
 * What {@link Queues} must admit, found the slow way: everything is added up anew for every question. Without preemption, reservations, elastic
 * workloads and the past. For tests.
 */
export class ReferenceQueues {
  readonly settings: Map<string, QueueSettings>
  readonly pending = new Map<string, Workload>()
  readonly held = new Map<string, Held>()

  constructor(settings: readonly QueueSettings[]) {
    this.settings = new Map(settings.map((each) => [each.name, each]))
  }

  plan(): string[] {
    const admitted: string[] = []
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.pending.delete(next.id)
      this.held.set(next.id, { queue: next.queue, amounts: total(next) })
      admitted.push(next.id)
    }
    return admitted
  }

  childrenOf(name: string): string[] {
    return [...this.settings.values()].filter(({ parent }) => parent === name).map(({ name: child }) => child)
  }

  nominalOf(name: string, resource: string): number {
    return this.settings.get(name)?.quotas.get(resource)?.nominal ?? 0
  }

  subtreeOf(name: string, resource: string): number {
    const lent = this.childrenOf(name).map(
      (child) => this.subtreeOf(child, resource) - this.guaranteedOf(child, resource),
    )
    return this.nominalOf(name, resource) + lent.reduce((sum, each) => sum + each, 0)
  }

  guaranteedOf(name: string, resource: string): number {
    const settings = this.settings.get(name)
    if (settings?.parent === undefined) return this.subtreeOf(name, resource)
    return Math.max(0, this.subtreeOf(name, resource) - (settings.quotas.get(resource)?.lendingLimit ?? Infinity))
  }

  limitOf(name: string, resource: string): number {
    const settings = this.settings.get(name)
    const limit = settings?.parent === undefined ? 0 : (settings.quotas.get(resource)?.borrowingLimit ?? Infinity)
    return this.subtreeOf(name, resource) + limit
  }

  /** With what `more` would hold too. */
  usageOf(name: string, resource: string, more?: Held): number {
    const held = [...this.held.values(), ...(more === undefined ? [] : [more])]
    const own = held
      .filter(({ queue }) => queue === name)
      .reduce((sum, { amounts }) => sum + (amounts.get(resource) ?? 0), 0)
    const passed = this.childrenOf(name).map((child) =>
      Math.max(0, this.usageOf(child, resource, more) - this.guaranteedOf(child, resource)),
    )
    return passed.reduce((sum, each) => sum + each, own)
  }

  standingOf(name: string): number {
    const settings = this.settings.get(name)!
    const standings = this.#resourcesOf(name).flatMap((resource) => {
      const [subtree, usage] = [this.subtreeOf(name, resource), this.usageOf(name, resource)]
      if (subtree === 0 && usage === 0) return []
      return [(usage - subtree) / Math.max(1, this.subtreeOf(settings.parent!, resource))]
    })
    const most = standings.length === 0 ? 0 : Math.max(...standings)
    return most > 0 ? most / settings.weight : most
  }

  /** Those that some queue of the tree names. */
  #resourcesOf(name: string): string[] {
    const root = this.pathOf(name).at(-1)
    const tree = [...this.settings.values()].filter((each) => this.pathOf(each.name).at(-1) === root)
    return [...new Set(tree.flatMap(({ quotas }) => [...quotas.keys()]))]
  }

  pathOf(name: string): string[] {
    const parent = this.settings.get(name)?.parent
    return parent === undefined ? [name] : [name, ...this.pathOf(parent)]
  }

  fits(workload: Workload): boolean {
    const more = { queue: workload.queue, amounts: total(workload) }
    return this.#resourcesOf(workload.queue).every((resource) => {
      if ((more.amounts.get(resource) ?? 0) === 0) return true
      return this.pathOf(workload.queue).every((name) => {
        const isTouched = this.usageOf(name, resource, more) > this.usageOf(name, resource)
        return !isTouched || this.usageOf(name, resource, more) <= this.limitOf(name, resource)
      })
    })
  }

  #next(): Workload | undefined {
    const roots = [...this.settings.values()].filter(({ parent }) => parent === undefined).map(({ name }) => name)
    for (const root of roots) {
      const found = this.#bestBelow(root)
      if (found !== undefined) return found
    }
    return undefined
  }

  #bestBelow(name: string): Workload | undefined {
    const children = this.childrenOf(name)
    if (children.length === 0) {
      const waiting = [...this.pending.values()].filter(({ queue }) => queue === name).toSorted(inOrder)
      const first = this.settings.get(name)!.strategy === 'StrictFIFO' ? waiting.slice(0, 1) : waiting
      return first.find((workload) => this.fits(workload))
    }
    const contenders = children.flatMap((child) => {
      const workload = this.#bestBelow(child)
      if (workload === undefined) return []
      return [{ child, workload, standing: this.standingOf(child) }]
    })
    const [best] = contenders.toSorted(
      (a, b) =>
        a.standing - b.standing ||
        b.workload.priority - a.workload.priority ||
        a.workload.queuedAtMs - b.workload.queuedAtMs ||
        (a.child < b.child ? -1 : 1),
    )
    return best?.workload
  }
}

function total({ podSets }: Workload): Map<string, number> {
  const sum = new Map<string, number>()
  for (const { count, request } of podSets)
    for (const [resource, amount] of request) sum.set(resource, (sum.get(resource) ?? 0) + amount * count)
  return sum
}

function inOrder(a: Workload, b: Workload): number {
  return b.priority - a.priority || a.queuedAtMs - b.queuedAtMs || (a.id < b.id ? -1 : 1)
}
