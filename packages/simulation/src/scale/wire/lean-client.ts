import type { Histograms } from '../measure/histogram.ts'
import { encodeHeaders, writeField } from './frames.ts'
import { LeanConnection, type LeanCounters, type LeanTarget } from './lean-connection.ts'

/** Between tries to connect again. */
const RECONNECT_MS = 500
/** An answer that is longer is not read to its end. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface LeanCall {
  readonly method: Method
  /** With query. */
  readonly path: string
  readonly body?: string | undefined
  readonly contentType?: string | undefined
  /** Resource for the statistics, such as `pods/status`. */
  readonly resource: string
  /** Node for which the call is made, by impersonation. */
  readonly node?: string | undefined
  /** Which of the connections it takes: calls of one node take the same. */
  readonly slot: number
  /** Whether the caller looks at the answer; that of a refusal is always kept. */
  readonly keepsBody?: boolean | undefined
}

export interface Answer {
  /** HTTP status; 0: the connection was lost, or could not be had. */
  readonly status: number
  readonly body: Buffer
}

/** Hears of a watch, line by line. */
export interface LineListener {
  /** One JSON document. The bytes are valid during the call alone. */
  onLine(line: Buffer): void
  /** Called once, last: the status (0: connection lost), and what the server said when it refused. */
  onEnd(status: number, text: string): void
}

export interface LeanClientOptions {
  readonly target: LeanTarget
  readonly connections: number
  readonly userAgent: string
  /** Gets the time of each call that was answered, as `PUT leases`. */
  readonly latencies: Histograms
}

const NO_BYTES = Buffer.alloc(0)
/** Where header blocks are put together: longer ones than this do not occur. */
const SCRATCH = Buffer.alloc(32 * 1024)

/** Calls and watches over a fixed number of connections, which are opened again when they are lost. */
export class LeanClient {
  readonly #options: LeanClientOptions
  readonly #connections: (LeanConnection | undefined)[]
  readonly #closed = new AbortController()
  readonly #fixed: Buffer
  readonly #lost: LeanCounters = { requests: 0, bytesSent: 0, bytesReceived: 0 }

  constructor(options: LeanClientOptions) {
    this.#options = options
    this.#fixed = encodeHeaders([
      [':scheme', 'https'],
      [':authority', new URL(options.target.url).host],
      ['accept', 'application/json'],
      ['user-agent', options.userAgent],
    ])
    this.#connections = Array.from({ length: options.connections }, () => undefined)
  }

  /** Resolves when every connection is open. Rejects when one can't be. */
  async open(): Promise<void> {
    for (let slot = 0; slot < this.#connections.length; slot++) await this.#open(slot)
  }

  /** What went over the wire. */
  get counters(): LeanCounters {
    const sum = { ...this.#lost }
    for (const connection of this.#connections) if (connection !== undefined) addCounters(sum, connection.counters)
    return sum
  }

  /** Sends a call and waits for its whole answer. Never rejects: status 0 tells that there was none. */
  call(call: LeanCall): Promise<Answer> {
    const connection = this.#connections[call.slot % this.#connections.length]
    if (connection === undefined) return Promise.resolve({ status: 0, body: NO_BYTES })
    const began = performance.now()
    const histogram = this.#options.latencies.get(`${call.method} ${call.resource}`)
    return new Promise((resolve) => {
      let status = 0
      let body: Buffer = NO_BYTES
      let more: Buffer[] | undefined
      let bytes = 0
      connection.request(this.#encode(call), {
        onStatus: (value) => (status = value),
        onData(chunk) {
          if (status < 300 && call.keepsBody !== true) return
          bytes += chunk.byteLength
          if (bytes > ANSWER_BYTES_MAX) return
          if (body === NO_BYTES) body = Buffer.from(chunk)
          else (more ??= []).push(Buffer.from(chunk))
        },
        onEnd(error) {
          if (error !== undefined && status < 300) status = 0
          if (status !== 0) histogram.observe(performance.now() - began)
          resolve({ status, body: more === undefined ? body : Buffer.concat([body, ...more]) })
        },
      })
    })
  }

  /** Opens a watch; returns the function that ends it. */
  watch(call: LeanCall, listener: LineListener): () => void {
    const connection = this.#connections[call.slot % this.#connections.length]
    if (connection === undefined) {
      setImmediate(() => listener.onEnd(0, 'not connected'))
      return () => {}
    }
    let status = 0
    let rest: Buffer | undefined
    const stream = connection.request(this.#encode(call), {
      onStatus: (value) => (status = value),
      onData(chunk) {
        if (status !== 200) {
          rest = rest === undefined ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
          return
        }
        const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk])
        let from = 0
        for (let end = bytes.indexOf(10, from); end >= 0; end = bytes.indexOf(10, from)) {
          if (end > from) listener.onLine(bytes.subarray(from, end))
          from = end + 1
        }
        rest = from === bytes.byteLength ? undefined : Buffer.from(bytes.subarray(from))
      },
      onEnd(error) {
        listener.onEnd(error === undefined ? status : 0, error?.message ?? rest?.toString('utf8') ?? '')
      },
    })
    return () => connection.cancel(stream)
  }

  /** Closes the connections for good; what is open ends. */
  close(): void {
    this.#closed.abort()
    for (const connection of this.#connections) connection?.close()
  }

  async #open(slot: number): Promise<void> {
    this.#connections[slot] = await LeanConnection.open(this.#options.target, () => this.#onLost(slot))
  }

  #onLost(slot: number): void {
    const lost = this.#connections[slot]
    if (lost !== undefined) addCounters(this.#lost, lost.counters)
    this.#connections[slot] = undefined
    if (!this.#closed.signal.aborted) setTimeout(() => this.#reopen(slot), RECONNECT_MS)
  }

  #reopen(slot: number): void {
    if (this.#closed.signal.aborted) return
    this.#open(slot).catch(() => setTimeout(() => this.#reopen(slot), RECONNECT_MS))
  }

  #encode({ method, path, body, contentType, node }: LeanCall): { headers: Buffer; body: Buffer | undefined } {
    const bytes = body === undefined ? undefined : Buffer.from(body)
    let at = writeField(SCRATCH, 0, [':method', method])
    at = writeField(SCRATCH, at, [':path', path])
    at += this.#fixed.copy(SCRATCH, at)
    if (bytes !== undefined) {
      at = writeField(SCRATCH, at, ['content-type', contentType ?? 'application/json'])
      at = writeField(SCRATCH, at, ['content-length', String(bytes.byteLength)])
    }
    if (node !== undefined) {
      at = writeField(SCRATCH, at, ['impersonate-user', `system:node:${node}`])
      at = writeField(SCRATCH, at, ['impersonate-group', 'system:nodes'])
    }
    return { headers: Buffer.from(SCRATCH.subarray(0, at)), body: bytes }
  }
}

function addCounters(sum: LeanCounters, more: LeanCounters): void {
  sum.requests += more.requests
  sum.bytesSent += more.bytesSent
  sum.bytesReceived += more.bytesReceived
}
