import type { PersistentVolume, Pod } from '@centaurus/api/core/v1'
import type { ObjectAddress, StoredChange, StoredEntry, StoredObjects } from '@centaurus/apiserver'
import {
  isTenantWide,
  mayBeOf,
  partitionOfPod,
  partitionOfVolume,
  PODS,
  referencesOf,
  TENANT_WIDE,
  TENANT_WIDE_OBJECTS,
  VOLUMES,
} from './needs.ts'

/** Pods looked at before other work gets its turn. */
const PODS_A_TURN = 500

/** Hears what a resource partition needs. Both are called in the order in which nodes may see it. */
export interface ClosureListener {
  put(address: ObjectAddress, object: StoredEntry): void
  remove(address: ObjectAddress): void
}

interface Entry {
  readonly address: ObjectAddress
  /** How many others need it: pods, claims, volumes, and the tenant as a whole. Its own need counts for a pod, and a folder of a node. */
  count: number
  /** What it needs itself. */
  needs: readonly string[]
  isThere: boolean
}

/**
 * What the nodes of one resource partition need: its pods, what these refer to, what is of their tenants as a whole, and the volumes that are folders of
 * its nodes. Kept up to date change by change, at a cost that depends on what the changed object refers to, not on how many there are.
 *
 * Invariant: `count` of an entry = number of entries whose `needs` name it + 1 for a pod or folder of the partition + 1 for what is tenant-wide of a
 * tenant that has pods there; entries with 0 are gone.
 */
export class Closure {
  readonly #partition: string
  readonly #objects: Pick<StoredObjects, 'get' | 'list'>
  readonly #listener: ClosureListener
  readonly #isServed: (tenant: string) => boolean
  readonly #entries = new Map<string, Entry>()
  readonly #pods = new Set<string>()
  /** Those that are folders of nodes there. */
  readonly #volumes = new Set<string>()
  /** Pods of each tenant here, and what is here of it as a whole. */
  readonly #tenants = new Map<string, { pods: number; readonly wide: Set<string> }>()

  /** `isServed`: whether a tenant's originals are in `objects`, and not copies. */
  constructor(
    partition: string,
    objects: Pick<StoredObjects, 'get' | 'list'>,
    options: { readonly listener: ClosureListener; readonly isServed: (tenant: string) => boolean },
  ) {
    this.#partition = partition
    this.#objects = objects
    this.#listener = options.listener
    this.#isServed = options.isServed
  }

  /** Number of objects and of pods among them. */
  get size(): { readonly objects: number; readonly pods: number } {
    return { objects: this.#entries.size, pods: this.#pods.size }
  }

  /** Everything that is needed and there; pods come last. */
  *current(): Generator<{ readonly address: ObjectAddress; readonly object: StoredEntry }, void> {
    for (const wantsPods of [false, true]) {
      for (const { address } of this.#entries.values()) {
        if ((address.resource === PODS) !== wantsPods) continue
        const object = this.#objects.get(address.tenant, address.resource, address.key)
        if (object !== undefined) yield { address, object }
      }
    }
  }

  /** Takes in what is there already, with pauses for other work; changes may come meanwhile. */
  async load(tenants: Iterable<string>): Promise<void> {
    let count = 0
    for (const tenant of tenants) {
      // keys first: the list must not be read across a pause
      for (const key of Array.from(this.#objects.list(tenant, PODS), (object) => object.key)) {
        this.#lookAtPod({ tenant, resource: PODS, key })
        if (++count % PODS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      this.#lookAtVolumes(tenant)
    }
  }

  /** Something of a relayed resource has changed; the objects show it already. */
  change(resource: string, { tenant, type, object }: StoredChange): void {
    const address: ObjectAddress = { tenant, resource, key: object.key }
    if (resource === PODS) return this.#lookAtPod(address)
    if (resource === VOLUMES) return this.#lookAtVolume(address)
    const name = nameOf(address)
    const isWide = isTenantWide(resource, object.key)
    const wide = isWide ? this.#tenants.get(tenant)?.wide : undefined
    if (wide !== undefined && type !== 'DELETED' && !wide.has(name)) {
      wide.add(name)
      return this.#include(address)
    }
    this.#refresh(name)
    if (wide !== undefined && type === 'DELETED' && wide.delete(name)) this.#exclude(name)
  }

  /** The tenant has left this partition, which has nothing to say of it any more: nobody is told. */
  forgetTenant(tenant: string): void {
    const prefix = `${tenant}/`
    this.#tenants.delete(tenant)
    for (const names of [this.#pods, this.#volumes])
      for (const name of names) if (name.startsWith(prefix)) names.delete(name)
    for (const name of this.#entries.keys()) if (name.startsWith(prefix)) this.#entries.delete(name)
  }

  /** The tenant came to this partition. */
  enterTenant(tenant: string): void {
    for (const object of this.#objects.list(tenant, PODS)) this.#lookAtPod({ tenant, resource: PODS, key: object.key })
    this.#lookAtVolumes(tenant)
  }

  #lookAtPod(address: ObjectAddress): void {
    const name = nameOf(address)
    const pod = this.#objects.get(address.tenant, PODS, address.key)
    const isNeeded =
      pod !== undefined &&
      mayBeOf(this.#partition, pod.value) &&
      partitionOfPod(pod.object() as Pod) === this.#partition &&
      (this.#isServed(address.tenant) || this.#pods.has(name))
    if (this.#pods.has(name)) {
      if (isNeeded) return this.#refresh(name)
      this.#pods.delete(name)
      this.#exclude(name)
      this.#leaveTenant(address.tenant)
    } else if (isNeeded) {
      this.#pods.add(name)
      this.#enterTenant(address.tenant)
      this.#include(address)
    }
  }

  #lookAtVolumes(tenant: string): void {
    for (const { key } of this.#objects.list(tenant, VOLUMES)) this.#lookAtVolume({ tenant, resource: VOLUMES, key })
  }

  #lookAtVolume(address: ObjectAddress): void {
    const name = nameOf(address)
    const volume = this.#objects.get(address.tenant, VOLUMES, address.key)
    const isFolder =
      volume !== undefined &&
      mayBeOf(this.#partition, volume.value) &&
      partitionOfVolume(volume.object() as PersistentVolume) === this.#partition &&
      (this.#isServed(address.tenant) || this.#volumes.has(name))
    const isKnown = this.#entries.has(name)
    if (isFolder && !this.#volumes.has(name)) {
      this.#volumes.add(name)
      this.#include(address)
    } else if (!isFolder && this.#volumes.delete(name)) this.#exclude(name)
    if (isKnown) this.#refresh(name)
  }

  #enterTenant(tenant: string): void {
    const known = this.#tenants.get(tenant)
    if (known !== undefined) {
      known.pods++
      return
    }
    const wide = new Set<string>()
    this.#tenants.set(tenant, { pods: 1, wide })
    for (const resource of TENANT_WIDE) {
      for (const { key } of this.#objects.list(tenant, resource)) {
        const address = { tenant, resource, key }
        wide.add(nameOf(address))
        this.#include(address)
      }
    }
    for (const { resource, key } of TENANT_WIDE_OBJECTS) {
      if (this.#objects.get(tenant, resource, key) === undefined) continue
      wide.add(nameOf({ tenant, resource, key }))
      this.#include({ tenant, resource, key })
    }
  }

  #leaveTenant(tenant: string): void {
    const known = this.#tenants.get(tenant)
    if (known === undefined || --known.pods > 0) return
    this.#tenants.delete(tenant)
    for (const name of known.wide) this.#exclude(name)
  }

  /** One more needs it. */
  #include(address: ObjectAddress): void {
    const name = nameOf(address)
    const known = this.#entries.get(name)
    if (known !== undefined) {
      known.count++
      return
    }
    this.#entries.set(name, { address, count: 1, needs: [], isThere: false })
    this.#refresh(name)
  }

  /** One less needs it. */
  #exclude(name: string): void {
    const entry = this.#entries.get(name)
    if (entry === undefined || --entry.count > 0) return
    this.#entries.delete(name)
    if (entry.isThere) this.#listener.remove(entry.address)
    for (const needed of entry.needs) this.#exclude(needed)
  }

  /** Looks again at what is needed: tells what it is now, after what it refers to. */
  #refresh(name: string): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    const { address, needs: before } = entry
    const object = this.#objects.get(address.tenant, address.resource, address.key)
    const needs = object === undefined ? [] : this.#needsOf(address, object)
    const isKnown = new Set(before)
    for (const needed of needs) if (!isKnown.has(needed)) this.#include(addressOf(needed))
    entry.needs = needs
    if (object !== undefined) this.#listener.put(address, object)
    else if (entry.isThere) this.#listener.remove(address)
    entry.isThere = object !== undefined
    const isNeeded = new Set(needs)
    for (const needed of before) if (!isNeeded.has(needed)) this.#exclude(needed)
  }

  #needsOf({ tenant, resource }: ObjectAddress, object: StoredEntry): readonly string[] {
    if (resource !== PODS && !HAS_NEEDS.has(resource)) return []
    return referencesOf(resource, object.object()).map((reference) => `${tenant}/${reference}`)
  }
}

/** Resources other than pods whose objects must be looked into. */
const HAS_NEEDS = new Set(['core/persistentvolumeclaims', 'core/persistentvolumes'])

/** `tenant/group/resource/key`. */
function nameOf({ tenant, resource, key }: ObjectAddress): string {
  return `${tenant}/${resource}/${key}`
}

function addressOf(name: string): ObjectAddress {
  const [tenant = '', group = '', resource = '', ...key] = name.split('/')
  return { tenant, resource: `${group}/${resource}`, key: key.join('/') }
}
