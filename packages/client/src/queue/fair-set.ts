/**
 * Keys that wait, handed out in turn by tenant and within a tenant in order of arrival, so that one tenant with ten thousand keys
 * delays another's one key by one key and not by ten thousand. Whose a key is tells its qualified namespace (or name, without namespace).
 */
export class FairSet {
  /** By tenant, in the order of their next turns; no set is empty. */
  readonly #byTenant = new Map<string, Set<string>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  has(key: string): boolean {
    return this.#byTenant.get(tenantOf(key))?.has(key) === true
  }

  /** Adds a key that is not there yet. */
  add(key: string): void {
    const tenant = tenantOf(key)
    const keys = this.#byTenant.get(tenant)
    if (keys === undefined) this.#byTenant.set(tenant, new Set([key]))
    else if (keys.has(key)) return
    else keys.add(key)
    this.#size++
  }

  /** Takes the next key out; undefined when there is none. */
  take(): string | undefined {
    for (const [tenant, keys] of this.#byTenant) {
      const [key] = keys
      keys.delete(key!)
      this.#size--
      this.#byTenant.delete(tenant)
      if (keys.size > 0) this.#byTenant.set(tenant, keys) // behind all others
      return key
    }
    return undefined
  }

  clear(): void {
    this.#byTenant.clear()
    this.#size = 0
  }
}

/** Keys of the `system` tenant have no `--` (nearly: the few that do only share a turn). */
function tenantOf(key: string): string {
  const slash = key.indexOf('/')
  const scope = slash < 0 ? key : key.slice(0, slash)
  const at = scope.lastIndexOf('--')
  return at < 0 ? '' : scope.slice(at + 2)
}
