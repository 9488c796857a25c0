import { notFoundPath, StatusError, type TenantNetwork } from '@centaurus/api'
import { tenants, type Tenant } from '@centaurus/api/centaurus/v1'
import type { Comparison } from '@centaurus/store'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import type { ObjectReader } from '../resource/object-reader.ts'
import { resourcePrefix } from '../storage/keys.ts'
import { isView } from '../views/view-names.ts'

/** In `Tenant.spec.quota`: not of objects, but how many requests are worked on at once. */
const SEATS_QUOTA = 'requests.seats'
/** On a Tenant: `privileged` lets its Pods ask for what reaches their nodes. Default: the baseline of the Pod Security Standards. */
const POD_SECURITY_ANNOTATION = 'centaurus.io/pod-security'
/** When a client may try again to write what is being moved: a move freezes for less. */
const MOVING_RETRY_SECONDS = 1

/** What the registry says about one tenant. */
export interface TenantEntry {
  readonly name: string
  readonly phase: NonNullable<Tenant['status']>['phase']
  /** True when this partition serves it. */
  readonly isHosted: boolean
  /** Operators trust its Pods with their nodes. */
  readonly isPrivileged: boolean
  /** Limits over all of its namespaces, by quota resource name. */
  readonly quota: Readonly<Record<string, string>>
  /** How many of its requests are worked on at once: `requests.seats` of its quota; undefined: it says nothing. */
  readonly seats: string | undefined
  /** How its pods use the network. */
  readonly network: TenantNetwork | undefined
  /** Grows with each change of the Tenant's spec. */
  readonly generation: number
  /** Revision of the Tenant in this partition's store: what a write of the tenant depends on. */
  readonly revision: number
}

/** Which tenants there are and which of them are served here. Read-only; changes when the registry does. */
export interface TenantDirectory {
  /** `system` always is. */
  isHosted(tenant: string): boolean
  find(tenant: string): TenantEntry | undefined
  /** Names of the tenants that are served here, without `system`, sorted. */
  hosted(): string[]
  /** Calls `listener` with the name of each tenant whose entry changed, after the change. Returns the function that stops. */
  onChange(listener: (tenant: string) => void): () => void
  /**
   * What must hold when something of the tenant is written: its Tenant is as this server knows it. So no write slips in after a move
   * has begun, whichever server takes it. Throws ServiceUnavailable for a tenant that is being moved or is served elsewhere.
   */
  fence(tenant: string): readonly Comparison[]
}

const NO_COMPARISONS: readonly Comparison[] = []
const NO_QUOTA: Readonly<Record<string, string>> = Object.freeze({})
const KEY_PREFIX = resourcePrefix(SYSTEM_TENANT, { keyGroup: tenants.group, resource: tenants.resource })

/** Follows the Tenants of the local store. */
export class RegistryTenants implements TenantDirectory {
  readonly #reader: ObjectReader
  /** Undefined: every tenant that has a partition is served here. */
  readonly #partition: string | undefined
  readonly #entries = new Map<string, TenantEntry>()
  readonly #listeners = new Set<(tenant: string) => void>()
  /** True once it heard of any tenant. */
  #hasRegistry = false
  #stop: () => void = () => {}

  constructor(reader: ObjectReader, partition: string | undefined) {
    this.#reader = reader
    this.#partition = partition
  }

  /** The cache must be loaded. */
  start(): void {
    this.#stop = this.#reader.onChange(tenants, (event) => {
      if (event.type === 'DELETED') this.#entries.delete(event.name)
      else this.#put(event.object())
      for (const listener of this.#listeners) listener(event.name)
    })
    for (const tenant of this.#reader.list(tenants)) this.#put(tenant)
  }

  close(): void {
    this.#stop()
  }

  isHosted(tenant: string): boolean {
    return tenant === SYSTEM_TENANT || this.#entries.get(tenant)?.isHosted === true
  }

  find(tenant: string): TenantEntry | undefined {
    return this.#entries.get(tenant)
  }

  hosted(): string[] {
    return [...this.#entries.values()].flatMap((entry) => (entry.isHosted ? [entry.name] : [])).toSorted()
  }

  onChange(listener: (tenant: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  fence(tenant: string): readonly Comparison[] {
    if (tenant === SYSTEM_TENANT || isView(tenant)) return NO_COMPARISONS
    const entry = this.#entries.get(tenant)
    if (entry === undefined) {
      if (!this.#hasRegistry) return NO_COMPARISONS // a server on its own, as in tests
      throw notFoundPath() // a part of the server is late: the tenant is gone
    }
    if (entry.phase === 'Moving') throw unavailable('is being moved')
    if (this.#isElsewhere(entry)) throw unavailable('is served elsewhere')
    return [{ key: KEY_PREFIX + tenant, modRevision: entry.revision }]
  }

  #isElsewhere(entry: TenantEntry): boolean {
    return !entry.isHosted && entry.phase !== 'Pending' && entry.phase !== undefined
  }

  #put({ metadata, spec, status }: Readonly<Tenant>): void {
    const name = metadata.name ?? ''
    this.#hasRegistry = true
    const { [SEATS_QUOTA]: seats, ...quota } = spec?.quota ?? NO_QUOTA
    const isMine = status?.partition !== undefined && (this.#partition ?? status.partition) === status.partition
    this.#entries.set(name, {
      name,
      phase: status?.phase,
      isHosted: isMine && status?.phase !== undefined && status.phase !== 'Pending',
      isPrivileged: metadata.annotations?.[POD_SECURITY_ANNOTATION] === 'privileged',
      quota,
      seats,
      network: spec?.network,
      generation: metadata.generation ?? 0,
      revision: Number(metadata.resourceVersion),
    })
  }
}

/** The words are those of a cluster that is its tenant's alone. */
function unavailable(why: string): Error {
  return new StatusError({
    reason: 'ServiceUnavailable',
    message: `the cluster ${why}, please try again`,
    details: { retryAfterSeconds: MOVING_RETRY_SECONDS },
  })
}
