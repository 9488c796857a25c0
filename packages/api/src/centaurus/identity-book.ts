import type { Stored } from '../meta/object.ts'
import type { Pod } from '../generated/types/core/v1.ts'
import {
  IDENTITY_SETTLE_MS,
  identityContentOf,
  identityNameOf,
  tenantOfViewed,
  viewedName,
  vpcNameOf,
} from './identity.ts'
import type { NetworkIdentity } from './network.ts'

/** What a pod should be known as. */
export type IdentityChoice =
  /** `id` says all of the pod that policies ask for. */
  | { readonly type: 'exact'; readonly id: number }
  /** `id` is what it has, and the one that says all is too new for others to know it: ask again. */
  | { readonly type: 'settling'; readonly id: number; readonly recheckInMs: number }
  /** There is none yet that says all; `id` says nothing wrong, and policies that ask for more do not let it through. */
  | { readonly type: 'older'; readonly id: number }
  /** There is none yet, and what the pod had says something of it that is not so any more. Keep that for a moment; it must not stay. */
  | { readonly type: 'stale'; readonly id: number }
  | { readonly type: 'none' }

export interface IdentityQuestion {
  /** That policies use in the pod's namespace: `UsedLabelKeys.of`. */
  readonly keys: readonly string[]
  /** What it has now; undefined: nothing, it is about to begin. */
  readonly current?: number | undefined
  readonly nowMs: number
}

interface KnownIdentity {
  readonly identity: Stored<NetworkIdentity>
  readonly sinceMs: number
}

/** The identities that a node has heard of, and which of them a pod has. Objects are of one view or of one tenant. Nothing here waits or writes. */
export class IdentityBook {
  readonly #known = new Map<string, KnownIdentity>()
  /** Names by network and namespace. */
  readonly #byPlace = new Map<string, Set<string>>()

  /** `sinceMs`: when it was heard of; those that were there when the node began to listen are old: -Infinity. */
  put(identity: Stored<NetworkIdentity>, sinceMs: number): void {
    const { name } = identity.metadata
    const known = this.#known.get(name)
    if (known !== undefined && known.identity.spec.id === identity.spec.id) return
    this.#known.set(name, { identity, sinceMs })
    const place = placeOf(identity.spec.vpc, identity.spec.namespace)
    const names = this.#byPlace.get(place)
    if (names === undefined) this.#byPlace.set(place, new Set([name]))
    else names.add(name)
  }

  remove({ metadata: { name }, spec }: Stored<NetworkIdentity>): void {
    this.#known.delete(name)
    const place = placeOf(spec.vpc, spec.namespace)
    const names = this.#byPlace.get(place)
    names?.delete(name)
    if (names?.size === 0) this.#byPlace.delete(place)
  }

  /** Costs one hash, and when the exact identity is not there a look at those of the pod's namespace. */
  choose(pod: Readonly<Pod>, { keys, current, nowMs }: IdentityQuestion): IdentityChoice {
    const name = viewedName(identityNameOf(identityContentOf(pod, keys)), tenantOfViewed(pod))
    const exact = this.#known.get(name)
    const settlesInMs = exact === undefined ? 0 : exact.sinceMs + IDENTITY_SETTLE_MS - nowMs
    if (exact !== undefined && (settlesInMs <= 0 || current === undefined || current === exact.identity.spec.id))
      return { type: 'exact', id: exact.identity.spec.id }
    const others = this.#othersOf(pod)
    const own = current === undefined ? undefined : others.find(({ spec }) => spec.id === current)
    const isTrue = own !== undefined && isTrueOf(own, pod)
    if (exact !== undefined) {
      if (!isTrue) return { type: 'exact', id: exact.identity.spec.id }
      return { type: 'settling', id: own.spec.id, recheckInMs: settlesInMs }
    }
    if (own !== undefined) return { type: isTrue ? 'older' : 'stale', id: own.spec.id }
    const used = new Set(keys)
    const rank = ({ spec }: NetworkIdentity): number => spec.keys.filter((key) => used.has(key)).length
    const [best] = others
      .filter((identity) => isTrueOf(identity, pod))
      .toSorted((a, b) => rank(b) - rank(a) || b.spec.id - a.spec.id)
    return best === undefined ? { type: 'none' } : { type: 'older', id: best.spec.id }
  }

  #othersOf(pod: Readonly<Pod>): Stored<NetworkIdentity>[] {
    const names = this.#byPlace.get(placeOf(vpcNameOf(pod), pod.metadata.namespace ?? ''))
    return [...(names ?? [])].map((name) => this.#known.get(name)!.identity)
  }
}

/** Whether the pod has just these labels of the keys that the identity knows of. */
function isTrueOf({ spec }: NetworkIdentity, { metadata }: Readonly<Pod>): boolean {
  return spec.keys.every((key) => metadata.labels?.[key] === spec.labels[key])
}

/** Neither holds a slash. */
function placeOf(vpc: string, namespace: string): string {
  return `${vpc}/${namespace}`
}
