import { isStatus, type Stored } from '@centaurus/api'
import { tenants, type Tenant } from '@centaurus/api/centaurus/v1'
import { createWorkQueue, runController, type Client, type RunningController } from '@centaurus/client'
import type { Clock, Logger } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink, PartitionLink } from '../membership/partition-link.ts'
import type { ExportLine } from './export-tenant.ts'
import { TenantImport } from './import-tenant.ts'
import { planMove } from './plan-move.ts'
import type { FreezeAnswer, FreezeRequest } from './source-extension.ts'
import type { TenantFences } from './tenant-fence.ts'

/** Tenants that are fetched at the same time. */
const MOVES_AT_ONCE = 2
/** A target that has frozen the source and does not get the rest within this gives up, so that the source can thaw. */
const FREEZE_TIMEOUT_MS = 10_000
/** Lines that came and are not stored yet; a target that is so far behind begins again. */
const PENDING_LINES_MAX = 20_000
/** How often a frozen source looks whether its move is still wanted. */
const FROZEN_RECHECK_MS = 2_000

export interface MoverDeps {
  readonly store: Store
  readonly fences: TenantFences
  readonly membership: Membership
  readonly openLink: OpenLink
  /** Client of the home partition's `system` tenant, where Tenants are written. */
  readonly registryClient: Client
  readonly clock: Clock
  readonly logger: Logger
  /** Told when a tenant is served here from now on, or no longer: watches and informers must look again. */
  readonly onHosted?: ((tenant: string) => void) | undefined
}

/**
 * Moves tenants as `Tenant.spec.partition` wants it: the partition that shall have a tenant fetches it, stops its writes at the old one for the last
 * changes, and takes over by one write to the registry, which alone decides. Every step may be repeated after a crash of either side.
 */
export function startMover(deps: MoverDeps): RunningController {
  const queue = createWorkQueue({ clock: deps.clock })
  const addAll = (): void => {
    for (const tenant of deps.membership.tenants()) queue.add(tenant.metadata.name)
  }
  const stop = deps.membership.onChange(addAll)
  addAll()
  const controller = runController({
    name: 'tenant-move-controller',
    queue,
    workers: MOVES_AT_ONCE,
    logger: deps.logger,
    reconcile: (name, signal) => reconcileMove(name, deps, signal),
  })
  return {
    ...controller,
    async close() {
      stop()
      await controller.close()
    },
  }
}

async function reconcileMove(
  name: string,
  deps: MoverDeps,
  signal: AbortSignal,
): Promise<{ requeueAfterMs: number } | undefined> {
  const { membership, fences } = deps
  const tenant = membership.tenant(name)
  if (tenant === undefined) return undefined
  const step = planMove(membership.self, tenant, fences.get(name))
  switch (step.type) {
    case 'nothing':
      return fences.get(name).state === 'frozen' ? { requeueAfterMs: FROZEN_RECHECK_MS } : undefined
    case 'serve':
    case 'leave': {
      const state = step.type === 'serve' ? 'serving' : 'gone'
      await fences.set(name, { state, epoch: step.epoch }, (current) => current.epoch <= step.epoch)
      deps.onHosted?.(name)
      return undefined
    }
    case 'thaw':
      await decide(name, { from: membership.self, epoch: step.epoch, to: membership.self }, deps)
      return undefined
    case 'fetch':
      await fetchTenant(name, step, deps, signal)
      return undefined
  }
}

async function fetchTenant(
  name: string,
  { from, epoch }: { readonly from: string; readonly epoch: number },
  deps: MoverDeps,
  signal: AbortSignal,
): Promise<void> {
  const source = deps.membership.get(from)
  if (source === undefined) throw new Error(`Tenant "${name}" lives in partition ${from}, which is not registered`)
  const link = deps.openLink(source)
  const stop = new AbortController()
  const ended = AbortSignal.any([signal, stop.signal])
  const target = new TenantImport(deps.store, name)
  try {
    const copying = copy(link, target, { tenant: name, signal: ended })
    await Promise.race([target.whenReached(0), copying])
    const { revision } = await freeze(link, { tenant: name, epoch: epoch - 1 })
    const late = deps.clock.sleep(FREEZE_TIMEOUT_MS, { signal: ended }).then(() => {
      throw new Error(`Partition ${from} did not send the rest of tenant "${name}" in ${FREEZE_TIMEOUT_MS} ms`)
    })
    await Promise.race([target.whenReached(revision), copying, late])
    await decide(name, { from, epoch, to: deps.membership.self }, deps)
    deps.logger.info('Took over a tenant', { tenant: name, from, epoch })
  } finally {
    stop.abort(new Error('Move ended'))
    await link.close()
  }
}

/** Settles only when the export ends, which is always too early: by throwing. */
async function copy(
  link: PartitionLink,
  target: TenantImport,
  { tenant, signal }: { readonly tenant: string; readonly signal: AbortSignal },
): Promise<never> {
  const failed = new AbortController()
  let applied = Promise.resolve()
  let pending = 0
  const apply = async (line: ExportLine): Promise<void> => {
    try {
      if (!failed.signal.aborted) await target.apply(line)
    } catch (error) {
      failed.abort(error)
    } finally {
      pending--
    }
  }
  await link.stream({
    path: `/partition/v1/export?tenant=${encodeURIComponent(tenant)}`,
    signal: AbortSignal.any([signal, failed.signal]),
    onLine(bytes) {
      const line = JSON.parse(Buffer.from(bytes).toString('utf8')) as ExportLine
      if (++pending > PENDING_LINES_MAX) return failed.abort(new Error('This store is too slow for the export'))
      applied = applied.then(() => apply(line))
    },
  })
  await applied
  throw new Error(`The export of tenant "${tenant}" ended`)
}

async function freeze(link: PartitionLink, request: FreezeRequest): Promise<FreezeAnswer> {
  const { status, body } = await link.request({ method: 'POST', path: '/partition/v1/freeze', body: request })
  if (status !== 200) throw new Error(`Cannot stop the writes of tenant "${request.tenant}": ${JSON.stringify(body)}`)
  return body as FreezeAnswer
}

/** Writes where the tenant lives from `epoch` on, unless somebody decided otherwise meanwhile. Throws Conflict then. */
async function decide(
  name: string,
  { from, epoch, to }: { readonly from: string; readonly epoch: number; readonly to: string },
  { registryClient }: MoverDeps,
): Promise<void> {
  const current: Stored<Tenant> = await registryClient.get(tenants, { name })
  const { status } = current
  if (status?.partition === to && status.epoch === epoch) return // an earlier try came through
  if (status?.partition !== from || (status.epoch ?? 0) !== epoch - 1)
    throw new Error(`Tenant "${name}" is at epoch ${status?.epoch} of partition ${status?.partition} now`)
  if (to !== from && current.spec?.partition !== to) throw new Error(`Tenant "${name}" is not to move any more`)
  try {
    await registryClient.updateStatus(tenants, { ...current, status: { ...status, partition: to, epoch } })
  } catch (error) {
    if (isStatus(error, 'Conflict')) throw new Error(`Tenant "${name}" changed meanwhile`, { cause: error })
    throw error
  }
}
