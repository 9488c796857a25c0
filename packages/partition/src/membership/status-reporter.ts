import { formatTime, isStatus } from '@centaurus/api'
import { partitions } from '@centaurus/api/centaurus/v1'
import { nodes } from '@centaurus/api/core/v1'
import type { ObjectReader } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { HEARTBEAT_INTERVAL_MS, sendHeartbeat } from './heartbeat.ts'
import type { HomeMemory } from './home-memory.ts'
import type { Membership } from './membership.ts'
import { planFencedStatus, planReadyStatus, type PartitionCounts } from './partition-status.ts'

/** Until a new partition has its copy of the registry. */
const FIRST_COPY_POLL_MS = 250

export interface StatusReporterOptions {
  /** Of the home partition. Stays open. */
  readonly home: Client
  readonly membership: Membership
  readonly reader: ObjectReader
  /** Undefined in the home partition itself, which has nobody to doubt and sends itself no heartbeats. */
  readonly memory: HomeMemory | undefined
  /** Why this partition does not believe another one; undefined: it does. */
  readonly whyFenced?: ((partition: string) => string | undefined) | undefined
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Tells home that this partition is there: a heartbeat every {@link HEARTBEAT_INTERVAL_MS}, and its status when that changes. Goes on
 * trying when home is away; nothing here waits for it.
 */
export function startStatusReporter(options: StatusReporterOptions): { close(): Promise<void> } {
  const stop = new AbortController()
  const running = report(options, stop.signal)
  return {
    async close() {
      stop.abort(new Error('Status reporter closed'))
      await running
    },
  }
}

async function report(options: StatusReporterOptions, signal: AbortSignal): Promise<void> {
  const { home, membership, memory, clock, logger } = options
  let failing = false
  while (!signal.aborted) {
    try {
      const beat = (): Promise<number> => sendHeartbeat(home, membership.self, clock.now())
      if (memory === undefined || (await memory.probe(beat))) await reportStatus(options)
      await reportFences(options)
      if (failing) logger.info('Reached the home partition again')
      failing = false
    } catch (error) {
      if (isStatus(error, 'Conflict')) continue // somebody else was faster: look again
      if (!failing && !signal.aborted) logger.warn('Could not report to the home partition', { error })
      failing = true
    }
    const isKnown = membership.get(membership.self) !== undefined
    await clock.sleep(isKnown ? HEARTBEAT_INTERVAL_MS : FIRST_COPY_POLL_MS, { signal }).catch(() => {})
  }
}

/** Tells at home whom this partition does not believe, for operators to see. Nobody else acts on it. */
async function reportFences({ home, membership, memory, whyFenced, clock }: StatusReporterOptions): Promise<void> {
  for (const copy of membership.list()) {
    const { name } = copy.metadata
    const why = copy.spec.home === true && memory?.fence !== undefined ? memory.fence : whyFenced?.(name)
    const fence = { by: membership.self, why: why ?? '' }
    if (why === undefined || planFencedStatus(copy, fence, '') === undefined) continue
    const current = await home.get(partitions, { name }) // the copy may be behind
    const status = planFencedStatus(current, fence, formatTime(clock.now()))
    if (status !== undefined) await home.updateStatus(partitions, { ...current, status })
  }
}

async function reportStatus(options: StatusReporterOptions): Promise<void> {
  const { home, membership, reader, clock } = options
  const copy = membership.get(membership.self)
  if (copy === undefined) return // the follower brings it, unless the partition was removed
  const { roles } = copy.spec
  const counts: PartitionCounts = {
    tenants: roles.includes('Tenant')
      ? membership.tenants().filter((tenant) => tenant.status?.partition === membership.self).length
      : undefined,
    nodes: roles.includes('Resource') ? reader.count(nodes) : undefined,
  }
  if (planReadyStatus(copy, counts, '') === undefined) return
  // The copy may be behind what home has: decide on that.
  const current = await home.get(partitions, { name: membership.self })
  const status = planReadyStatus(current, counts, formatTime(clock.now()))
  if (status !== undefined) await home.updateStatus(partitions, { ...current, status })
}
