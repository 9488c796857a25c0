/** How a pod's packets are treated where they compete with those of others. Whose word counts: decisions/015. */

/** The best first: what is of a better class goes before all of a worse one. */
export const NETWORK_CLASSES = ['premium', 'expedited', 'best-effort'] as const
/** The best first: the order within a class. */
export const NETWORK_PRIORITIES = ['high', 'medium', 'low'] as const
export type NetworkClass = (typeof NETWORK_CLASSES)[number]
export type NetworkPriority = (typeof NETWORK_PRIORITIES)[number]

export interface NetworkQuality {
  readonly networkClass: NetworkClass
  readonly priority: NetworkPriority
  /** Bits a second; undefined: no limit of its own. */
  readonly egressBandwidth?: number
  readonly ingressBandwidth?: number
}

/** What one source says of it, field by field: a pod, its namespace or its tenant. */
export type QualityWish = Partial<NetworkQuality>

/** What operators say of a tenant's pods. */
export interface TenantQuality {
  /** Of pods that say nothing, and whose namespaces say nothing. */
  readonly defaults: QualityWish
  /** The most that a pod may have; undefined: everything. */
  readonly max: NetworkQuality | undefined
}

/** What everybody has: the quality of a pod of which nobody says anything, and the most that a tenant may have to whom operators granted nothing. */
export const DEFAULT_QUALITY: NetworkQuality = Object.freeze({ networkClass: 'best-effort', priority: 'medium' })

/** Field by field what the first wish says that says something, and no more than `max`. */
export function effectiveQuality(wishes: readonly QualityWish[], max: NetworkQuality | undefined): NetworkQuality {
  const said = Object.assign({}, DEFAULT_QUALITY, ...wishes.toReversed()) as NetworkQuality
  if (max === undefined) return said
  const { networkClass, priority } = isBetter(said, max) ? max : said
  const egressBandwidth = lesser(said.egressBandwidth, max.egressBandwidth)
  const ingressBandwidth = lesser(said.ingressBandwidth, max.ingressBandwidth)
  return {
    networkClass,
    priority,
    ...(egressBandwidth === undefined ? {} : { egressBandwidth }),
    ...(ingressBandwidth === undefined ? {} : { ingressBandwidth }),
  }
}

/** What a pod has: its own word counts, then its namespace's, then its tenant's. */
export function podQuality(pod: QualityWish, namespace: QualityWish, { defaults, max }: TenantQuality): NetworkQuality {
  return effectiveQuality([pod, namespace, defaults], max)
}

/** Whether packets of `a` go before those of `b`. A high priority of a worse class is never better than a low one of a better class. */
export function isBetter(a: QualityOrder, b: QualityOrder): boolean {
  return rankOf(a) < rankOf(b)
}

export type QualityOrder = Pick<NetworkQuality, 'networkClass' | 'priority'>

function rankOf({ networkClass, priority }: QualityOrder): number {
  return NETWORK_CLASSES.indexOf(networkClass) * NETWORK_PRIORITIES.length + NETWORK_PRIORITIES.indexOf(priority)
}

function lesser(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)
}
