import { isDeepStrictEqual } from 'node:util'
import { formatTime, type Stored } from '@centaurus/api'
import { tenants, type Tenant, type TenantStatus } from '@centaurus/api/centaurus/v1'
import { SERVER_USER, type ApiServer } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import { createWorkQueue, runController, type Client, type RunningController } from '@centaurus/client'
import type { Store } from '@centaurus/store'
import type { Membership } from '../membership/membership.ts'
import { READY, withCondition } from '../membership/partition-status.ts'
import { deleteContent, deleteLeftovers } from './delete-content.ts'
import { planTenant, TENANT_FINALIZER, type TenantStep } from './plan-tenant.ts'
import { reconcileAdmin } from './reconcile-admin.ts'
import { CLASS_TYPES, reconcileClasses } from './reconcile-classes.ts'

/** Tenants that are worked on at once. */
const TENANTS_AT_ONCE = 4
/** What is told to go goes in its own time: its pods have their grace. */
const DELETION_RECHECK_MS = 500
/** A tenant that no partition takes waits for a change of one, and for this. */
const PLACEMENT_RECHECK_MS = 5_000
/** What a tenant uses changes with each of its objects; it is told not more often than this. */
const USAGE_DELAY_MS = 1_000
/** Where the API server keeps what tenants use. */
const USAGES = { group: 'centaurus.io', resource: 'tenantusages' }

export interface TenantsDeps {
  readonly server: Pick<
    ApiServer,
    'bootstrapTenant' | 'client' | 'reader' | 'registries' | 'tenantUsage' | 'dropTenantUsage'
  >
  readonly store: Store
  readonly membership: Membership
  /** Client of the home partition's `system` tenant, where Tenants are written. */
  readonly registryClient: Client
  readonly clock: Clock
  readonly logger: Logger
  /** Called when nothing of a deleted tenant is left here, before its Tenant goes: for others that keep something by tenant. */
  readonly onGone?: ((tenant: string) => Promise<void>) | undefined
}

/**
 * The life of tenants, as far as this partition has a part in it: home decides where a tenant lives; its partition makes what it begins
 * with, keeps what operators decide, and deletes all of it in the end. Level-based: each step can be done again after a crash. Run it in
 * one server of a partition at a time.
 */
export function startTenants(deps: TenantsDeps): RunningController {
  const { membership, server, clock, logger } = deps
  const queue = createWorkQueue({ clock })
  const addAll = (): void => {
    for (const { metadata } of membership.tenants()) queue.add(metadata.name)
  }
  const stops = [
    membership.onChange(addAll),
    server.reader.onChange(USAGES, ({ name }) => queue.addAfter(name, USAGE_DELAY_MS)),
    ...CLASS_TYPES.map((type) => server.reader.onChange(type, addAll)),
  ]
  addAll()
  const refreshed = new Set<string>()
  const controller = runController({
    name: 'tenant-controller',
    queue,
    workers: TENANTS_AT_ONCE,
    logger,
    reconcile: (name) => reconcileTenant(name, { ...deps, refreshed }),
  })
  return {
    ...controller,
    async close() {
      for (const stop of stops) stop()
      await controller.close()
    },
  }
}

interface Life extends TenantsDeps {
  /** Tenants that have what this version of the server gives them, at its present address. */
  readonly refreshed: Set<string>
}

type Again = { readonly requeueAfterMs: number } | undefined

async function reconcileTenant(name: string, deps: Life): Promise<Again> {
  const { membership } = deps
  const tenant = membership.tenant(name)
  const isHere = tenant?.metadata.deletionTimestamp === undefined && tenant?.status?.partition === membership.self
  if (!isHere) deps.refreshed.delete(name) // where it comes from it has got another server's address
  if (tenant === undefined) return undefined
  const place = { self: membership.self, partitions: membership.list(), tenants: membership.tenants() }
  return act(planTenant(tenant, place), tenant, deps)
}

async function act(step: TenantStep, tenant: Stored<Tenant>, deps: Life): Promise<Again> {
  switch (step.type) {
    case 'nothing':
      return undefined
    case 'place': {
      // greater than any epoch of a tenant that had this name before, which partitions may still remember
      const epoch = Number(tenant.metadata.resourceVersion)
      await writeStatus(tenant, { phase: 'Pending', partition: step.partition, epoch }, deps)
      return undefined
    }
    case 'wait': {
      const conditions = readyConditions(tenant, { status: 'False', reason: 'NotPlaced', message: step.why }, deps)
      await writeStatus(tenant, { phase: 'Pending', conditions }, deps)
      return { requeueAfterMs: PLACEMENT_RECHECK_MS }
    }
    case 'release':
      await release(tenant, deps)
      return undefined
    case 'bootstrap':
      await bootstrap(tenant, deps)
      return undefined
    case 'keep':
      await keep(tenant, deps)
      return undefined
    case 'terminate':
      return terminate(tenant, deps)
  }
}

/** Its users are let in by the phase, so it comes last. */
async function bootstrap(tenant: Stored<Tenant>, deps: Life): Promise<void> {
  await refresh(tenant.metadata.name, deps)
  await keepOwn(tenant, deps)
  const message = `Partition "${deps.membership.self}" serves it`
  const ready = { status: 'True', reason: 'Served', message } as const
  await writeStatus(tenant, { phase: 'Active', conditions: readyConditions(tenant, ready, deps) }, deps)
}

async function keep(tenant: Stored<Tenant>, deps: Life): Promise<void> {
  await refresh(tenant.metadata.name, deps)
  await keepOwn(tenant, deps)
  const used = deps.server.tenantUsage(tenant.metadata.name) ?? {}
  const isLimited = Object.keys(used).length > 0
  await writeStatus(tenant, { used: isLimited ? { ...used } : undefined }, deps)
}

/** Once a start: a later version may have other default roles, and the server another address. */
async function refresh(name: string, { server, refreshed }: Life): Promise<void> {
  if (refreshed.has(name)) return
  await server.bootstrapTenant(name)
  refreshed.add(name)
}

async function keepOwn(tenant: Stored<Tenant>, { server }: TenantsDeps): Promise<void> {
  const { name } = tenant.metadata
  const own = { reader: server.reader, client: clientOf(name, server) }
  await reconcileAdmin(tenant, own)
  await reconcileClasses(name, own)
}

async function terminate(tenant: Stored<Tenant>, deps: TenantsDeps): Promise<Again> {
  const { server, store } = deps
  const { name } = tenant.metadata
  // nothing new is admitted from this phase on
  if (tenant.status?.phase !== 'Terminating') {
    await writeStatus(tenant, { phase: 'Terminating' }, deps)
    return undefined
  }
  const own = { reader: server.reader, registries: server.registries, client: clientOf(name, server), store }
  const left = await deleteContent(name, own)
  if (left.length > 0) {
    const message = `Some resources are remaining: ${left.join(', ')}`
    const conditions = readyConditions(tenant, { status: 'False', reason: 'ContentRemaining', message }, deps)
    await writeStatus(tenant, { conditions }, deps)
    return { requeueAfterMs: DELETION_RECHECK_MS }
  }
  if (!(await deleteLeftovers(name, own))) return { requeueAfterMs: DELETION_RECHECK_MS }
  await server.dropTenantUsage(name)
  await deps.onGone?.(name)
  await release(tenant, deps)
  return undefined
}

function clientOf(tenant: string, server: TenantsDeps['server']): Client {
  return server.client({ ...SERVER_USER, tenant })
}

async function release(tenant: Stored<Tenant>, { registryClient }: TenantsDeps): Promise<void> {
  const current = await registryClient.get(tenants, { name: tenant.metadata.name })
  if (current.metadata.uid !== tenant.metadata.uid) return
  const finalizers = (current.metadata.finalizers ?? []).filter((finalizer) => finalizer !== TENANT_FINALIZER)
  await registryClient.update(tenants, { ...current, metadata: { ...current.metadata, finalizers } })
}

function readyConditions(
  { status }: Stored<Tenant>,
  condition: { readonly status: 'True' | 'False'; readonly reason: string; readonly message: string },
  { clock }: TenantsDeps,
): NonNullable<TenantStatus['conditions']> {
  return withCondition(status?.conditions, {
    type: READY,
    ...condition,
    lastTransitionTime: formatTime(clock.now()),
  })
}

/** Writes what differs. The registry may know a newer Tenant than this partition's copy: it is asked first, and decides on a conflict. */
async function writeStatus(tenant: Stored<Tenant>, change: TenantStatus, deps: TenantsDeps): Promise<void> {
  if (isDeepStrictEqual(mergeStatus(tenant.status, change), tenant.status)) return
  const current = await deps.registryClient.get(tenants, { name: tenant.metadata.name })
  if (current.metadata.uid !== tenant.metadata.uid || current.status?.epoch !== tenant.status?.epoch) return
  const status = mergeStatus(current.status, change)
  if (isDeepStrictEqual(status, current.status)) return
  await deps.registryClient.updateStatus(tenants, { ...current, status })
}

function mergeStatus(old: TenantStatus | undefined, change: TenantStatus): TenantStatus {
  const { used, ...status } = { ...old, ...change }
  return used === undefined ? status : { ...status, used }
}
