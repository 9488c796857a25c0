import type { ResourceDefinition } from './registry.ts'
import type { TenantRegistries } from './tenant-registries.ts'

export interface VersionedResource {
  readonly group: string
  readonly version: string
  readonly resource: string
}

/** What the tenant is served under that name; in a view over all tenants, what any of them is. Undefined when there is nothing. */
export function findDefinition(
  { registries }: { readonly registries: TenantRegistries },
  tenant: string,
  { group, version, resource }: VersionedResource,
): ResourceDefinition | undefined {
  return registries.of(tenant).find(group, version, resource)
}
