import type { Duplex } from 'node:stream'
import { dialSpdySocket, type DialTarget } from '../dial.ts'
import { SpdyConnection } from '../spdy/spdy-connection.ts'
import {
  decodeStatus,
  failureStatus,
  PROTOCOL_V1,
  PROTOCOL_V2,
  SPDY_PROTOCOLS,
  type RemoteCommandClient,
  type RemoteCommandStatus,
  type RemoteCommandStreams,
} from './protocol.ts'

/** A status of more bytes is cut. */
const STATUS_BYTES_MAX = 64 * 1024

/**
 * Starts a command on a server (a node's `/exec` or `/attach`) over SPDY, which every kubelet speaks.
 * Throws `DialRefusedError` when it will not.
 */
export async function dialRemoteCommand(
  target: DialTarget,
  wanted: RemoteCommandStreams,
): Promise<RemoteCommandClient> {
  const { socket, head, protocol } = await dialSpdySocket(target, SPDY_PROTOCOLS)
  const connection = new SpdyConnection(socket, { side: 'client', head })
  const open = (streamtype: string): Duplex => connection.createStream({ streamtype }).duplex
  const error = open('error')
  error.end()
  const stdin = wanted.stdin ? open('stdin') : undefined
  const stdout = wanted.stdout ? endOurHalf(open('stdout')) : undefined
  const stderr = wanted.stderr && !wanted.tty ? endOurHalf(open('stderr')) : undefined
  const canResize = protocol !== '' && protocol !== PROTOCOL_V1 && protocol !== PROTOCOL_V2
  const resize = wanted.tty && canResize ? open('resize') : undefined
  return {
    stdin,
    stdout,
    stderr,
    resize: ({ width, height }) => void resize?.write(`${JSON.stringify({ Width: width, Height: height })}\n`),
    status: readStatus(error),
    close: () => connection.close(),
  }
}

function endOurHalf(duplex: Duplex): Duplex {
  duplex.end()
  return duplex
}

async function readStatus(error: Duplex): Promise<RemoteCommandStatus> {
  let text = ''
  try {
    for await (const chunk of error) {
      text += (chunk as Buffer).toString('utf8')
      if (text.length > STATUS_BYTES_MAX) break
    }
  } catch (cause) {
    return failureStatus(`the connection to the node broke: ${(cause as Error).message}`)
  }
  return decodeStatus(text)
}
