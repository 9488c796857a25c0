import { isDeepStrictEqual } from 'node:util'
import type { Tenant } from '@centaurus/api/centaurus/v1'
import { clusterrolebindings, type ClusterRoleBinding } from '@centaurus/api/rbac/v1'
import type { ObjectReader } from '@centaurus/apiserver'
import type { Client } from '@centaurus/client'
import { DEFAULT_ADMIN } from './plan-tenant.ts'

/** Binds the tenant's administrator; operators say who that is, so a change of it is undone. */
export const ADMIN_BINDING = 'centaurus:admin'
const RBAC_GROUP = 'rbac.authorization.k8s.io'

export interface AdminDeps {
  readonly reader: ObjectReader
  /** Of the tenant. */
  readonly client: Client
}

/** Makes the user of `spec.admin` the one whom the tenant's admin binding names. */
export async function reconcileAdmin({ metadata, spec }: Readonly<Tenant>, deps: AdminDeps): Promise<void> {
  const { reader, client } = deps
  const binding: ClusterRoleBinding = {
    metadata: { name: ADMIN_BINDING },
    roleRef: { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: RBAC_GROUP, kind: 'User', name: spec?.admin ?? DEFAULT_ADMIN }],
  }
  const present = reader.get(clusterrolebindings, { name: ADMIN_BINDING }, { tenant: metadata.name ?? '' })
  if (present === undefined) await client.create(clusterrolebindings, binding)
  else if (!isDeepStrictEqual(present.subjects, binding.subjects)) {
    await client.update(clusterrolebindings, { ...present, subjects: binding.subjects })
  }
}
