import { requestEntityTooLarge } from '@centaurus/api'
import type { Exchange, ResponseHeaders } from './exchange.ts'

export interface MemoryRequest {
  readonly method: string
  /** With query. */
  readonly path: string
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  readonly signal?: AbortSignal | undefined
}

export interface MemoryAnswer {
  readonly code: number
  readonly headers: ResponseHeaders
  readonly body: Uint8Array
}

/** A request that comes from within the process, and its answer. */
export class MemoryExchange implements Exchange {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  readonly remoteAddress = ''
  readonly clientCertificate = undefined
  readonly signal: AbortSignal
  readonly queuedBytes = 0
  readonly upgrade = undefined
  onAnswer: ((code: number) => void) | undefined
  /** Resolves when the answer is complete. */
  readonly answer: Promise<MemoryAnswer>
  readonly #body: Uint8Array
  readonly #chunks: Uint8Array[] = []
  readonly #listeners: (() => void)[] = []
  #head: { readonly code: number; readonly headers: ResponseHeaders } | undefined
  #resolve: (answer: MemoryAnswer) => void = () => {}
  #closed = false

  constructor({ method, path, headers, body, signal = new AbortController().signal }: MemoryRequest) {
    const question = path.indexOf('?')
    this.method = method
    this.path = question < 0 ? path : path.slice(0, question)
    this.query = new URLSearchParams(question < 0 ? '' : path.slice(question + 1))
    this.headers = headers
    this.signal = signal
    this.#body = body
    this.answer = new Promise((resolve) => (this.#resolve = resolve))
  }

  get closed(): boolean {
    return this.#closed
  }

  async readBody(limitBytes: number): Promise<Uint8Array> {
    if (this.#body.byteLength > limitBytes) throw requestEntityTooLarge(`the body has more than ${limitBytes} bytes`)
    return this.#body
  }

  respond(code: number, headers: ResponseHeaders, body: Uint8Array | string): void {
    this.startStream(code, headers)
    this.write(typeof body === 'string' ? Buffer.from(body) : body)
    this.end()
  }

  startStream(code: number, headers: ResponseHeaders): void {
    this.#head = { code, headers }
    this.onAnswer?.(code)
  }

  write(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
  }

  drained(): Promise<void> {
    return Promise.resolve()
  }

  onClose(listener: () => void): void {
    this.#listeners.push(listener)
  }

  end(): void {
    if (this.#closed) return
    this.#closed = true
    const { code, headers } = this.#head ?? { code: 500, headers: {} }
    this.#resolve({ code, headers, body: Buffer.concat(this.#chunks) })
    for (const listener of this.#listeners) listener()
  }

  destroy(): void {
    this.end()
  }

  addHeader(): void {}
}
