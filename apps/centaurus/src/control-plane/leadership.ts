import type { Clock, Logger, Random } from '@centaurus/base'
import { LeaderElector, type Client } from '@centaurus/client'

/** Of the servers of one partition. A pod that waits for a scheduler waits for at most this long when a server dies. */
const LEASE_DURATION_SECONDS = 6
const RENEW_DEADLINE_MS = 4_000
const RETRY_PERIOD_MS = 1_000
const LEASE_NAMESPACE = 'kube-system'
const LEASE_NAME = 'centaurus-partition-leader'

export interface Closable {
  close(): Promise<void>
}

export interface LeadershipOptions {
  /** Undefined: there are no other servers, and `start` is called at once. */
  readonly serverName: string | undefined
  /** Of this server. */
  readonly client: Client
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Starts what only one server of a partition may run. It calls `resign` when it finds that another server leads: it is closed. */
  readonly start: (resign: () => void) => Promise<Closable>
}

/**
 * Runs what only one server of a partition may run: while this one holds the partition's Lease, or always when it is the only one.
 * When the lease is lost the parts stop at once, and the process goes on serving.
 */
export async function lead(options: LeadershipOptions): Promise<Closable> {
  const { serverName, start, ...deps } = options
  if (serverName === undefined) return runAlone(options)
  return new LeaderElector({
    ...deps,
    namespace: LEASE_NAMESPACE,
    name: LEASE_NAME,
    identity: serverName,
    leaseDurationSeconds: LEASE_DURATION_SECONDS,
    renewDeadlineMs: RENEW_DEADLINE_MS,
    retryPeriodMs: RETRY_PERIOD_MS,
    async lead(signal) {
      const resigned = new AbortController()
      const parts = await start(() => resigned.abort())
      await untilAborted(AbortSignal.any([signal, resigned.signal]))
      await parts.close()
    },
  })
}

/** Nobody else leads, so who resigns begins again: what deposed it was another process that has gone. */
async function runAlone({ start, clock, logger }: LeadershipOptions): Promise<Closable> {
  const stop = new AbortController()
  let restarting = Promise.resolve()
  let parts: Closable | undefined
  const restart = async (): Promise<void> => {
    await parts?.close()
    parts = undefined
    while (!stop.signal.aborted && parts === undefined) {
      try {
        parts = await start(resign)
      } catch (error) {
        logger.warn('Could not begin again', { error })
        await clock.sleep(RETRY_PERIOD_MS, { signal: stop.signal }).catch(() => {})
      }
    }
  }
  const resign = (): void => {
    logger.warn('Another process led this partition: beginning again')
    restarting = restarting.then(restart)
  }
  parts = await start(resign)
  return {
    async close() {
      stop.abort(new Error('Control plane closed'))
      await restarting
      await parts?.close()
    },
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
