import type { Duplex, Writable } from 'node:stream'
import { upgradeKindOf, type UpgradedConnection } from '../connection.ts'
import { acceptSpdy } from '../spdy/accept-spdy.ts'
import type { SpdyStream } from '../spdy/spdy-connection.ts'
import { acceptWebSocket } from '../websocket/accept-websocket.ts'
import { WebSocketChannels } from '../websocket/websocket-channels.ts'
import {
  CHANNEL,
  createSizeReader,
  encodeStatus,
  PROTOCOL_V1,
  PROTOCOL_V2,
  PROTOCOL_V5,
  SPDY_PROTOCOLS,
  WEBSOCKET_PROTOCOLS,
  type RemoteCommandSession,
  type RemoteCommandStatus,
  type RemoteCommandStreams,
  type TerminalSize,
} from './protocol.ts'

/** A SPDY client must have opened its streams by then. Source: remotecommand.DefaultStreamCreationTimeout. */
const STREAM_CREATION_TIMEOUT_MS = 30_000
/** After the end the client gets so long to take what is left. */
const FINISH_TIMEOUT_MS = 10_000

type StreamName = keyof typeof CHANNEL

/**
 * Answers the upgrade of an exec or attach request and hands over its streams, for SPDY (v1 to v4) and WebSocket (v1, v4, v5, also
 * base64) clients alike. Rejects, after telling the client, when they do not agree on a protocol or it opens no streams.
 */
export function serveRemoteCommand(
  upgraded: UpgradedConnection,
  streams: RemoteCommandStreams,
): Promise<RemoteCommandSession> {
  return upgradeKindOf(upgraded.request) === 'websocket'
    ? serveWebSocket(upgraded, streams)
    : serveSpdy(upgraded, streams)
}

interface Transport {
  readonly protocol: string
  readonly streams: ReadonlyMap<StreamName, Duplex>
  readonly closed: Promise<void>
  close(): void
}

async function serveSpdy(upgraded: UpgradedConnection, wanted: RemoteCommandStreams): Promise<RemoteCommandSession> {
  const found = new Map<StreamName, Duplex>()
  const complete = Promise.withResolvers<void>()
  let expected: readonly StreamName[] = []
  const onStream = ({ headers, duplex }: SpdyStream): void => {
    const name = headers.streamtype as StreamName
    if (!(name in CHANNEL) || found.has(name)) throw new Error(`unexpected stream type ${name}`)
    found.set(name, duplex)
    if (expected.every((entry) => found.has(entry))) complete.resolve()
  }
  // streams may come with the same bytes as the request
  const { connection, protocol } = acceptSpdy({ ...upgraded, head: Buffer.alloc(0) }, SPDY_PROTOCOLS, onStream)
  expected = expectedStreams(wanted, protocol)
  if (upgraded.head.length > 0) upgraded.socket.unshift(upgraded.head)
  const timer = setTimeout(
    () => complete.reject(new Error('timed out waiting for client to create streams')),
    STREAM_CREATION_TIMEOUT_MS,
  )
  void connection.closed.then(() => complete.reject(new Error('the client went away before it opened its streams')))
  try {
    await complete.promise
  } catch (error) {
    connection.close()
    throw error
  } finally {
    clearTimeout(timer)
  }
  return createSession(wanted, { protocol, streams: found, closed: connection.closed, close: () => connection.close() })
}

function expectedStreams(wanted: RemoteCommandStreams, protocol: string): StreamName[] {
  const names: StreamName[] = ['error']
  if (wanted.stdin) names.push('stdin')
  if (wanted.stdout) names.push('stdout')
  if (wanted.stderr && !wanted.tty) names.push('stderr')
  const canResize = protocol !== '' && protocol !== PROTOCOL_V1 && protocol !== PROTOCOL_V2
  if (wanted.tty && canResize) names.push('resize')
  return names
}

async function serveWebSocket(
  upgraded: UpgradedConnection,
  wanted: RemoteCommandStreams,
): Promise<RemoteCommandSession> {
  const { socket, protocol } = await acceptWebSocket(upgraded, WEBSOCKET_PROTOCOLS)
  const channels = new WebSocketChannels(socket, {
    isBase64: protocol.includes('base64.'),
    hasCloseSignal: protocol === PROTOCOL_V5,
  })
  const streams = new Map<StreamName, Duplex>()
  for (const name of Object.keys(CHANNEL) as StreamName[]) streams.set(name, channels.open(CHANNEL[name]))
  channels.announce(wanted.stdout ? CHANNEL.stdout : wanted.stderr ? CHANNEL.stderr : CHANNEL.error)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return createSession(wanted, { protocol, streams, closed, close: () => socket.close(1000) })
}

function createSession(wanted: RemoteCommandStreams, transport: Transport): RemoteCommandSession {
  const { streams, protocol, closed } = transport
  const ended = new AbortController()
  void closed.then(() => ended.abort())
  const listeners: ((size: TerminalSize) => void)[] = []
  let size: TerminalSize | undefined
  const readSizes = createSizeReader((next) => {
    size = next
    for (const listener of listeners) listener(next)
  })
  if (wanted.tty) streams.get('resize')?.on('data', readSizes)
  const stdout = wanted.stdout ? streams.get('stdout') : undefined
  const stderr = wanted.stderr && !wanted.tty ? streams.get('stderr') : undefined
  return {
    stdin: wanted.stdin ? streams.get('stdin') : undefined,
    stdout,
    stderr,
    signal: ended.signal,
    onResize(listener) {
      listeners.push(listener)
      if (size !== undefined) listener(size)
    },
    async finish(status: RemoteCommandStatus) {
      if (ended.signal.aborted) return
      const flushed = [stdout, stderr].map((stream) => endWritable(stream))
      await Promise.race([Promise.all(flushed), closed, delay(FINISH_TIMEOUT_MS)])
      const text = encodeStatus(status, protocol)
      const error = streams.get('error')
      if (text !== '') error?.write(text)
      await Promise.race([endWritable(error), closed, delay(FINISH_TIMEOUT_MS)])
      transport.close()
    },
  }
}

function endWritable(stream: Writable | undefined): Promise<void> {
  if (stream === undefined || stream.writableFinished || stream.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    stream.once('close', () => resolve())
    stream.end(() => resolve())
  })
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
