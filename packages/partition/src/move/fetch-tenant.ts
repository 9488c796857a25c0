import type { Clock } from '@centaurus/base'
import type { PartitionLink } from '../membership/partition-link.ts'
import type { ExportLine } from './export-tenant.ts'
import type { TenantImport } from './import-tenant.ts'
import type { FreezeAnswer, FreezeRequest } from './source-extension.ts'

/** A target that has stopped the source's writes and does not get the rest within this gives up; the source goes on soon after. */
const REST_TIMEOUT_MS = 4_000
/** Lines that came and are not stored yet; a target that is so far behind begins again. */
const PENDING_LINES_MAX = 20_000
/** Writes are stopped only when no more than so many lines are left to store. */
const BACKLOG_LINES_MAX = 20
const BACKLOG_RECHECK_MS = 10

export interface FetchOptions {
  readonly tenant: string
  /** `Tenant.status.epoch` as the target knows it. */
  readonly epoch: number
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Called just before the writes stop. */
  readonly onFreeze: () => void
}

/**
 * Copies the tenant from the partition behind the link while it is written there, then stops the writes. Everything is here, durably, when it
 * resolves, and nothing more will be written there unless the source goes on at another epoch.
 */
export async function fetchTenant(link: PartitionLink, target: TenantImport, options: FetchOptions): Promise<void> {
  const { tenant, epoch, clock, onFreeze } = options
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const copy = startCopy(link, target, { tenant, signal })
  try {
    await Promise.race([target.whenReached(0), copy.ended])
    while (copy.backlog() > BACKLOG_LINES_MAX) await Promise.race([clock.sleep(BACKLOG_RECHECK_MS), copy.ended])
    onFreeze()
    const { revision } = await Promise.race([freeze(link, { tenant, epoch }), copy.ended])
    const late = clock.sleep(REST_TIMEOUT_MS, { signal }).then(() => {
      throw new Error(`The rest of tenant "${tenant}" did not come in ${REST_TIMEOUT_MS} ms`)
    })
    late.catch(() => undefined)
    await Promise.race([target.whenReached(revision), copy.ended, late])
  } finally {
    stop.abort(new Error('Move ended'))
  }
}

interface Copy {
  /** Lines that are not stored yet. */
  backlog(): number
  /** Rejects when the export ends, which is always too early. */
  readonly ended: Promise<never>
}

function startCopy(
  link: PartitionLink,
  target: TenantImport,
  { tenant, signal }: { readonly tenant: string; readonly signal: AbortSignal },
): Copy {
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
  const run = async (): Promise<never> => {
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
  const ended = run()
  ended.catch(() => undefined) // who races with it hears of it
  return { backlog: () => pending, ended }
}

async function freeze(link: PartitionLink, request: FreezeRequest): Promise<FreezeAnswer> {
  const { status, body } = await link.request({ method: 'POST', path: '/partition/v1/freeze', body: request })
  if (status !== 200) throw new Error(`Cannot stop the writes of tenant "${request.tenant}": ${JSON.stringify(body)}`)
  return body as FreezeAnswer
}
