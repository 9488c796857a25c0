import { isStatus, type Stored } from '@centaurus/api'
import { leases, type Lease } from '@centaurus/api/coordination/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client } from '../client.ts'

/** Source: k8s.io/component-base LeaderElectionConfiguration defaults; jitter factor of client-go tools/leaderelection. */
const LEASE_DURATION_SECONDS = 15
const RENEW_DEADLINE_MS = 10_000
const RETRY_PERIOD_MS = 2_000
const JITTER_FACTOR = 1.2

export interface LeaderElectionOptions {
  readonly client: Client
  readonly namespace: string
  /** Name of the Lease. */
  readonly name: string
  /** Unique among the candidates. */
  readonly identity: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Runs while this candidate leads; `signal` aborts when the lead is lost, after which it must stop at once. */
  readonly lead: (signal: AbortSignal) => Promise<void>
  readonly leaseDurationSeconds?: number | undefined
  readonly renewDeadlineMs?: number | undefined
  readonly retryPeriodMs?: number | undefined
}

/**
 * Keeps trying to hold a Lease and runs `lead` while it does. At most one candidate leads as long as clocks run at about the same
 * rate: another's lease is only taken when it was not renewed for its whole duration as seen by OUR clock, whatever its timestamps say.
 */
export class LeaderElector {
  readonly #options: LeaderElectionOptions
  readonly #abort = new AbortController()
  readonly #running: Promise<void>
  #observed: { readonly record: string; readonly atMs: number } | undefined
  #isLeader = false

  constructor(options: LeaderElectionOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  get isLeader(): boolean {
    return this.#isLeader
  }

  /** Stops leading, gives the Lease back so that another can take it at once, and resolves when `lead` has returned. */
  async close(): Promise<void> {
    this.#abort.abort(new Error('Leader election closed'))
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      if (await this.#tryHold()) await this.#leadUntilLost(signal)
      await this.#pause(signal)
    }
  }

  async #leadUntilLost(outer: AbortSignal): Promise<void> {
    const { lead, logger, clock, renewDeadlineMs = RENEW_DEADLINE_MS } = this.#options
    const lost = new AbortController()
    const signal = AbortSignal.any([outer, lost.signal])
    this.#isLeader = true
    logger.info('Became the leader', { lease: this.#options.name })
    const work = lead(signal).catch((error: unknown) => {
      if (!signal.aborted) logger.warn('Leader stopped by itself', { error })
    })
    void work.then(() => lost.abort(new Error('Leader returned')))
    const lose = (): void => lost.abort(new Error('Leader lease was lost'))
    let deadline = clock.setTimer(renewDeadlineMs, lose)
    while (!signal.aborted) {
      await this.#pause(signal)
      const startedMs = clock.monotonicMs()
      if (signal.aborted || !(await this.#tryHold())) continue
      // Counted from before the request: the lease may be as old as that.
      deadline.cancel()
      deadline = clock.setTimer(renewDeadlineMs - (clock.monotonicMs() - startedMs), lose)
    }
    deadline.cancel()
    this.#isLeader = false
    await work
    await this.#release()
    logger.info('Stopped being the leader', { lease: this.#options.name })
  }

  /** True when the Lease is ours after this attempt. Never throws. */
  async #tryHold(): Promise<boolean> {
    const { client, namespace, name, identity, clock, renewDeadlineMs = RENEW_DEADLINE_MS } = this.#options
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(renewDeadlineMs)])
    try {
      const current = await client.get(leases, { namespace, name }, { signal })
      this.#observe(current)
      if (!this.#mayTake(current)) return false
      const next = this.#renewed(current)
      this.#observe(await client.update(leases, next, { signal }))
      return true
    } catch (error) {
      if (!isStatus(error, 'NotFound')) {
        if (!isStatus(error, 'Conflict'))
          this.#options.logger.debug('Could not reach the leader lease', { name, error })
        return false
      }
    }
    try {
      const now = formatMicroTime(clock.now())
      const spec = {
        holderIdentity: identity,
        leaseDurationSeconds: this.#durationSeconds,
        acquireTime: now,
        renewTime: now,
        leaseTransitions: 0,
      }
      this.#observe(
        await client.create(
          leases,
          { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec },
          { signal },
        ),
      )
      return true
    } catch {
      return false
    }
  }

  get #durationSeconds(): number {
    return this.#options.leaseDurationSeconds ?? LEASE_DURATION_SECONDS
  }

  #observe(lease: Stored<Lease>): void {
    const record = JSON.stringify(lease.spec ?? {})
    if (this.#observed?.record !== record) this.#observed = { record, atMs: this.#options.clock.monotonicMs() }
  }

  #mayTake({ spec }: Lease): boolean {
    const holder = spec?.holderIdentity ?? ''
    if (holder === '' || holder === this.#options.identity) return true
    const durationMs = (spec?.leaseDurationSeconds ?? this.#durationSeconds) * 1000
    return this.#options.clock.monotonicMs() - this.#observed!.atMs >= durationMs
  }

  #renewed(current: Stored<Lease>): Lease {
    const { identity, clock } = this.#options
    const now = formatMicroTime(clock.now())
    const isOurs = current.spec?.holderIdentity === identity
    const transitions = current.spec?.leaseTransitions ?? 0
    return {
      ...current,
      spec: {
        ...current.spec,
        holderIdentity: identity,
        leaseDurationSeconds: this.#durationSeconds,
        acquireTime: isOurs ? current.spec?.acquireTime : now,
        renewTime: now,
        leaseTransitions: isOurs ? transitions : transitions + 1,
      },
    }
  }

  async #release(): Promise<void> {
    const { client, namespace, name, identity, clock } = this.#options
    const signal = AbortSignal.timeout(RETRY_PERIOD_MS)
    try {
      const current = await client.get(leases, { namespace, name }, { signal })
      if (current.spec?.holderIdentity !== identity) return
      const spec = {
        ...current.spec,
        holderIdentity: '',
        leaseDurationSeconds: 1,
        renewTime: formatMicroTime(clock.now()),
      }
      await client.update(leases, { ...current, spec }, { signal })
    } catch {
      // it runs out by itself
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { clock, random, retryPeriodMs = RETRY_PERIOD_MS } = this.#options
    await clock.sleep(retryPeriodMs * (1 + JITTER_FACTOR * random.next()), { signal }).catch(() => {})
  }
}

/** Source: meta.k8s.io/v1 MicroTime. */
function formatMicroTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z')
}
