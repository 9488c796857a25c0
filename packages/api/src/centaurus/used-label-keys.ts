import type { LabelSelector } from '../generated/types/meta/v1.ts'
import type { NetworkPolicy } from '../generated/types/networking/v1.ts'
import type { ClusterNetworkPolicy } from '../policy-networking/v1alpha2.ts'
import { tenantOfViewed } from './identity.ts'

/** Keys of pods' labels that a policy asks for. */
export interface AskedKeys {
  /** Of pods in the policy's own namespace alone. */
  readonly inNamespace: ReadonlySet<string>
  /** Of pods in any namespace. */
  readonly everywhere: ReadonlySet<string>
}

/** Which pods' policies ask for other keys now than before: those of the namespace, or without one all of the tenant. */
export interface KeysChange {
  readonly tenant: string
  readonly namespace?: string | undefined
}

/** Of its target and of its peers; a peer that selects namespaces asks of pods everywhere. */
export function keysAskedByPolicy({ spec }: Readonly<NetworkPolicy>): AskedKeys {
  const inNamespace = new Set(keysOf(spec?.podSelector))
  const everywhere = new Set<string>()
  const peers = [
    ...(spec?.ingress ?? []).flatMap(({ from }) => from ?? []),
    ...(spec?.egress ?? []).flatMap(({ to }) => to ?? []),
  ]
  for (const { podSelector, namespaceSelector } of peers) {
    const keys = namespaceSelector === undefined ? inNamespace : everywhere
    for (const key of keysOf(podSelector)) keys.add(key)
  }
  return { inNamespace, everywhere }
}

/** All everywhere: which namespaces it is for may change with their labels. */
export function keysAskedByClusterPolicy({ spec }: Readonly<ClusterNetworkPolicy>): AskedKeys {
  const peers = [
    spec.subject,
    ...(spec.ingress ?? []).flatMap(({ from }) => from),
    ...(spec.egress ?? []).flatMap(({ to }) => to),
  ]
  return {
    inNamespace: new Set(),
    everywhere: new Set(peers.flatMap(({ pods }) => keysOf(pods?.podSelector))),
  }
}

function keysOf(selector: Readonly<LabelSelector> | undefined): string[] {
  return [...Object.keys(selector?.matchLabels ?? {}), ...(selector?.matchExpressions ?? []).map(({ key }) => key)]
}

const NO_KEYS: readonly string[] = []

/**
 * Label keys that policies ask of pods, kept up to date policy by policy. What only policies of a namespace ask of its own pods counts there alone, so that a
 * policy with a new key touches no other namespace. Objects may come from a view over all tenants; within one tenant they need no annotations.
 */
export class UsedLabelKeys {
  readonly #policies = new Map<string, AskedKeys>()
  /** Key → number of policies, by place: a namespace, or a tenant as a whole. */
  readonly #counts = new Map<string, Map<string, number>>()
  /** What {@link of} has told, until it changes. */
  readonly #told = new Map<string, readonly string[]>()

  /** Sorted. `namespace` as in the objects that were put. The same list as long as nothing has changed. */
  of(tenant: string, namespace: string): readonly string[] {
    const place = placeOf(tenant, namespace)
    const told = this.#told.get(place)
    if (told !== undefined) return told
    const own = this.#counts.get(place)
    const common = this.#counts.get(placeOf(tenant))
    const keys = own === undefined && common === undefined ? NO_KEYS : sorted(own, common)
    this.#told.set(place, keys)
    return keys
  }

  putPolicy(policy: Readonly<NetworkPolicy>): readonly KeysChange[] {
    return this.#put(policy, keysAskedByPolicy(policy))
  }

  putClusterPolicy(policy: Readonly<ClusterNetworkPolicy>): readonly KeysChange[] {
    return this.#put(policy, keysAskedByClusterPolicy(policy))
  }

  /** Of either kind. */
  remove(policy: Readonly<NetworkPolicy | ClusterNetworkPolicy>): readonly KeysChange[] {
    return this.#put(policy, undefined)
  }

  #put(policy: Readonly<NetworkPolicy | ClusterNetworkPolicy>, asked: AskedKeys | undefined): readonly KeysChange[] {
    const { namespace, name = '' } = policy.metadata
    const tenant = tenantOfViewed(policy)
    const id = `${tenant}/${namespace ?? ''}/${name}`
    const before = this.#policies.get(id)
    if (asked === undefined) this.#policies.delete(id)
    else this.#policies.set(id, asked)
    const changes: KeysChange[] = []
    if (this.#move(placeOf(tenant), before?.everywhere, asked?.everywhere)) {
      changes.push({ tenant })
      for (const place of this.#told.keys()) if (place.startsWith(`${tenant}/`)) this.#told.delete(place)
    }
    if (namespace === undefined) return changes
    const place = placeOf(tenant, namespace)
    if (this.#move(place, before?.inNamespace, asked?.inNamespace)) {
      this.#told.delete(place)
      if (changes.length === 0) changes.push({ tenant, namespace })
    }
    return changes
  }

  /** True when another set of keys is used there now. */
  #move(place: string, before: ReadonlySet<string> = NOTHING, now: ReadonlySet<string> = NOTHING): boolean {
    let isChanged = false
    const counts = this.#counts.get(place) ?? new Map<string, number>()
    for (const key of now) {
      if (before.has(key)) continue
      const count = counts.get(key) ?? 0
      counts.set(key, count + 1)
      if (count === 0) isChanged = true
    }
    for (const key of before) {
      if (now.has(key)) continue
      const count = counts.get(key) ?? 1
      if (count > 1) counts.set(key, count - 1)
      else {
        counts.delete(key)
        isChanged = true
      }
    }
    if (counts.size > 0) this.#counts.set(place, counts)
    else this.#counts.delete(place)
    return isChanged
  }
}

const NOTHING: ReadonlySet<string> = new Set()

function sorted(...maps: readonly (ReadonlyMap<string, number> | undefined)[]): string[] {
  return [...new Set(maps.flatMap((map) => (map === undefined ? [] : [...map.keys()])))].toSorted()
}

/** Names of tenants hold no slash, and neither do those of namespaces. */
function placeOf(tenant: string, namespace = ''): string {
  return `${tenant}/${namespace}`
}
