import { ALL_TENANTS } from '@centaurus/api'

/**
 * The view that node agents have: like `all`, and with the copies of what other partitions' tenants run on this one's nodes. Pods say
 * there that they are in the tenant's own namespace. No tenant can be named so.
 */
export const NODES_VIEW = '@nodes'

/** True for a pseudo-tenant that stands for many tenants, whose objects it shows under qualified names. */
export function isView(tenant: string): boolean {
  return tenant === ALL_TENANTS || tenant === NODES_VIEW
}
