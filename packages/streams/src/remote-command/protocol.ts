import type { Readable, Writable } from 'node:stream'

/** Which streams a command has. Source: the query of `pods/exec` and `pods/attach`. */
export interface RemoteCommandStreams {
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

/** Columns and rows. */
export interface TerminalSize {
  readonly width: number
  readonly height: number
}

/** How a command ended: the fields of a `Status` object that clients look at. */
export interface RemoteCommandStatus {
  readonly status: 'Success' | 'Failure'
  readonly message?: string | undefined
  readonly reason?: string | undefined
  readonly code?: number | undefined
  readonly details?:
    | { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] }
    | undefined
}

/** One client that runs or watches a command, whatever protocol it speaks. Streams that it did not ask for are undefined. */
export interface RemoteCommandSession {
  readonly stdin: Readable | undefined
  readonly stdout: Writable | undefined
  readonly stderr: Writable | undefined
  /** Aborts when the client went away or after `finish`. */
  readonly signal: AbortSignal
  /** Calls `listener` with the last known size, if any, and with each later one. Only with a terminal. */
  onResize(listener: (size: TerminalSize) => void): void
  /** Ends the output, tells the client how it went, and ends the connection. */
  finish(status: RemoteCommandStatus): Promise<void>
}

/** The other end: what the API server holds towards a node. */
export interface RemoteCommandClient {
  readonly stdin: Writable | undefined
  readonly stdout: Readable | undefined
  readonly stderr: Readable | undefined
  resize(size: TerminalSize): void
  /** Resolves when the server has said how the command ended; never rejects. */
  readonly status: Promise<RemoteCommandStatus>
  close(): void
}

/** Names of the stream protocols. Source: apimachinery pkg/util/remotecommand/constants.go (v0.37). */
export const PROTOCOL_V1 = 'channel.k8s.io'
export const PROTOCOL_V2 = 'v2.channel.k8s.io'
export const PROTOCOL_V3 = 'v3.channel.k8s.io'
export const PROTOCOL_V4 = 'v4.channel.k8s.io'
export const PROTOCOL_V5 = 'v5.channel.k8s.io'
export const SPDY_PROTOCOLS = [PROTOCOL_V4, PROTOCOL_V3, PROTOCOL_V2, PROTOCOL_V1] as const
/** `''`: a client that names no protocol speaks the first one. */
export const WEBSOCKET_PROTOCOLS = [
  PROTOCOL_V5,
  PROTOCOL_V4,
  'v4.base64.channel.k8s.io',
  PROTOCOL_V1,
  'base64.channel.k8s.io',
  '',
] as const

export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const

export const SUCCESS: RemoteCommandStatus = { status: 'Success' }

/** The status of a command that ended by itself. Source: kubelet pkg/server/remotecommand/exec.go. */
export function exitStatus(exitCode: number): RemoteCommandStatus {
  if (exitCode === 0) return SUCCESS
  return {
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  }
}

/** The status of a command that could not be run. */
export function failureStatus(message: string): RemoteCommandStatus {
  const text = `Internal error occurred: ${message}`
  return { status: 'Failure', reason: 'InternalError', message: text, code: 500, details: { causes: [{ message }] } }
}

/** What goes over the error stream: a Status object since version 4, before that only the words of a failure. */
export function encodeStatus(status: RemoteCommandStatus, protocol: string): string {
  if (protocol.startsWith('v4.') || protocol.startsWith('v5.')) return JSON.stringify({ metadata: {}, ...status })
  return status.status === 'Success' ? '' : (status.message ?? 'command failed')
}

export function decodeStatus(text: string): RemoteCommandStatus {
  if (text === '') return SUCCESS
  try {
    const parsed = JSON.parse(text) as RemoteCommandStatus
    if (parsed.status === 'Success' || parsed.status === 'Failure') return parsed
  } catch {
    // words, from an older server
  }
  return { status: 'Failure', message: text }
}

/** Reads sizes from a resize stream: JSON objects one behind the other. Bounded by the size of one. */
export function createSizeReader(onSize: (size: TerminalSize) => void): (chunk: Buffer) => void {
  let pending = ''
  return (chunk) => {
    pending += chunk.toString('utf8')
    for (let end = pending.indexOf('}'); end >= 0; end = pending.indexOf('}')) {
      const text = pending.slice(0, end + 1)
      pending = pending.slice(end + 1)
      const size = parseSize(text)
      if (size !== undefined) onSize(size)
    }
    if (pending.length > SIZE_TEXT_MAX) pending = ''
  }
}

const SIZE_TEXT_MAX = 256

function parseSize(text: string): TerminalSize | undefined {
  try {
    const { Width: width, Height: height } = JSON.parse(text) as { Width?: unknown; Height?: unknown }
    return typeof width === 'number' && typeof height === 'number' ? { width, height } : undefined
  } catch {
    return undefined
  }
}
