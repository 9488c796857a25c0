import { badRequest, conflict } from '@centaurus/api'
import type {
  ApiServerExtension,
  CreateExtension,
  Exchange,
  NonResourceRoute,
  StoredObjects,
  TenantPosition,
} from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import type { Membership } from '../membership/membership.ts'
import { requireMember } from '../membership/require-member.ts'
import { exportTenant, type ExportSink } from './export-tenant.ts'
import type { TenantFences } from './tenant-fence.ts'

const FREEZE_BYTES_MAX = 4096
/** How long a move waits for this server's cache, while writes are stopped, to learn up to where clients may have seen the tenant. */
const CACHE_TIMEOUT_MS = 200
const TENANTS_RESOURCE = { group: 'centaurus.io', resource: 'tenants' }

export interface MoveSourceDeps {
  readonly store: Store
  readonly fences: TenantFences
  /** Called when first needed: it reads what the server holds. */
  readonly membership: () => Membership
  readonly clock: Clock
  readonly logger: Logger
}

/** What the target asks for when it has nearly everything. */
export interface FreezeRequest {
  readonly tenant: string
  /** `Tenant.status.epoch` that the target saw. */
  readonly epoch: number
}

export interface FreezeAnswer {
  /** No write of the tenant happens after this revision of the source's store. */
  readonly revision: number
  /** Up to where its clients may have seen it; absent when this server's cache is behind. */
  readonly position?: TenantPosition | undefined
}

/**
 * The side of a move that gives the tenant away: `GET /partition/v1/export?tenant=T` sends it, `POST /partition/v1/freeze` stops its writes, and
 * every write of a tenant compares the fence. Only the partition that `Tenant.spec.partition` names may ask.
 */
export function createMoveSource(deps: MoveSourceDeps): CreateExtension {
  return ({ stored }): ApiServerExtension => ({
    admission: [deps.fences.admission],
    routes: [exportRoute(deps), freezeRoute(deps, stored)],
    start: () => deps.fences.start(),
    async close() {
      deps.fences.close()
    },
  })
}

function exportRoute({ store, membership, clock, logger }: MoveSourceDeps): NonResourceRoute {
  return {
    path: '/partition/v1/export',
    methods: ['GET'],
    async handle(exchange, context) {
      const tenant = exchange.query.get('tenant') ?? ''
      requireTarget(membership(), tenant, requireMember(context))
      exchange.startStream(200, { 'content-type': 'application/x-ndjson' })
      try {
        await exportTenant(store, tenant, { sink: sinkOf(exchange), clock, signal: exchange.signal })
        exchange.end()
      } catch (error) {
        logger.warn('Stopped the export of a tenant', { tenant, error })
        exchange.destroy()
      }
    },
  }
}

function freezeRoute({ fences, membership, clock, logger }: MoveSourceDeps, stored: StoredObjects): NonResourceRoute {
  return {
    path: '/partition/v1/freeze',
    methods: ['POST'],
    async handle(exchange, context) {
      const to = requireMember(context)
      const { tenant, epoch } = parseFreeze(await exchange.readBody(FREEZE_BYTES_MAX))
      requireTarget(membership(), tenant, to)
      const revision = await fences.set(
        tenant,
        { state: 'frozen', epoch, to, sinceMs: clock.now() },
        ({ state, epoch: since }) => (state === 'serving' || state === 'frozen') && since <= epoch,
      )
      if (revision === undefined) throw conflict(TENANTS_RESOURCE, tenant, 'the tenant has moved meanwhile')
      const isCurrent = await Promise.race([isFresh(stored), clock.sleep(CACHE_TIMEOUT_MS)])
      if (isCurrent !== true) logger.warn('Watchers of a tenant that moves have to list again', { tenant })
      const answer: FreezeAnswer = { revision, ...(isCurrent === true ? { position: stored.positionOf(tenant) } : {}) }
      exchange.respond(200, { 'content-type': 'application/json' }, JSON.stringify(answer))
    },
  }
}

async function isFresh(stored: StoredObjects): Promise<boolean> {
  try {
    await stored.waitCurrent()
    return true
  } catch {
    return false
  }
}

/** Throws unless the tenant lives here and is meant to live in partition `to`. */
function requireTarget(membership: Membership, tenant: string, to: string): void {
  const found = membership.tenant(tenant)
  if (found?.status?.partition !== membership.self)
    throw badRequest(`tenant "${tenant}" does not live in partition ${membership.self}`)
  if (found.spec?.partition !== to) throw badRequest(`tenant "${tenant}" is not meant to move to partition ${to}`)
}

function parseFreeze(body: Uint8Array): FreezeRequest {
  const { tenant, epoch } = JSON.parse(Buffer.from(body).toString('utf8')) as Partial<FreezeRequest>
  if (typeof tenant !== 'string' || !Number.isSafeInteger(epoch)) throw badRequest('expected {tenant, epoch}')
  return { tenant, epoch: epoch! }
}

function sinkOf(exchange: Exchange): ExportSink {
  return {
    write: (line) => exchange.write(Buffer.from(`${line}\n`)),
    get queuedBytes() {
      return exchange.queuedBytes
    },
    drained: () => exchange.drained(),
    get closed() {
      return exchange.closed
    },
  }
}
