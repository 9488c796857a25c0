import { isStatus } from '@centaurus/api'
import { partitions, type Partition } from '@centaurus/api/centaurus/v1'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Membership } from './membership.ts'

/** Between two looks at what the registry says. */
const CHECK_INTERVAL_MS = 5_000
/** Until a new partition has its copy of the registry, and after another server was faster. */
const FIRST_COPY_POLL_MS = 250

export interface EndpointReporterOptions {
  /** Of the home partition. Stays open. */
  readonly home: Client
  readonly membership: Membership
  /** Where this server is reached, such as `https://10.0.0.1:6443`. */
  readonly endpoint: string
  /** Whether `spec.endpoints` is to hold that address beside those of other servers, or nothing else. */
  readonly sharesStore: boolean
  readonly clock: Clock
  readonly logger: Logger
}

/** Sees to it that the registry knows where this server is. Each server of a partition runs it. Goes on trying when home is away. */
export function startEndpointReporter(options: EndpointReporterOptions): { close(): Promise<void> } {
  const stop = new AbortController()
  const running = keep(options, stop.signal)
  return {
    async close() {
      stop.abort(new Error('Endpoint reporter closed'))
      await running
    },
  }
}

async function keep(options: EndpointReporterOptions, signal: AbortSignal): Promise<void> {
  const { membership, clock, logger } = options
  let failing = false
  while (!signal.aborted) {
    const copy = membership.get(membership.self)
    let pauseMs = copy === undefined ? FIRST_COPY_POLL_MS : CHECK_INTERVAL_MS
    try {
      if (copy !== undefined && planEndpoints(copy, options) !== undefined) await register(options)
      failing = false
    } catch (error) {
      if (isStatus(error, 'Conflict')) {
        pauseMs = FIRST_COPY_POLL_MS // another server was faster
      } else if (!failing && !signal.aborted) {
        logger.warn('Could not tell the home partition where this server is', { error })
        failing = true
      }
    }
    await clock.sleep(pauseMs, { signal }).catch(() => {})
  }
}

async function register(options: EndpointReporterOptions): Promise<void> {
  const { home, membership } = options
  const current = await home.get(partitions, { name: membership.self }) // the copy may be behind
  const endpoints = planEndpoints(current, options)
  if (endpoints !== undefined) await home.update(partitions, { ...current, spec: { ...current.spec, endpoints } })
}

/** The partition's addresses with this server's, or undefined when they hold it already. Pure. */
export function planEndpoints(
  { spec }: Readonly<Partition>,
  { endpoint, sharesStore }: Pick<EndpointReporterOptions, 'endpoint' | 'sharesStore'>,
): string[] | undefined {
  if (!spec.endpoints.includes(endpoint)) return sharesStore ? [...spec.endpoints, endpoint] : [endpoint]
  return sharesStore || spec.endpoints.length === 1 ? undefined : [endpoint]
}
