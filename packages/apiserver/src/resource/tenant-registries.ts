import { SYSTEM_TENANT } from '../request/request-info.ts'
import { isView } from '../views/view-names.ts'
import { ResourceRegistry, type ResourceDefinition } from './registry.ts'

/** What is served in each tenant: everywhere what is built in and shared, and in each what its own CustomResourceDefinitions define. */
export class TenantRegistries {
  readonly system: ResourceRegistry
  /** Of every tenant that defines nothing. */
  readonly #plain: ResourceRegistry
  readonly #own = new Map<string, ResourceRegistry>()
  /** What is served in any tenant: for views over all. Where tenants differ, the first that defined it counts. */
  readonly #union: ResourceRegistry

  constructor(system: ResourceRegistry) {
    this.system = system
    this.#plain = new ResourceRegistry([], system)
    this.#union = new ResourceRegistry()
    system.onChange(() => this.#unite())
    this.#unite()
  }

  /** For reading. Tenants that define nothing share one; `all` stands for the union. */
  of(tenant: string): ResourceRegistry {
    if (tenant === SYSTEM_TENANT) return this.system
    if (isView(tenant)) return this.#union
    return this.#own.get(tenant) ?? this.#plain
  }

  /** Puts what the tenant's definitions define in the place of what they did. */
  change(tenant: string, change: Parameters<ResourceRegistry['change']>[0]): void {
    if (tenant === SYSTEM_TENANT) return this.system.change(change)
    let registry = this.#own.get(tenant)
    if (registry === undefined) this.#own.set(tenant, (registry = new ResourceRegistry([], this.system)))
    registry.change(change)
    if (registry.isEmpty) this.#own.delete(tenant)
    this.#unite()
  }

  /** The tenant is gone, and what it defined with it. */
  drop(tenant: string): void {
    if (this.#own.delete(tenant)) this.#unite()
  }

  #unite(): void {
    const found = new Map<string, ResourceDefinition>()
    for (const registry of [this.system, ...this.#own.values()]) {
      for (const definition of registry.ownList()) {
        const { group, version, resource } = definition.info
        const key = `${group}/${version}/${resource}`
        if (!found.has(key)) found.set(key, definition)
      }
    }
    const removed = this.#union
      .list()
      .map(({ info }) => info)
      .filter(({ group, version, resource }) => !found.has(`${group}/${version}/${resource}`))
    const added = [...found.values()].filter(
      (definition) =>
        this.#union.find(definition.info.group, definition.info.version, definition.info.resource) !== definition,
    )
    if (added.length > 0 || removed.length > 0) this.#union.change({ added, removed })
  }
}
