import type { NonResourceRoute } from '../extension.ts'

/** Finds the route of a path: an exact one first, else the one with the longest prefix. */
export class RouteTable {
  readonly #exact = new Map<string, NonResourceRoute>()
  /** Longest first. */
  #prefixes: NonResourceRoute[] = []

  add(routes: readonly NonResourceRoute[]): void {
    for (const route of routes) {
      if (route.path.endsWith('/') && route.path !== '/') this.#prefixes.push(route)
      else this.#exact.set(route.path, route)
    }
    this.#prefixes = this.#prefixes.toSorted((a, b) => b.path.length - a.path.length)
  }

  /** `path` has no tenant's prefix. A slash at the end makes no difference to an exact route. */
  find(path: string): NonResourceRoute | undefined {
    const exact = this.#exact.get(path)
    if (exact !== undefined) return exact
    if (path.length > 1 && path.endsWith('/')) {
      const bare = this.#exact.get(path.slice(0, -1))
      if (bare !== undefined) return bare
    }
    return this.#prefixes.find((route) => path.startsWith(route.path))
  }

  /** Every path, or those that may be asked for inside a tenant; sorted, as `/` lists them. */
  paths({ forTenants }: { readonly forTenants: boolean }): string[] {
    return [...this.#exact.values(), ...this.#prefixes]
      .filter((route) => !forTenants || route.forTenants === true)
      .map((route) => route.path)
      .toSorted()
  }
}
