import { isStatus, type KubeObject, type ResourceType } from '@centaurus/api'
import { clusterrolebindings, clusterroles, rolebindings, roles } from '@centaurus/api/rbac/v1'
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from '@centaurus/api/rbac/v1'
import type { Client } from '@centaurus/client'
import type { ObjectReader } from '../../resource/object-reader.ts'
import { planAggregation } from './aggregation.ts'
import { SYSTEM_TENANT } from '../../request/request-info.ts'
import { defaultRbacObjects, tenantRbacObjects } from './bootstrap/default-objects.ts'
import { AUTO_UPDATE_ANNOTATION } from './bootstrap/role-data.ts'
import { uncoveredRules } from './rule.ts'

/** A conflict means that somebody else wrote meanwhile: look again, so many times. */
const ATTEMPTS_MAX = 5

export interface RbacReconcileDeps {
  /** Of the tenant. */
  readonly client: Client
  readonly reader: ObjectReader
  readonly tenant: string
}

/**
 * Makes the tenant's default roles and bindings that are missing, and gives existing ones back what they lost (never taking away what an
 * operator added), unless their autoupdate annotation says "false". Source: component-helpers auth/rbac/reconciliation (v0.37),
 * run at start as pkg/registry/rbac/rest/storage_rbac.go does.
 */
export async function reconcileDefaultRbac(deps: RbacReconcileDeps): Promise<void> {
  const wanted = deps.tenant === SYSTEM_TENANT ? defaultRbacObjects() : tenantRbacObjects()
  await Promise.all([
    ...wanted.clusterRoles.map((role) =>
      ensureObject(deps, { type: clusterroles, wanted: role, plan: planRoleUpdate }),
    ),
    ...wanted.roles.map((role) => ensureObject(deps, { type: roles, wanted: role, plan: planRoleUpdate })),
    ...wanted.clusterRoleBindings.map((binding) =>
      ensureObject(deps, { type: clusterrolebindings, wanted: binding, plan: planBindingUpdate }),
    ),
    ...wanted.roleBindings.map((binding) =>
      ensureObject(deps, { type: rolebindings, wanted: binding, plan: planBindingUpdate }),
    ),
  ])
}

/** Writes the rules of every aggregated cluster role that is behind. Run it again after each change of a cluster role. */
export async function reconcileAggregation({ client, reader, tenant }: RbacReconcileDeps): Promise<void> {
  for (const { role, rules } of planAggregation(reader.list(clusterroles, undefined, { tenant }))) {
    try {
      await client.update(clusterroles, { ...role, rules: [...rules] })
    } catch (error) {
      // changed or gone since we looked: its own change brings us back
      if (!isStatus(error, 'Conflict') && !isStatus(error, 'NotFound')) throw error
    }
  }
}

/** What an existing default role should become, or undefined when it may stay. Pure. */
export function planRoleUpdate<T extends Role | ClusterRole>(
  existing: Readonly<T>,
  wanted: Readonly<T>,
): T | undefined {
  const aggregation = (wanted as ClusterRole).aggregationRule
  const lost: PolicyRule[] = aggregation === undefined ? uncoveredRules(existing.rules ?? [], wanted.rules ?? []) : []
  const lostAggregation = aggregation !== undefined && (existing as ClusterRole).aggregationRule === undefined
  const metadata = planMetadata(existing, wanted)
  if (lost.length === 0 && !lostAggregation && metadata === undefined) return undefined
  const updated: T = {
    ...existing,
    metadata: metadata ?? existing.metadata,
    rules: [...(existing.rules ?? []), ...lost],
  }
  if (lostAggregation) (updated as ClusterRole).aggregationRule = aggregation
  return updated
}

/** What an existing default binding should become; `'replace'` when it names another role, which can't be changed. Pure. */
export function planBindingUpdate<T extends RoleBinding | ClusterRoleBinding>(
  existing: Readonly<T>,
  wanted: Readonly<T>,
): T | 'replace' | undefined {
  if (existing.roleRef.kind !== wanted.roleRef.kind || existing.roleRef.name !== wanted.roleRef.name) return 'replace'
  const known = new Set((existing.subjects ?? []).map(subjectText))
  const lost = (wanted.subjects ?? []).filter((subject) => !known.has(subjectText(subject)))
  const metadata = planMetadata(existing, wanted)
  if (lost.length === 0 && metadata === undefined) return undefined
  return { ...existing, metadata: metadata ?? existing.metadata, subjects: [...(existing.subjects ?? []), ...lost] }
}

interface Ensured<T extends KubeObject> {
  readonly type: ResourceType<T>
  readonly wanted: T
  readonly plan: (existing: Readonly<T>, wanted: Readonly<T>) => T | 'replace' | undefined
}

async function ensureObject<T extends KubeObject>(
  { client, reader, tenant }: RbacReconcileDeps,
  { type, wanted, plan }: Ensured<T>,
): Promise<void> {
  const name = { name: wanted.metadata.name ?? '', namespace: wanted.metadata.namespace ?? '' }
  let existing: Readonly<T> | undefined = reader.get(type, name, { tenant })
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    try {
      if (existing === undefined) return void (await client.create(type, wanted))
      if (existing.metadata.annotations?.[AUTO_UPDATE_ANNOTATION] === 'false') return
      const next = plan(existing, wanted)
      if (next === undefined) return
      if (next !== 'replace') return void (await client.update(type, next))
      await client.delete(type, name)
      existing = undefined
    } catch (error) {
      if (!isStatus(error, 'Conflict') && !isStatus(error, 'AlreadyExists') && !isStatus(error, 'NotFound')) throw error
      existing = await findObject(client, type, name)
    }
  }
  throw new Error(`Cannot write default ${type.kind} "${name.name}": it keeps changing`)
}

async function findObject<T extends KubeObject>(
  client: Client,
  type: ResourceType<T>,
  name: { name: string; namespace: string },
): Promise<T | undefined> {
  try {
    return await client.get(type, name)
  } catch (error) {
    if (isStatus(error, 'NotFound')) return undefined
    throw error
  }
}

/** Labels and annotations that are missing are added; those that are there keep their values. */
function planMetadata(
  existing: Readonly<KubeObject>,
  wanted: Readonly<KubeObject>,
): KubeObject['metadata'] | undefined {
  const labels = { ...wanted.metadata.labels, ...existing.metadata.labels }
  const annotations = { ...wanted.metadata.annotations, ...existing.metadata.annotations }
  const isSame =
    Object.keys(labels).length === Object.keys(existing.metadata.labels ?? {}).length &&
    Object.keys(annotations).length === Object.keys(existing.metadata.annotations ?? {}).length
  return isSame ? undefined : { ...existing.metadata, labels, annotations }
}

function subjectText({ kind, namespace, name }: Subject): string {
  return `${kind}:${namespace ?? ''}:${name}`
}
