import { outranks, sharedPriority, type MaxPriorityOf, type RankedPod } from '@centaurus/api'

/** How many pods there are of each priority, so that a pod that nobody would make room for is known as such at once. */
export class PriorityCounts {
  readonly #maxPriorityOf: MaxPriorityOf
  readonly #byTenant = new Map<string, Map<number, number>>()
  /** Of other partitions' pods, which count by shared priority. */
  readonly #foreign = new Map<number, number>()

  constructor(maxPriorityOf: MaxPriorityOf) {
    this.#maxPriorityOf = maxPriorityOf
  }

  count({ tenant, priority }: RankedPod, sign: 1 | -1): void {
    const counts = this.#byTenant.get(tenant) ?? new Map<number, number>()
    this.#byTenant.set(tenant, counts)
    add(counts, priority, sign)
    if (counts.size === 0) this.#byTenant.delete(tenant)
  }

  countForeign(priority: number, sign: 1 | -1): void {
    add(this.#foreign, priority, sign)
  }

  /** Whether there are pods whose room this one may take. Cost: the tenants and their different priorities. */
  hasBelow(pod: RankedPod): boolean {
    const shared = sharedPriority(pod, this.#maxPriorityOf)
    for (const priority of this.#foreign.keys()) if (priority < shared) return true
    const own = this.#byTenant.get(pod.tenant)
    for (const priority of own?.keys() ?? []) if (priority < pod.priority) return true
    for (const [tenant, counts] of this.#byTenant) {
      if (tenant === pod.tenant) continue
      for (const priority of counts.keys()) if (outranks(pod, { tenant, priority }, this.#maxPriorityOf)) return true
    }
    return false
  }
}

function add(counts: Map<number, number>, priority: number, sign: 1 | -1): void {
  const count = (counts.get(priority) ?? 0) + sign
  if (count === 0) counts.delete(priority)
  else counts.set(priority, count)
}
