import type { Ledger } from './ledger.ts'
import type { ClaimItem, ClaimRoom } from './model.ts'

/** What a tenant partition has, seen whole: no binding of an epoch before `epoch` can be made any more. */
export interface BoundPods {
  readonly epoch: number
  /** Whether the pod is there, on that node, and not over. */
  readonly isBound: (uid: string, node: string) => boolean
  /** Whether `isBound` tells the truth about the tenant's pods: of one that is moving it may not yet. Absent: of all tenants. */
  readonly isKnown?: ((tenant: string) => boolean) | undefined
}

export interface ReconcilePlan {
  /** To be released or given anew, by the partition that holds them now. */
  readonly release: Map<string, ClaimItem[]>
  /** Claims of tenants that have moved: to be held by the partition that was asked about. */
  readonly takeOver: ClaimRoom[]
}

/**
 * Which claims of a tenant partition have no pod. Those of its present scheduler are left alone: it may be binding just now. A claim belongs to
 * the partition that has its tenant now, whoever made it; `ownerOf` tells which, or undefined when that is not known.
 */
export function planReconcile(
  ledger: Ledger,
  partition: string,
  { epoch, isBound, isKnown, ownerOf }: BoundPods & { readonly ownerOf: (tenant: string) => string | undefined },
): ReconcilePlan {
  const release = new Map<string, ClaimItem[]>()
  const takeOver: ClaimRoom[] = []
  for (const node of ledger.claimedNodes()) {
    for (const { uid, name, terms } of ledger.claims(node).claims) {
      const owner = ownerOf(terms.tenant) ?? terms.partition
      if (owner !== partition || isKnown?.(terms.tenant) === false) continue
      const isOwn = terms.partition === partition
      if (isBound(uid, node)) {
        if (!isOwn) takeOver.push({ op: 'claim', uid, name, node, ...terms, from: terms.partition })
      } else if (!isOwn || terms.epoch < epoch) {
        const items = release.get(terms.partition) ?? []
        release.set(terms.partition, items)
        items.push({ op: 'release', uid, node, epochMax: isOwn ? epoch - 1 : terms.epoch })
      }
    }
  }
  return { release, takeOver }
}
