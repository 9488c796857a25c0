import type { Clock, Logger, Random } from '@centaurus/base'
import { StoreClosedError, StoreUnavailableError } from '../store.ts'
import { GrpcError, isMemberAtFault, isRefusal } from './grpc-error.ts'
import { openGrpcSession, type EtcdTls, type GrpcSession } from './grpc-session.ts'

/** Longest time for one try, so that there is time for another one with another member. etcd's own patience is 5 s and more. */
export const TRY_TIMEOUT_MS = 5_000
/** Between two tries, doubled each time, with half of it at random. */
const BACKOFF_MS_MIN = 20
const BACKOFF_MS_MAX = 2_000

export interface EtcdChannelOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT` of the members; any of them may be down. */
  readonly endpoints: readonly string[]
  /** Asked for at each new connection. */
  readonly tls?: (() => EtcdTls) | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** One connection to one member at a time; when it fails, the next member's turn comes. */
export class EtcdChannel {
  readonly #options: EtcdChannelOptions
  /** Aborted by {@link close}: ends waits. */
  readonly #closing = new AbortController()
  #session: GrpcSession | undefined
  #connecting: Promise<GrpcSession> | undefined
  /** Member to connect to next. Starts anywhere, so that many clients spread over the members. */
  #next: number

  constructor(options: EtcdChannelOptions) {
    this.#options = options
    this.#next = options.random.integer(options.endpoints.length)
  }

  /** The connection, or a new one. Throws {@link StoreUnavailableError} when there is none by `deadlineMs` (monotonic). */
  async session(deadlineMs: number): Promise<GrpcSession> {
    for (let attempt = 0; ; attempt++) {
      if (this.#closing.signal.aborted) throw new StoreClosedError('The store is closed')
      if (this.#session?.isUsable === true) return this.#session
      this.#connecting ??= this.#connect()
      try {
        return await this.#connecting
      } catch (error) {
        // The first failures may be of members that are down: the others are asked at once.
        const round = Math.floor((attempt + 1) / this.#options.endpoints.length)
        await this.#backOff(round, deadlineMs, error as Error)
      }
    }
  }

  /**
   * Calls until it is answered: only for what may be done twice. Throws {@link GrpcError} when etcd refuses it, and
   * {@link StoreUnavailableError} when nobody answers within `timeoutMs`.
   */
  async callRepeatedly(path: string, frame: Buffer, timeoutMs: number): Promise<Buffer> {
    const { clock } = this.#options
    const deadlineMs = clock.monotonicMs() + timeoutMs
    for (let attempt = 0; ; attempt++) {
      const session = await this.session(deadlineMs)
      try {
        const leftMs = Math.max(1, deadlineMs - clock.monotonicMs())
        return await session.unary(path, frame, Math.min(leftMs, TRY_TIMEOUT_MS))
      } catch (error) {
        if (!(error instanceof GrpcError) || isRefusal(error)) throw error
        this.noteFailure(session, error)
        await this.#backOff(attempt, deadlineMs, error)
      }
    }
  }

  /** Leaves a member that cannot serve for another one. */
  noteFailure(session: GrpcSession, error: GrpcError): void {
    if (isMemberAtFault(error)) session.destroy(error.message)
  }

  /** Waits before try number `attempt` + 1. Throws {@link StoreUnavailableError} when that would be after `deadlineMs`. */
  async #backOff(attempt: number, deadlineMs: number, cause: Error): Promise<void> {
    const { clock } = this.#options
    const delayMs = attempt === 0 ? 0 : this.backOffMs(attempt)
    if (clock.monotonicMs() + delayMs >= deadlineMs) {
      throw new StoreUnavailableError(`Cannot reach etcd at ${this.#options.endpoints.join(', ')}: ${cause.message}`, {
        cause,
      })
    }
    await this.pause(delayMs)
  }

  /** Milliseconds to wait before try number `attempt` + 1. */
  backOffMs(attempt: number): number {
    const longest = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(attempt - 1, 16))
    return longest / 2 + (longest / 2) * this.#options.random.next()
  }

  /** Rejects with {@link StoreClosedError} when the channel is closed meanwhile. */
  async pause(delayMs: number): Promise<void> {
    if (delayMs > 0) await this.#options.clock.sleep(delayMs, { signal: this.#closing.signal })
  }

  close(): void {
    if (this.#closing.signal.aborted) return
    this.#closing.abort(new StoreClosedError('The store is closed'))
    this.#session?.destroy('the store is closed')
  }

  async #connect(): Promise<GrpcSession> {
    const { endpoints, tls, clock, logger } = this.#options
    const endpoint = endpoints[this.#next % endpoints.length]!
    this.#next++
    try {
      const session = await openGrpcSession({ endpoint, tls: tls?.(), clock })
      if (this.#closing.signal.aborted) session.destroy('the store is closed')
      logger.debug('Connected to etcd', { endpoint })
      this.#session = session
      return session
    } catch (error) {
      logger.debug('Could not connect to etcd', { endpoint, error })
      throw error
    } finally {
      this.#connecting = undefined
    }
  }
}
