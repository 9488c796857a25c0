import { constants, type ClientHttp2Stream } from 'node:http2'
import type { Readable, Writable } from 'node:stream'
import type { Backend, Incoming, Outgoing } from './backend.ts'
import type { Caller } from './caller.ts'
import type { FrontRequest } from './front-request.ts'
import { passAnswerHeaders, passRequestHeaders } from './pass-headers.ts'
import { unreachable } from './refusals.ts'

/** An API server that knows a tenant to have moved away: nothing was done, and the registry will say where to ask. */
export const MISDIRECTED = 421

/** Sends the client's request to the partition and the answer back, as they are. Throws what {@link Backend.send} throws. */
export async function pass(request: FrontRequest, caller: Caller, backend: Backend): Promise<void> {
  relayAnswer(request, await sendOnBehalf(request, caller, backend))
}

/** Sends the client's request to the partition. The client's end cancels it. */
export function sendOnBehalf(request: FrontRequest, caller: Caller, backend: Backend): Promise<Incoming> {
  return sendFor(request, backend, {
    method: request.method,
    path: request.target,
    headers: passRequestHeaders(request, caller),
    credentials: credentialsOf(caller),
    body: request.body,
  })
}

/** With what a caller's requests are sent. */
export function credentialsOf({ identity }: Caller): Outgoing['credentials'] {
  return identity === undefined ? 'none' : 'gateway'
}

/** Sends something that the client's request needs, and cancels it when the client goes away. */
export function sendFor(request: FrontRequest, backend: Backend, outgoing: Outgoing): Promise<Incoming> {
  let open: ClientHttp2Stream | undefined
  request.onClose(() => {
    if (open === undefined || open.destroyed || open.readableEnded) return
    // `close` would end a body in order first, as if it were whole
    if (open.writableEnded) open.close(constants.NGHTTP2_CANCEL)
    else open.destroy(new Error('The client went away'))
  })
  return backend.send({ ...outgoing, onStream: (stream) => void (open = stream) })
}

/** Streams an answer to the client, no faster than the client reads it. One that breaks off is broken off there as well. */
export function relayAnswer(request: FrontRequest, { status, headers, stream }: Incoming): void {
  if (status === MISDIRECTED) {
    stream.close(constants.NGHTTP2_CANCEL)
    throw unreachable([])
  }
  request.begin(status, passAnswerHeaders(headers))
  const { out } = request
  if (request.method === 'HEAD') {
    stream.resume()
    out.end()
  } else flow(stream, out, () => request.abort())
  request.body?.resume() // an answer may come before the end of the body, and nobody needs the rest
}

/** Like pipe, but tells of an end that came too early. */
function flow(from: ClientHttp2Stream, to: Writable, onBroken: () => void): void {
  let isWhole = false
  const resume = (): void => void from.resume()
  from.on('data', (chunk: Buffer) => {
    if (to.destroyed || to.write(chunk)) return
    from.pause()
    to.once('drain', resume)
  })
  from.once('end', () => {
    isWhole = from.rstCode === constants.NGHTTP2_NO_ERROR
    if (isWhole && !to.destroyed) to.end()
  })
  from.once('close', () => {
    if (!isWhole) onBroken()
  })
  if (from.destroyed) onBroken()
}

/** Reads a whole body. Undefined when it is longer than `bytesMax`; rejects when it breaks off. */
export function readAll(from: Readable, bytesMax: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    if (from.destroyed) return reject(new Error('The body broke off'))
    const chunks: Buffer[] = []
    let bytes = 0
    from.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= bytesMax) chunks.push(chunk)
      else {
        chunks.length = 0
        resolve(undefined)
      }
    })
    from.once('end', () => {
      // HTTP/2 ends a stream that was reset as well
      if ('rstCode' in from && from.rstCode !== constants.NGHTTP2_NO_ERROR) return
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
    })
    from.once('error', reject)
    from.once('close', () => reject(new Error('The body broke off')))
  })
}
