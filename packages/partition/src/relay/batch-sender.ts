import { serviceUnavailable, StatusError } from '@centaurus/api'
import type { ForwardedAnswer } from '@centaurus/apiserver'
import { expectWithin, type Clock, type Logger, type Timer } from '@centaurus/base'
import type { PartitionLink } from '../membership/partition-link.ts'
import {
  BATCH_BYTES_MAX,
  BATCH_ITEMS_MAX,
  BATCH_PATH,
  parseBatchAnswer,
  type BatchItem,
  type BatchItemAnswer,
} from './batch-wire.ts'

/** Writes that come within this time go together. */
const COLLECT_MS = 2
/** Batches without an answer; more items wait. */
const BATCHES_IN_FLIGHT_MAX = 8
/** Items that wait; beyond, nodes are told to come back. */
const QUEUE_ITEMS_MAX = 20_000
/** A batch without an answer for this long failed. Node agents give up a little later. */
const ANSWER_TIMEOUT_MS = 8_000
const RETRY_AFTER_SECONDS = 1

interface Waiting {
  readonly item: BatchItem
  readonly resolve: (answer: ForwardedAnswer) => void
  readonly reject: (error: Error) => void
}

export interface BatchSenderDeps {
  readonly peer: string
  readonly link: Pick<PartitionLink, 'request'>
  readonly clock: Clock
  readonly logger: Logger
}

/** Sends nodes' writes to one tenant partition, many in a request. */
export class BatchSender {
  readonly #deps: BatchSenderDeps
  #queue: Waiting[] = []
  #inFlight = 0
  #timer: Timer | undefined
  #closed = false
  /** Requests sent so far. */
  #sent = 0

  constructor(deps: BatchSenderDeps) {
    this.#deps = deps
  }

  get batchesSent(): number {
    return this.#sent
  }

  /** The peer's answer. Throws ServiceUnavailable when it can't be reached, or is not heard of in time: it may have been done. */
  send(item: BatchItem): Promise<ForwardedAnswer> {
    if (this.#closed || this.#queue.length >= QUEUE_ITEMS_MAX) return Promise.reject(this.#unavailable())
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject })
      if (this.#queue.length >= BATCH_ITEMS_MAX) this.#flush()
      else this.#timer ??= this.#deps.clock.setTimer(COLLECT_MS, () => this.#flush())
    })
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const { reject } of this.#queue) reject(this.#unavailable())
    this.#queue = []
  }

  #flush(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    while (this.#queue.length > 0 && this.#inFlight < BATCHES_IN_FLIGHT_MAX) void this.#sendBatch(this.#takeBatch())
  }

  #takeBatch(): Waiting[] {
    let bytes = 0
    let count = 0
    for (const { item } of this.#queue) {
      bytes += item.body.length
      if (count === BATCH_ITEMS_MAX || (count > 0 && bytes > BATCH_BYTES_MAX)) break
      count++
    }
    const batch = this.#queue.slice(0, count)
    this.#queue = this.#queue.slice(count)
    return batch
  }

  async #sendBatch(batch: readonly Waiting[]): Promise<void> {
    this.#inFlight++
    try {
      const answers = await this.#ask(batch.map(({ item }) => item))
      for (const [i, { resolve }] of batch.entries()) resolve(toAnswer(answers[i]!))
    } catch (error) {
      const { logger, peer } = this.#deps
      if (!this.#closed)
        logger.warn('Could not hand on what nodes wrote', { partition: peer, items: batch.length, error })
      for (const { reject } of batch) reject(this.#unavailable())
    } finally {
      this.#inFlight--
      this.#flush()
    }
  }

  async #ask(items: readonly BatchItem[]): Promise<readonly BatchItemAnswer[]> {
    const { link, clock } = this.#deps
    const abort = new AbortController()
    const timer = expectWithin(clock, ANSWER_TIMEOUT_MS, () =>
      abort.abort(new Error(`No answer in ${ANSWER_TIMEOUT_MS} ms`)),
    )
    try {
      this.#sent++
      const { status, body } = await link.request({
        method: 'POST',
        path: BATCH_PATH,
        body: { items },
        signal: abort.signal,
      })
      const answer = status === 200 ? parseBatchAnswer(body, items.length) : undefined
      if (answer === undefined)
        throw new Error(`The partition answered ${status}: ${JSON.stringify(body)?.slice(0, 500)}`)
      return answer.items
    } finally {
      timer.cancel()
    }
  }

  /** Says nothing of partitions: a node knows one cluster. */
  #unavailable(): StatusError {
    const { message } = serviceUnavailable('the partition that keeps the object can not be reached; please try again')
    return new StatusError({
      reason: 'ServiceUnavailable',
      message,
      details: { retryAfterSeconds: RETRY_AFTER_SECONDS },
    })
  }
}

function toAnswer({ status, contentType, retryAfter, body }: BatchItemAnswer): ForwardedAnswer {
  return { status, contentType, retryAfter, body: Buffer.from(body, 'base64') }
}
