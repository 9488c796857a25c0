import type { Membership } from './membership.ts'

interface Declared {
  readonly partition: string
  readonly epoch: number
}

/**
 * Which partition has a tenant's originals: what this partition's copy of the registry says, or what a partition has said that took the tenant
 * over since. Both tell what home has decided; whoever knows the greater epoch knows better.
 */
export class TenantOwners {
  readonly #membership: () => Pick<Membership, 'tenant'> | undefined
  /** Only what the registry's copy does not know yet. */
  readonly #declared = new Map<string, Declared>()

  constructor(membership: () => Pick<Membership, 'tenant'> | undefined) {
    this.#membership = membership
  }

  /** Undefined: nobody knows the tenant, or it lives nowhere yet. */
  ownerOf(tenant: string): string | undefined {
    const status = this.#membership()?.tenant(tenant)?.status
    const declared = this.#declared.get(tenant)
    if (declared === undefined) return status?.partition
    if (declared.epoch > (status?.epoch ?? -1)) return declared.partition
    this.#declared.delete(tenant)
    return status?.partition
  }

  /** Epoch of the newest decision about the tenant that anybody told of; -1: none. */
  epochOf(tenant: string): number {
    const registered = this.#membership()?.tenant(tenant)?.status?.epoch ?? -1
    return Math.max(registered, this.#declared.get(tenant)?.epoch ?? -1)
  }

  /** Takes note that `partition` says that it serves the tenant since `epoch`. */
  declare(tenant: string, { partition, epoch }: Declared): void {
    if (epoch > this.epochOf(tenant)) this.#declared.set(tenant, { partition, epoch })
  }

  /** Whether the registry has the tenant, or did when it was last copied. */
  knows(tenant: string): boolean {
    return this.#declared.has(tenant) || this.#membership()?.tenant(tenant) !== undefined
  }
}
