import { formatKey, type Stored } from '@centaurus/api'
import { partitions, tenants, type Partition, type Tenant } from '@centaurus/api/centaurus/v1'
import type { Clock, Logger, Random, Timer } from '@centaurus/base'
import { createInformerFactory, type InformerFactory } from '@centaurus/client'
import { Backend } from './backend.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { GatewayTls } from './endpoint.ts'
import { createRegistryClient, type RegistryClient } from './registry-client.ts'

export interface MembershipDeps {
  /** Addresses of API servers of any partitions, to begin with. */
  readonly endpoints: readonly string[]
  readonly tls: GatewayTls
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

const NOTHING: ClusterMap = {
  home: undefined,
  tenantPartitions: [],
  resourcePartitions: [],
  partitions: [],
  partitionOf: () => undefined,
}

/** How often a gateway that reads the registry elsewhere looks whether home is back. */
const HOME_CHECK_MS = 5_000

/**
 * Follows the registry of partitions and tenants through any partition that can be reached, and keeps the last known state while none
 * can. A copy of the registry may be incomplete, when its partition had just joined as home was lost: it adds to what is known, and only
 * home takes away. Partitions' backends live as long as their `Partition` objects.
 */
export class Membership {
  readonly #deps: MembershipDeps
  readonly #client: RegistryClient
  readonly #informers: InformerFactory
  readonly #backends = new Map<string, Backend>()
  readonly #partitions = new Map<string, Stored<Partition>>()
  /** By tenant: where it is, and since which epoch. */
  readonly #tenants = new Map<string, { readonly uid: string; readonly partition: string; readonly epoch: number }>()
  readonly #listeners = new Set<() => void>()
  readonly #moveListeners = new Set<() => void>()
  /** Names of partitions and tenants that are missing where the registry is read now, which is not home. */
  readonly #missing = { partitions: new Set<string>(), tenants: new Set<string>() }
  #map: ClusterMap = NOTHING
  #homeCheck: Timer
  #closed = false

  constructor(deps: MembershipDeps) {
    this.#deps = deps
    // the informer has it by then
    const onListed = (resource: string): void => void deps.clock.setTimer(0, () => this.#removeMissing(resource))
    this.#client = createRegistryClient({ ...deps, userAgent: 'centaurus-gateway', onListed })
    this.#homeCheck = deps.clock.setTimer(HOME_CHECK_MS, () => void this.#checkHome())
    this.#informers = createInformerFactory(this.#client, deps)
    this.#informers.informer(partitions).addHandler({
      onAdd: (partition) => this.#putPartition(partition),
      onUpdate: (partition) => this.#putPartition(partition),
      onDelete: ({ metadata }) => {
        if (this.readsHome) this.#removePartition(metadata.name)
        else this.#missing.partitions.add(metadata.name)
      },
    })
    this.#informers.informer(tenants).addHandler({
      onAdd: (tenant) => this.#putTenant(tenant),
      onUpdate: (tenant) => this.#putTenant(tenant),
      onDelete: ({ metadata }) => {
        if (this.readsHome) this.#tenants.delete(metadata.name)
        else this.#missing.tenants.add(metadata.name)
      },
    })
  }

  /** Everything that was known last; nothing is known before the first partition answered. */
  get map(): ClusterMap {
    return this.known ? this.#map : NOTHING
  }

  /** Once true it stays so. Until then nobody can say that there is no such tenant. */
  get known(): boolean {
    return this.#map.home !== undefined && this.#informers.informer(tenants).synced
  }

  backend(name: string): Backend | undefined {
    return this.#backends.get(name)
  }

  /** Resolves when the registry has been read once. */
  whenKnown(signal?: AbortSignal): Promise<void> {
    return this.#informers.whenSynced(signal)
  }

  /** Calls `listener` after each change of the partitions. Returns the function that ends it. */
  onPartitionsChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Calls `listener` after a tenant has moved to another partition. Returns the function that ends it. */
  onTenantMove(listener: () => void): () => void {
    this.#moveListeners.add(listener)
    return () => void this.#moveListeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#homeCheck.cancel()
    await this.#informers.close()
    await this.#client.close()
    for (const backend of this.#backends.values()) backend.close()
  }

  #homeUrls(): readonly string[] {
    return this.#partitions.get(this.#map.home ?? '')?.spec.endpoints ?? []
  }

  /** Whether the registry is read where it is written. */
  get readsHome(): boolean {
    return this.#homeUrls().includes(this.#client.url)
  }

  async #checkHome(): Promise<void> {
    const home = this.#backends.get(this.#map.home ?? '')
    if (home !== undefined && !this.readsHome && (await isWell(home)) && !this.#closed) {
      const [url] = this.#homeUrls()
      if (url !== undefined) this.#client.moveTo(url)
    }
    if (this.#closed) return
    this.#homeCheck = this.#deps.clock.setTimer(HOME_CHECK_MS, () => void this.#checkHome())
  }

  /** Home was listed: what it does not have is gone. */
  #removeMissing(resource: string): void {
    if (!this.readsHome) return
    const isPartitions = resource === partitions.resource
    const missing = isPartitions ? this.#missing.partitions : this.#missing.tenants
    const informer = this.#informers.informer<Partition | Tenant>(isPartitions ? partitions : tenants)
    for (const name of missing) {
      if (informer.get(formatKey('', name)) !== undefined) continue
      if (isPartitions) this.#removePartition(name)
      else this.#tenants.delete(name)
    }
    missing.clear()
  }

  #putPartition(partition: Stored<Partition>): void {
    const { name } = partition.metadata
    this.#partitions.set(name, partition)
    let backend = this.#backends.get(name)
    if (backend === undefined) this.#backends.set(name, (backend = new Backend(name, this.#deps)))
    backend.setUrls(partition.spec.endpoints)
    this.#rebuild()
  }

  #removePartition(name: string): void {
    this.#partitions.delete(name)
    this.#backends.get(name)?.close()
    this.#backends.delete(name)
    this.#rebuild()
  }

  /** A partition's copy of the registry may lag: a tenant never goes back to where it was before a move. */
  #putTenant({ metadata, status }: Stored<Tenant>): void {
    const known = this.#tenants.get(metadata.name)
    const epoch = status?.epoch ?? 0
    if (known !== undefined && known.uid === metadata.uid && known.epoch > epoch) return
    if (status?.partition === undefined) this.#tenants.delete(metadata.name)
    else this.#tenants.set(metadata.name, { uid: metadata.uid, partition: status.partition, epoch })
    if (known === undefined || known.partition === status?.partition) return
    for (const listener of Array.from(this.#moveListeners)) listener()
  }

  #rebuild(): void {
    const all = [...this.#partitions.values()].toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    const named = (wanted: (partition: Stored<Partition>) => boolean): string[] =>
      all.filter(wanted).map((partition) => partition.metadata.name)
    this.#map = {
      home: named(({ spec }) => spec.home === true)[0],
      tenantPartitions: named(({ spec }) => spec.roles.includes('Tenant')),
      resourcePartitions: named(({ spec }) => spec.roles.includes('Resource')),
      partitions: named(() => true),
      partitionOf: (tenant) => this.#tenants.get(tenant)?.partition,
    }
    const homeFirst = all.toSorted((a, b) => Number(b.spec.home === true) - Number(a.spec.home === true))
    this.#client.setEndpoints([...homeFirst.flatMap(({ spec }) => spec.endpoints), ...this.#deps.endpoints])
    for (const listener of this.#listeners) listener()
  }
}

/** Whether an API server of the partition says that it is ready. */
async function isWell(backend: Backend): Promise<boolean> {
  try {
    const { status, stream } = await backend.send({
      method: 'GET',
      path: '/readyz',
      headers: {},
      credentials: 'gateway',
    })
    stream.resume()
    return status === 200
  } catch {
    return false
  }
}
