import { parsePosition } from '@centaurus/apiserver'
import type { Clock } from '@centaurus/base'
import type { PartitionLink } from '../membership/partition-link.ts'
import type { ExportLine } from './export-tenant.ts'
import type { TenantImport } from './import-tenant.ts'
import type { FreezeAnswer, FreezeRequest } from './source-extension.ts'

/** A target that has stopped the source's writes and does not get the rest within this gives up; the source goes on soon after. */
const REST_TIMEOUT_MS = 4_000
/** Lines that are stored together. */
const LINES_AT_ONCE = 100
/** Lines that came and are not stored yet; beyond, no more are read until they are. */
const QUEUE_LINES_MAX = 200
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
    const { revision, position } = await Promise.race([freeze(link, { tenant, epoch }), copy.ended])
    const late = clock.sleep(REST_TIMEOUT_MS, { signal }).then(() => {
      throw new Error(`The rest of tenant "${tenant}" did not come in ${REST_TIMEOUT_MS} ms`)
    })
    late.catch(() => undefined)
    const whole = Promise.all([target.whenReached(revision), target.remember(position)])
    await Promise.race([whole, copy.ended, late])
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
  const queue: ExportLine[] = []
  let applying = 0
  let applied: Promise<void> | undefined
  const backlog = (): number => queue.length + applying
  /** What comes while lines are stored is stored together after them. */
  const applyAll = async (): Promise<void> => {
    try {
      while (queue.length > 0 && !failed.signal.aborted) {
        const lines = queue.splice(0, LINES_AT_ONCE)
        applying = lines.length
        await target.apply(lines)
        applying = 0
      }
    } catch (error) {
      failed.abort(error)
    }
    applied = undefined
  }
  const run = async (): Promise<never> => {
    await link.stream({
      path: `/partition/v1/export?tenant=${encodeURIComponent(tenant)}`,
      signal: AbortSignal.any([signal, failed.signal]),
      onLine(bytes) {
        queue.push(JSON.parse(Buffer.from(bytes).toString('utf8')) as ExportLine)
        applied ??= applyAll()
      },
      ready: () => (queue.length > QUEUE_LINES_MAX ? applied : undefined),
    })
    await applied
    throw new Error(`The export of tenant "${tenant}" ended`)
  }
  const ended = run()
  ended.catch(() => undefined) // who races with it hears of it
  return { backlog, ended }
}

async function freeze(link: PartitionLink, request: FreezeRequest): Promise<FreezeAnswer> {
  const { status, body } = await link.request({ method: 'POST', path: '/partition/v1/freeze', body: request })
  if (status !== 200) throw new Error(`Cannot stop the writes of tenant "${request.tenant}": ${JSON.stringify(body)}`)
  const answer = body as FreezeAnswer
  return answer.position === undefined ? answer : { ...answer, position: parsePosition(answer.position) }
}
