import { isStatus } from '@centaurus/api'
import { partitions, type Partition } from '@centaurus/api/centaurus/v1'
import { nodes } from '@centaurus/api/core/v1'
import type { ObjectReader } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { HEARTBEAT_INTERVAL_MS, sendHeartbeat } from './heartbeat.ts'
import type { HomeMemory } from './home-memory.ts'
import type { Membership } from './membership.ts'
import { planReadyStatus, type PartitionCounts } from './partition-status.ts'

/** Until a new partition has its copy of the registry. */
const FIRST_COPY_POLL_MS = 250

export interface StatusReporterOptions {
  /** Of the home partition. Stays open. */
  readonly home: Client
  readonly membership: Membership
  readonly reader: ObjectReader
  /** Undefined in the home partition itself, which has nobody to doubt. */
  readonly memory: HomeMemory | undefined
  /** Where this server is reached, as in `spec.endpoints`; added there when it is missing. */
  readonly endpoint: string | undefined
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
      const believed = memory === undefined ? (await beat(), true) : await memory.probe(beat)
      if (believed) await reportStatus(options)
      if (failing) logger.info('Reached the home partition again')
      failing = false
    } catch (error) {
      if (!failing && !signal.aborted) logger.warn('Could not report to the home partition', { error })
      failing = true
    }
    const isKnown = membership.get(membership.self) !== undefined
    await clock.sleep(isKnown ? HEARTBEAT_INTERVAL_MS : FIRST_COPY_POLL_MS, { signal }).catch(() => {})
  }
}

async function reportStatus({ home, membership, reader, endpoint, clock }: StatusReporterOptions): Promise<void> {
  const copy = membership.get(membership.self)
  if (copy === undefined) return // the follower brings it, unless the partition was removed
  const { roles, endpoints } = copy.spec
  const counts: PartitionCounts = {
    tenants: roles.includes('Tenant')
      ? membership.tenants().filter((tenant) => tenant.status?.partition === membership.self).length
      : undefined,
    nodes: roles.includes('Resource') ? reader.count(nodes) : undefined,
  }
  const isKnown = endpoint === undefined || endpoints.includes(endpoint)
  if (isKnown && planReadyStatus(copy, counts, '') === undefined) return
  // The copy may be behind what home has: decide on that.
  const current = await home.get(partitions, { name: membership.self })
  const status = planReadyStatus(current, counts, new Date(clock.now()).toISOString())
  if (status !== undefined) await home.updateStatus(partitions, { ...current, status }).catch(ignoreConflict)
  if (!isKnown && !current.spec.endpoints.includes(endpoint)) await addEndpoint(home, current, endpoint)
}

async function addEndpoint(home: Client, current: Readonly<Partition>, endpoint: string): Promise<void> {
  const patch = [
    { op: 'test' as const, path: '/spec/endpoints', value: current.spec.endpoints },
    { op: 'add' as const, path: '/spec/endpoints/-', value: endpoint },
  ]
  await home
    .patch(partitions, { name: current.metadata.name ?? '' }, { type: 'json', body: patch })
    .catch(ignoreConflict)
}

/** Somebody else was faster; the next round sees what they wrote. */
function ignoreConflict(error: unknown): void {
  if (!isStatus(error, 'Conflict') && !isStatus(error, 'Invalid')) throw error
}
