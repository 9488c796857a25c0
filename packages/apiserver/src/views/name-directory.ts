import { qualifyName, splitQualifiedName, SYSTEM_TENANT, type QualifiedName } from '@centaurus/api'
import { isOfSystem, type ResourceKey } from './references.ts'
import { qualifiedLengthMax, type TenantNames } from './translate.ts'

/** Shortened names that are remembered; beyond it all are forgotten, and searched for again. */
const REMEMBERED_MAX = 10_000

/** What the directory looks at to find out what a shortened name stands for. */
export interface DirectoryDeps {
  /** Tenants that have objects here. */
  readonly tenants: () => Iterable<string>
  readonly hasTenant: (tenant: string) => boolean
  /** Names of a tenant's namespaces, or of its objects of a resource without namespaces. */
  readonly namesOf: (tenant: string, resource: ResourceKey) => Iterable<string>
}

/** Finds out whose a qualified name is. */
export class NameDirectory {
  readonly #deps: DirectoryDeps
  readonly #remembered = new Map<string, QualifiedName>()
  readonly #names = new Map<string, TenantNames>()

  constructor(deps: DirectoryDeps) {
    this.#deps = deps
  }

  /**
   * Tenant and own name behind a name in the view; undefined when no tenant here has it. A shortened name that could be of two
   * (somebody made it so) is nobody's.
   */
  resolve(resource: ResourceKey, qualified: string): QualifiedName | undefined {
    if (isOfSystem(resource) || !qualified.includes('--')) return { name: qualified, tenant: SYSTEM_TENANT }
    const split = splitQualifiedName(qualified)
    if (split === undefined) return this.#search(resource, qualified)
    if (qualifyName(split.name, split.tenant, qualifiedLengthMax(resource)) !== qualified) return undefined
    return split.tenant === SYSTEM_TENANT || this.#deps.hasTenant(split.tenant) ? split : undefined
  }

  names(tenant: string): TenantNames {
    let names = this.#names.get(tenant)
    if (names === undefined) {
      names = this.#createNames(tenant)
      this.#names.set(tenant, names)
    }
    return names
  }

  #createNames(tenant: string): TenantNames {
    const qualify = (resource: ResourceKey, name: string): string =>
      isOfSystem(resource) ? name : qualifyName(name, tenant, qualifiedLengthMax(resource))
    return {
      tenant,
      qualify,
      bare: (resource, qualified) => {
        const found = this.resolve(resource, qualified)
        return found?.tenant === tenant ? found.name : qualified
      },
    }
  }

  #search(resource: ResourceKey, qualified: string): QualifiedName | undefined {
    const key = `${resource}/${qualified}`
    const known = this.#remembered.get(key)
    if (known !== undefined) return known
    const lengthMax = qualifiedLengthMax(resource)
    let found: QualifiedName | undefined
    for (const tenant of this.#deps.tenants()) {
      for (const name of this.#deps.namesOf(tenant, resource)) {
        if (name.length + tenant.length + 2 <= lengthMax) continue
        if (qualifyName(name, tenant, lengthMax) !== qualified) continue
        if (found !== undefined) return undefined
        found = { name, tenant }
      }
    }
    if (found === undefined) return undefined
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear()
    this.#remembered.set(key, found)
    return found
  }
}
