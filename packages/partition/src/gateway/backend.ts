import { constants, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import type { Readable } from 'node:stream'
import { badRequest } from '@centaurus/api'
import { Endpoint, type Credentials, type EndpointDeps, type Link } from './endpoint.ts'
import { READ_ATTEMPTS_MAX } from './limits.ts'
import { LostAnswerError, UnreachableError } from './refusals.ts'

export interface Outgoing {
  readonly method: string
  /** With its query. */
  readonly path: string
  /** Without pseudo headers and what belongs to a connection. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly credentials: Credentials
  /** A stream is sent once; bytes can be sent again. */
  readonly body?: Readable | Uint8Array | undefined
  /** Told of each stream that is opened, so that it can be cancelled. */
  readonly onStream?: ((stream: ClientHttp2Stream) => void) | undefined
}

export interface Incoming {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The body, not flowing yet. Whoever reads it must see to its `error` and `close`. */
  readonly stream: ClientHttp2Stream
}

/** The API servers of one partition, any of which will do. */
export class Backend {
  readonly name: string
  readonly #deps: EndpointDeps
  #endpoints: readonly Endpoint[] = []
  #next = 0

  constructor(name: string, deps: EndpointDeps) {
    this.name = name
    this.#deps = deps
  }

  /** Keeps the connections to those that stay; the others get no new requests. */
  setUrls(urls: readonly string[]): void {
    const kept = new Map(this.#endpoints.map((endpoint) => [endpoint.url, endpoint]))
    this.#endpoints = [...new Set(urls)].map((url) => {
      const found = kept.get(url)
      kept.delete(url)
      return found ?? new Endpoint(url, this.#deps)
    })
    for (const endpoint of kept.values()) endpoint.retire()
  }

  /** Its API servers, in turn, those that failed lately last. */
  urlsInTurn(): readonly string[] {
    return this.#inTurn().map((endpoint) => endpoint.url)
  }

  /**
   * Sends a request and resolves when the headers of the answer are there. What changes nothing is sent to another API server when one
   * falls silent. Throws {@link UnreachableError} when nothing was sent, {@link LostAnswerError} when that is not known.
   */
  async send(outgoing: Outgoing): Promise<Incoming> {
    const isRead = outgoing.method === 'GET' || outgoing.method === 'HEAD'
    for (let attempt = 1; ; attempt++) {
      const link = this.#ready(outgoing.credentials) ?? (await this.#connect(outgoing.credentials))
      try {
        return await sendOn(link, outgoing)
      } catch (error) {
        if (!(error instanceof StreamFailedError)) throw error
        const wasSeen = !error.isUnseen && !isRead
        if (wasSeen) throw new LostAnswerError(`Partition ${this.name} fell silent`, { cause: error })
        if (attempt >= READ_ATTEMPTS_MAX || error.isBodySpent) {
          throw new UnreachableError(`Partition ${this.name} fell silent`, { cause: error })
        }
      }
    }
  }

  close(): void {
    for (const endpoint of this.#endpoints) endpoint.close()
  }

  #ready(credentials: Credentials): Link | undefined {
    const count = this.#endpoints.length
    for (let i = 0; i < count; i++) {
      const endpoint = this.#endpoints[(this.#next + i) % count]!
      if (endpoint.isDown) continue
      const link = endpoint.ready(credentials)
      if (link === undefined) return undefined // connect to it, so that all of them take part
      this.#next = (this.#next + i + 1) % count
      return link
    }
    return undefined
  }

  async #connect(credentials: Credentials): Promise<Link> {
    let cause: unknown
    for (const endpoint of this.#inTurn()) {
      if (endpoint.isDown) continue
      try {
        return endpoint.ready(credentials) ?? (await endpoint.connect(credentials))
      } catch (error) {
        cause = error
      }
    }
    throw new UnreachableError(`Partition ${this.name} can't be reached`, { cause })
  }

  #inTurn(): readonly Endpoint[] {
    const from = this.#next % Math.max(1, this.#endpoints.length)
    const turned = [...this.#endpoints.slice(from), ...this.#endpoints.slice(0, from)]
    this.#next = from + 1
    return turned.toSorted((a, b) => Number(a.isDown) - Number(b.isDown))
  }
}

class StreamFailedError extends Error {
  override readonly name = 'StreamFailedError'
  /** The API server has said, or can't but have, not looked at the request. */
  readonly isUnseen: boolean
  readonly isBodySpent: boolean

  constructor(cause: unknown, { isUnseen, isBodySpent }: { isUnseen: boolean; isBodySpent: boolean }) {
    super('No answer', { cause })
    this.isUnseen = isUnseen
    this.isBodySpent = isBodySpent
  }
}

function sendOn(link: Link, outgoing: Outgoing): Promise<Incoming> {
  const { body } = outgoing
  let stream: ClientHttp2Stream
  try {
    const headers = {
      ...outgoing.headers,
      ':method': outgoing.method,
      ':path': outgoing.path,
      ':authority': link.endpoint.authority,
    }
    stream = link.session.request(headers as Record<string, string>, { endStream: body === undefined })
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    const isSessions = /^ERR_HTTP2_(INVALID_SESSION|GOAWAY_SESSION|OUT_OF_STREAMS|STREAM_CANCEL)$/.test(code)
    if (!isSessions) return Promise.reject(badRequest(`the request can't be passed on: ${(error as Error).message}`))
    return Promise.reject(new StreamFailedError(error, { isUnseen: true, isBodySpent: false }))
  }
  link.streams++
  outgoing.onStream?.(stream)
  return new Promise((resolve, reject) => {
    let failure: unknown
    let isAnswered = false
    stream.once('close', () => {
      link.streams--
      if (link.streams === 0 && link.session.closed) link.session.close()
      if (isAnswered) return
      const isUnseen = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || stream.id === undefined
      const isBodySpent = body !== undefined && !(body instanceof Uint8Array)
      reject(new StreamFailedError(failure ?? new Error('The stream was closed'), { isUnseen, isBodySpent }))
    })
    stream.on('error', (error) => (failure ??= error)) // `close` follows
    stream.once('response', (headers) => {
      isAnswered = true
      resolve({ status: headers[':status'] ?? 502, headers, stream })
    })
    if (body instanceof Uint8Array) stream.end(body)
    else if (body !== undefined) pump(body, stream)
  })
}

/** Like pipe, but a body that breaks off is broken off there as well, and not ended as if it were whole. */
function pump(from: Readable, to: ClientHttp2Stream): void {
  const resume = (): void => void from.resume()
  from.on('data', (chunk: Buffer) => {
    if (to.destroyed || to.write(chunk)) return
    from.pause()
    to.once('drain', resume)
  })
  to.once('close', resume) // nobody waits for the rest
  from.once('end', () => {
    const isCut = from.destroyed || ('aborted' in from && from.aborted === true)
    if (isCut) to.destroy(new Error('The request broke off'))
    else if (!to.destroyed) to.end()
  })
}
