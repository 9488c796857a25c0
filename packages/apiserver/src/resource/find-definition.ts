import type { ResourceDefinition, ResourceRegistry } from './registry.ts'

export interface VersionedResource {
  readonly group: string
  readonly version: string
  readonly resource: string
}

/** What the tenant is served under that name; in a view over all tenants, what any of them is. Undefined when there is nothing. */
export function findDefinition(
  { registry }: { readonly registry: ResourceRegistry },
  _tenant: string,
  { group, version, resource }: VersionedResource,
): ResourceDefinition | undefined {
  return registry.find(group, version, resource)
}
