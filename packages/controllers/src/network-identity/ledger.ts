import {
  identityContentOf,
  identityKeyOf,
  identityNameOf,
  isInPodNetwork,
  objectKey,
  tenantOfViewed,
  viewedName,
  vpcNameOf,
  type Stored,
  type UsedLabelKeys,
} from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'

/** A NetworkIdentity that is there; names are those of the view. */
export interface ExistingIdentity {
  readonly name: string
  readonly tenant: string
  readonly vpc: string
}

/** One that pods have, or should have. */
export interface WantedIdentity extends ExistingIdentity {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly keys: readonly string[]
}

interface Wanted extends WantedIdentity {
  /** By which {@link IdentityLedger} finds it. */
  readonly id: string
  pods: number
}

/** What one network has too few of and too many. */
interface VpcBook {
  /** Pods wait for these. In the order in which they began to. */
  readonly missing: Map<string, Wanted>
  /** No pod would get these, since when; the oldest first. */
  readonly unused: Map<string, number>
}

export interface LedgerDeps {
  readonly used: Pick<UsedLabelKeys, 'of'>
  readonly nowMs: () => number
  /** Called with the name of a network when a pod begins to wait for an identity of it, or may get one, and when none waits any more. */
  readonly onMissing: (vpc: string) => void
  /** Called with the name of a network when no pod has one of its identities any more. */
  readonly onUnused: (vpc: string) => void
}

/**
 * Which identities the pods of all tenants should have, against those that there are. A change of one pod or identity costs the same whatever the number of
 * others.
 *
 * Invariants: `pods` of a wanted identity = number of known pods that should have it; it is missing when that is not 0 and there is no such object; an object is
 * unused when no wanted identity with pods has its name.
 */
export class IdentityLedger {
  readonly #deps: LedgerDeps
  /** By key of pod. */
  readonly #ofPod = new Map<string, Wanted>()
  /** By tenant and content, so that a known content is not hashed again. */
  readonly #byId = new Map<string, Wanted>()
  readonly #byName = new Map<string, Wanted>()
  readonly #existing = new Set<string>()
  readonly #vpcs = new Map<string, VpcBook>()
  readonly #counts = new Map<string, number>()
  /** Namespaces that have pods, with their number, by tenant. */
  readonly #namespaces = new Map<string, Map<string, number>>()

  constructor(deps: LedgerDeps) {
    this.#deps = deps
  }

  /** Added or changed, or looked at again since other labels are used. */
  putPod(pod: Stored<Pod>): void {
    const key = objectKey(pod)
    if (!isInPodNetwork(pod)) return this.removePod(pod)
    const tenant = tenantOfViewed(pod)
    const namespace = pod.metadata.namespace ?? ''
    const content = identityContentOf(pod, this.#deps.used.of(tenant, namespace))
    const id = `${tenant} ${identityKeyOf(content)}`
    const old = this.#ofPod.get(key)
    if (old?.id === id) return
    let wanted = this.#byId.get(id)
    if (wanted === undefined) {
      const { labels, keys } = content
      const name = viewedName(identityNameOf(content), tenant)
      wanted = { id, name, tenant, vpc: vpcNameOf(pod), namespace, labels, keys, pods: 0 }
      this.#byId.set(id, wanted)
      this.#byName.set(name, wanted)
    }
    this.#ofPod.set(key, wanted)
    this.#take(wanted)
    if (old === undefined) this.#countNamespace(wanted, 1)
    else this.#leave(old)
  }

  removePod(pod: Stored<Pod>): void {
    const key = objectKey(pod)
    const old = this.#ofPod.get(key)
    if (old === undefined) return
    this.#ofPod.delete(key)
    this.#leave(old)
    this.#countNamespace(old, -1)
  }

  /** There is one, as the informer shows or the server just said. */
  putIdentity({ name, tenant, vpc }: ExistingIdentity): void {
    if (this.#existing.has(name)) return
    this.#existing.add(name)
    this.#counts.set(tenant, this.countOf(tenant) + 1)
    this.#vpcs.get(vpc)?.missing.delete(name)
    if (this.isUnused(name)) this.#markUnused(vpc, name)
    else this.#dropEmpty(vpc)
  }

  removeIdentity({ name, tenant, vpc }: ExistingIdentity): void {
    if (!this.#existing.delete(name)) return
    const count = this.countOf(tenant) - 1
    if (count === 0) this.#counts.delete(tenant)
    else this.#counts.set(tenant, count)
    this.#vpcs.get(vpc)?.unused.delete(name)
    const wanted = this.#byName.get(name)
    if (wanted !== undefined && wanted.pods > 0) this.#markMissing(wanted)
    else {
      if (wanted !== undefined) this.#forget(wanted)
      if (this.missingOf(vpc, 0).total > 0) this.#deps.onMissing(vpc) // there may be room now
    }
    this.#dropEmpty(vpc)
  }

  /** Identities that the tenant has. */
  countOf(tenant: string): number {
    return this.#counts.get(tenant) ?? 0
  }

  /** At most `max` of those that pods of the network wait for, and how many these are in all. */
  missingOf(vpc: string, max: number): { readonly some: readonly WantedIdentity[]; readonly total: number } {
    const missing = this.#vpcs.get(vpc)?.missing
    if (missing === undefined) return { some: [], total: 0 }
    const some: WantedIdentity[] = []
    for (const wanted of missing.values()) {
      if (some.length >= max) break
      some.push(wanted)
    }
    return { some, total: missing.size }
  }

  /** Names of the network's identities that nobody would have got since `beforeMs`, and when the next one will be so old. */
  unusedOf(vpc: string, beforeMs: number): { readonly names: readonly string[]; readonly nextMs: number | undefined } {
    const names: string[] = []
    for (const [name, sinceMs] of this.#vpcs.get(vpc)?.unused ?? []) {
      if (sinceMs > beforeMs) return { names, nextMs: sinceMs }
      names.push(name)
    }
    return { names, nextMs: undefined }
  }

  /** Whether still no pod would get it. */
  isUnused(name: string): boolean {
    return (this.#byName.get(name)?.pods ?? 0) === 0
  }

  /** Labels of all identities that pods of the tenant have or wait for. */
  *labelsOf(tenant: string): Generator<Readonly<Record<string, string>>, void> {
    for (const wanted of this.#byId.values()) if (wanted.tenant === tenant && wanted.pods > 0) yield wanted.labels
  }

  /** Where the tenant has pods. */
  namespacesOf(tenant: string): readonly string[] {
    return [...(this.#namespaces.get(tenant)?.keys() ?? [])]
  }

  #take(wanted: Wanted): void {
    wanted.pods++
    if (wanted.pods > 1) return
    if (this.#existing.has(wanted.name)) {
      this.#vpcs.get(wanted.vpc)?.unused.delete(wanted.name)
      this.#dropEmpty(wanted.vpc)
    } else this.#markMissing(wanted)
  }

  #leave(wanted: Wanted): void {
    wanted.pods--
    if (wanted.pods > 0) return
    if (this.#existing.has(wanted.name)) return this.#markUnused(wanted.vpc, wanted.name)
    const missing = this.#vpcs.get(wanted.vpc)?.missing
    if (missing?.delete(wanted.name) === true && missing.size === 0) this.#deps.onMissing(wanted.vpc)
    this.#forget(wanted)
    this.#dropEmpty(wanted.vpc)
  }

  #markMissing(wanted: Wanted): void {
    this.#bookOf(wanted.vpc).missing.set(wanted.name, wanted)
    this.#deps.onMissing(wanted.vpc)
  }

  #markUnused(vpc: string, name: string): void {
    this.#bookOf(vpc).unused.set(name, this.#deps.nowMs())
    this.#deps.onUnused(vpc)
  }

  #forget({ id, name }: Wanted): void {
    this.#byId.delete(id)
    this.#byName.delete(name)
  }

  #bookOf(vpc: string): VpcBook {
    let book = this.#vpcs.get(vpc)
    if (book === undefined) this.#vpcs.set(vpc, (book = { missing: new Map(), unused: new Map() }))
    return book
  }

  #dropEmpty(vpc: string): void {
    const book = this.#vpcs.get(vpc)
    if (book !== undefined && book.missing.size + book.unused.size === 0) this.#vpcs.delete(vpc)
  }

  #countNamespace({ tenant, namespace }: WantedIdentity, by: 1 | -1): void {
    const namespaces = this.#namespaces.get(tenant) ?? new Map<string, number>()
    const count = (namespaces.get(namespace) ?? 0) + by
    if (count > 0) namespaces.set(namespace, count)
    else namespaces.delete(namespace)
    if (namespaces.size > 0) this.#namespaces.set(tenant, namespaces)
    else this.#namespaces.delete(tenant)
  }
}
