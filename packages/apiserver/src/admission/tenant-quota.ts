/**
 * Keeps a tenant within `Tenant.spec.quota`, over all of its namespaces. What it uses stands in one key of the store that is changed in
 * the same commit as the object, at its revision: two creates can never both take the last of an amount, whichever servers take them.
 * Amounts and messages are ResourceQuota's.
 */
import { quantityOfUnits, SYSTEM_TENANT, type KubeObject, type Quantity } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { encodeExact } from '../storage/encoding.ts'
import { resourcePrefix } from '../storage/keys.ts'
import type { TenantEntry } from '../tenants/tenant-directory.ts'
import type { AdmissionContext, AdmissionStep, AdmittedWrite, Reservation } from './admission.ts'
import { addUsage, priorityClassQuota, usageOf, usesAmounts } from './quota-usage.ts'
import { isWriteTo, refuseAdmission } from './refuse.ts'
import { chargeUsage, countedResources } from './resource-quota.ts'
import { isView } from '../views/view-names.ts'

/** How refusals call it: to its tenant it is the quota of the whole cluster. */
const QUOTA_NAME = 'cluster'
const USAGE_PREFIX = resourcePrefix(SYSTEM_TENANT, { keyGroup: 'centaurus.io', resource: 'tenantusages' })
/** Classes by which pods of the cluster's own come before all others: a tenant gets as many such pods as its quota grants it. */
const SYSTEM_CLASSES = new Set(['system-node-critical', 'system-cluster-critical'])

/** The value of a usage key, in the shape of an object since the cache holds it. */
interface UsageRecord {
  readonly kind: 'TenantUsage'
  readonly metadata: { readonly name: string }
  /** Generation of the Tenant whose limits were counted against; after another all is counted anew. */
  readonly generation: number
  readonly used: Readonly<Record<string, string>>
}

export const tenantQuota: AdmissionStep = {
  name: 'TenantQuota',
  handles: ({ request }) => request.target.tenant !== SYSTEM_TENANT && !isView(request.target.tenant),
  validate(write, context) {
    const { tenant } = write.request.target
    if (write.operation !== 'create' || !isWriteTo(write, pods)) return
    const className = (write.draft as Pod).spec?.priorityClassName ?? ''
    if (!SYSTEM_CLASSES.has(className)) return
    if (context.tenants.find(tenant)?.quota[priorityClassQuota(className)] !== undefined) return
    const { namespace } = write.request
    throw refuseAdmission(write, `pods with ${className} priorityClass is not permitted in ${namespace} namespace`)
  },
  reserve(write, context) {
    const tenant = context.tenants.find(write.request.target.tenant)
    if (tenant === undefined || Object.keys(tenant.quota).length === 0) return undefined
    return charge(write, tenant, context)
  },
}

/**
 * A recount is exact: the cache holds all that was written before it heard of the Tenant as it is now, and whatever was written since
 * compared the Tenant's revision (the directory's fence), so it has charged the usage key, whose revision is compared here.
 */
function charge(write: AdmittedWrite, tenant: TenantEntry, context: AdmissionContext): Reservation | undefined {
  const { name, quota: hard, generation } = tenant
  const record = context.cache.peek(USAGE_PREFIX)?.get(name)
  const known = record?.object() as UsageRecord | undefined
  const isKnown = known !== undefined && known.generation === generation
  const counted = isKnown ? known.used : countUsage(tenant, context)
  const speaksOf = (object: KubeObject): boolean => isLimited(write, object, hard)
  const used = chargeUsage(write, { name: QUOTA_NAME, hard, used: counted, speaksOf })
  if (used === undefined && isKnown) return undefined
  const next: UsageRecord = { kind: 'TenantUsage', metadata: { name }, generation, used: used ?? counted }
  return {
    compare: [{ key: USAGE_PREFIX + name, modRevision: record?.revision ?? 0 }],
    changes: [{ type: 'put', key: USAGE_PREFIX + name, value: encodeExact(JSON.stringify(next)) }],
  }
}

/** Skips the arithmetic for objects of which the quota says nothing, such as events. */
function isLimited({ request }: AdmittedWrite, object: KubeObject, hard: Readonly<Record<string, string>>): boolean {
  for (const name of usageOf(request.target.definition.storage, object).keys()) {
    if (hard[name] !== undefined) return true
  }
  return false
}

const NO_OBJECT: KubeObject = { metadata: {} }

type UsageSources = Pick<AdmissionContext, 'cache' | 'registries'>

function countUsage({ name, quota }: TenantEntry, { cache, registries }: UsageSources): Record<string, string> {
  if (Object.keys(quota).length === 0) return {}
  const total = new Map<string, Quantity>()
  for (const { storage, prefix } of countedResources(registries.of(name), name)) {
    const objects = cache.peek(prefix)
    if (objects === undefined) continue
    if (usesAmounts(storage)) {
      for (const cached of objects.range('')) addUsage(total, usageOf(storage, cached.object()))
    } else {
      for (const key of usageOf(storage, NO_OBJECT).keys()) total.set(key, quantityOfUnits(objects.size))
    }
  }
  return Object.fromEntries(Object.keys(quota).map((key) => [key, total.get(key)?.text ?? '0']))
}

/** What the tenant uses of its quota now. */
export function tenantUsage(tenant: TenantEntry, sources: UsageSources): Readonly<Record<string, string>> {
  const record = sources.cache.peek(USAGE_PREFIX)?.get(tenant.name)?.object() as UsageRecord | undefined
  return record?.generation === tenant.generation ? record.used : countUsage(tenant, sources)
}

/** Where a tenant's usage is kept: of no use when the tenant is gone. */
export function tenantUsageKey(tenant: string): string {
  return USAGE_PREFIX + tenant
}
