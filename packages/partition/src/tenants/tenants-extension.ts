import {
  deepEqual,
  FieldPath,
  forbidden,
  invalid,
  invalidObject,
  refuseTenantName,
  validateTenantNetwork,
  type KubeObject,
} from '@centaurus/api'
import { partitions, tenants, type Tenant } from '@centaurus/api/centaurus/v1'
import type { CreateExtension, ObjectReader, WriteCheck } from '@centaurus/apiserver'
import { TENANT_FINALIZER } from './plan-tenant.ts'

/**
 * Rules of the registry that need more than the object: names that a tenant can have, no Tenant that goes before what it owns, and no
 * partition that is taken away with tenants in it.
 */
export function createTenantsExtension(): CreateExtension {
  return ({ reader }) => ({
    admission: [
      {
        name: 'TenantFinalizer',
        handles: ({ request, operation, subresource }) =>
          operation === 'create' && subresource === '' && isTenants(request.target.definition.storage),
        mutate({ draft }) {
          const { metadata } = draft
          const finalizers = metadata.finalizers ?? []
          if (!finalizers.includes(TENANT_FINALIZER)) metadata.finalizers = [...finalizers, TENANT_FINALIZER]
        },
      },
    ],
    writeChecks: [checkTenant, createPartitionCheck(reader)],
  })
}

function isTenants({ group, resource }: { readonly group: string; readonly resource: string }): boolean {
  return group === tenants.group && resource === tenants.resource
}

const checkTenant: WriteCheck = {
  group: tenants.group,
  resource: tenants.resource,
  check({ operation, object, old }) {
    if (operation !== 'delete') checkNetwork(object as Tenant, old as Tenant | undefined)
    if (operation !== 'create') return
    const name = object?.metadata.name ?? ''
    const why = refuseTenantName(name)
    if (why === undefined) return
    throw invalidObject(tenants, name, [invalid(new FieldPath('metadata').child('name'), name, why)])
  },
}

/** One that was wrong before is left alone. */
function checkNetwork({ metadata, spec }: Readonly<Tenant>, old: Readonly<Tenant> | undefined): void {
  if (spec?.network === undefined || deepEqual(spec.network, old?.spec?.network)) return
  const errors = validateTenantNetwork(spec.network, new FieldPath('spec').child('network'))
  if (errors.length > 0) throw invalidObject(tenants, metadata.name ?? '', errors)
}

function createPartitionCheck(reader: ObjectReader): WriteCheck {
  return {
    group: partitions.group,
    resource: partitions.resource,
    check({ operation, old }) {
      if (operation !== 'delete') return
      const name = nameOf(old)
      const held = reader.list(tenants).filter(({ status }) => status?.partition === name)
      if (held.length === 0) return
      const some = held.slice(0, 3).map(({ metadata }) => metadata.name)
      const list = `${some.join(', ')}${held.length > some.length ? ', …' : ''}`
      const why = `it holds ${held.length} tenants (${list}): move or delete them first`
      throw forbidden(partitions, name, why)
    },
  }
}

function nameOf(object: KubeObject | undefined): string {
  return object?.metadata.name ?? ''
}
