import { fromStatus, StatusError } from '@centaurus/api'
import type { Status } from '@centaurus/api/meta/v1'
import { expectWithin, type Clock, type Logger } from '@centaurus/base'
import type { PartitionLink } from '../membership/partition-link.ts'
import { CLAIMS_PATH } from './claims-extension.ts'
import type { ClaimAnswer, ClaimItem, ClaimRoom, ClaimsRequest, ClaimsResponse, PreemptRoom } from './model.ts'

/** Items of one request. */
const BATCH_ITEMS_MAX = 1_024
/** Longest wait for the answer of one request. */
const REQUEST_TIMEOUT_MS = 10_000
/** After a failure, doubled up to the maximum. */
const RETRY_BASE_MS = 50
const RETRY_MAX_MS = 5_000
/** Room that was asked for this long without an answer is no longer waited for, but given back. */
const GIVE_UP_MS = 10_000

/** Puts a request to a resource partition. Throws `StatusError` for its refusals; with other errors it may have been acted upon. */
export type ClaimsDoor = (request: ClaimsRequest, signal: AbortSignal) => Promise<ClaimsResponse>

/** The door of another partition. */
export function claimsOver(link: Pick<PartitionLink, 'request'>): ClaimsDoor {
  return async (body, signal) => {
    const answer = await link.request({ method: 'POST', path: CLAIMS_PATH, body, signal })
    if (answer.status === 200) return answer.body as ClaimsResponse
    const isStatusObject = typeof answer.body === 'object' && answer.body !== null && 'kind' in answer.body
    throw fromStatus(
      isStatusObject
        ? (answer.body as Status)
        : { metadata: {}, code: answer.status, message: `HTTP ${answer.status}` },
    )
  }
}

/** What became of an item. */
export type SendResult =
  | { readonly type: 'answered'; readonly answer: ClaimAnswer }
  /** Nothing was claimed. */
  | { readonly type: 'unreachable'; readonly error: Error }
  /** Another scheduler leads: nothing was claimed, and nothing will be. */
  | { readonly type: 'deposed'; readonly error: Error }

export interface ClaimSenderDeps {
  readonly door: ClaimsDoor
  /** Of this tenant partition. */
  readonly partition: string
  readonly epoch: number
  readonly clock: Clock
  readonly logger: Logger
  /** Called once, when the resource partition has seen a newer scheduler of this partition. */
  readonly onDeposed: () => void
  /** Called when a request got no answer, with how long it is before claims are sent again. */
  readonly onFailed?: ((retryMs: number) => void) | undefined
}

interface Pending {
  readonly item: ClaimItem
  readonly sinceMs: number
  /** It may have been acted upon, though no answer came. */
  isUncertain: boolean
  readonly resolve: (result: SendResult) => void
}

/**
 * Sends claims and releases of one scheduler to one resource partition, in order and one request at a time, as many items in it as have come
 * meanwhile. What may have been acted upon is asked again until it is known. Of a partition that is away, new claims are refused at once.
 */
export class ClaimSender {
  readonly #deps: ClaimSenderDeps
  readonly #abort = new AbortController()
  #queue: Pending[] = []
  #sequence = 0
  #failures = 0
  #retryAtMs = 0
  #running: Promise<void> | undefined
  #deposed: Error | undefined
  #wake = new AbortController()

  constructor(deps: ClaimSenderDeps) {
    this.#deps = deps
  }

  /** Never rejects. Items of one call stay together and in order. A release is answered when it is known to have happened. */
  send(items: readonly ClaimItem[]): Promise<SendResult[]> {
    const { clock } = this.#deps
    const results = items.map((item) => {
      if (this.#deposed !== undefined) return Promise.resolve<SendResult>({ type: 'deposed', error: this.#deposed })
      if (isClaim(item) && clock.monotonicMs() < this.#retryAtMs) {
        return Promise.resolve<SendResult>({
          type: 'unreachable',
          error: new Error('The partition can not be reached'),
        })
      }
      return new Promise<SendResult>((resolve) => {
        this.#queue.push({ item, sinceMs: clock.monotonicMs(), isUncertain: false, resolve })
      })
    })
    this.#running ??= this.#run()
    return Promise.all(results)
  }

  /** The partition is back: what is waiting is sent now. */
  retryNow(): void {
    this.#retryAtMs = 0
    this.#wake.abort()
  }

  /** Ends; what was not answered is reported as unreachable. */
  async close(): Promise<void> {
    this.#abort.abort(new Error('The claims of this partition were closed'))
    await this.#running
  }

  async #run(): Promise<void> {
    await Promise.resolve() // what comes in the same turn goes in the same request
    const { signal } = this.#abort
    while (this.#queue.length > 0) {
      if (signal.aborted) {
        this.#endAll({ type: 'unreachable', error: signal.reason as Error })
        break
      }
      const batch = this.#queue.slice(0, BATCH_ITEMS_MAX)
      const error = await this.#exchange(batch)
      if (error === undefined) continue
      if (isDeposed(error)) {
        this.#depose(error)
        break
      }
      this.#settleFailed(batch, error)
      await this.#pause()
    }
    this.#running = undefined // in the same turn as the last look at the queue
  }

  /** Sends the batch, and takes it from the queue when it was answered. */
  async #exchange(batch: readonly Pending[]): Promise<Error | undefined> {
    const { door, partition, epoch } = this.#deps
    const request = { partition, epoch, sequence: ++this.#sequence, items: batch.map(({ item }) => item) }
    const late = new AbortController()
    const timer = expectWithin(this.#deps.clock, REQUEST_TIMEOUT_MS, () =>
      late.abort(new Error(`No answer after ${REQUEST_TIMEOUT_MS} ms`)),
    )
    const signal = AbortSignal.any([this.#abort.signal, late.signal])
    try {
      const { items } = await door(request, signal)
      if (items.length !== batch.length) throw new Error(`Expected ${batch.length} answers, got ${items.length}`)
      this.#failures = 0
      this.#retryAtMs = 0
      this.#queue = this.#queue.slice(batch.length)
      for (const [i, { resolve }] of batch.entries()) resolve({ type: 'answered', answer: items[i]! })
      return undefined
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    } finally {
      timer.cancel()
    }
  }

  /** Claims that surely did not happen are told so. Those that may have are asked again, and given back when that takes too long. */
  #settleFailed(batch: readonly Pending[], error: Error): void {
    const { clock, logger, partition } = this.#deps
    const mayHaveHappened = !isSurelyRefused(error)
    const nowMs = clock.monotonicMs()
    const kept: Pending[] = []
    for (const pending of batch) {
      const { item, resolve, sinceMs } = pending
      pending.isUncertain ||= mayHaveHappened
      if (!isClaim(item)) kept.push(pending)
      else if (!pending.isUncertain) resolve({ type: 'unreachable', error })
      else if (nowMs - sinceMs < GIVE_UP_MS) kept.push(pending)
      else {
        resolve({ type: 'unreachable', error })
        if (item.op === 'preempt') continue // what was nominated is told by the stream of allocations
        const release = { op: 'release' as const, uid: item.uid, node: item.node }
        kept.push({ item: release, sinceMs: nowMs, isUncertain: false, resolve: () => {} })
      }
    }
    this.#queue = [...kept, ...this.#queue.slice(batch.length)]
    if (this.#failures++ === 0) logger.warn('Could not claim room, will retry', { partition, error })
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** (this.#failures - 1))
    this.#retryAtMs = nowMs + delayMs
    this.#deps.onFailed?.(delayMs)
  }

  async #pause(): Promise<void> {
    const { clock } = this.#deps
    this.#wake = new AbortController()
    const signal = AbortSignal.any([this.#abort.signal, this.#wake.signal])
    try {
      await clock.sleep(Math.max(0, this.#retryAtMs - clock.monotonicMs()), { signal })
    } catch {
      // closed: the loop ends; woken: it goes on
    }
  }

  #depose(error: Error): void {
    this.#deposed = error
    this.#endAll({ type: 'deposed', error })
    this.#deps.onDeposed()
  }

  #endAll(result: SendResult): void {
    const queue = this.#queue
    this.#queue = []
    for (const { resolve } of queue) resolve(result)
  }
}

/** Others give something back. */
function isClaim(item: ClaimItem): item is ClaimRoom | PreemptRoom {
  return item.op === 'claim' || item.op === 'preempt'
}

function isDeposed(error: Error): boolean {
  return causeOf(error) === 'StaleEpoch'
}

function causeOf(error: Error): string | undefined {
  return error instanceof StatusError ? error.details?.causes?.[0]?.reason : undefined
}

/** A request of ours that overtook this one may mean that it was acted upon before; every other refusal comes before anything is done. */
function isSurelyRefused(error: Error): boolean {
  if (error.name === 'NotConnectedError') return true
  return error instanceof StatusError && error.code < 500 && causeOf(error) !== 'StaleRequest'
}
