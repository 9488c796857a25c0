import { chmod, mkdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import type { Logger } from '@centaurus/base'
import { CniError, formatCniError } from './cni-error.ts'
import { answerVersionOf, CNI_COMMANDS, parseCniCall, type CniCall, type CniCommand } from './cni-request.ts'
import { formatCniResult } from './cni-result.ts'
import type { PodAttachments } from './pod-attachments.ts'

/** Configurations are about a kilobyte; that of GC names every attachment of the host. */
const BODY_BYTES_MAX = 1024 * 1024
/** What the kernel keeps for us while we are busy; the runtime makes that many pods at once at most. */
const BACKLOG = 512

export interface CniServerOptions {
  readonly socket: string
  readonly attachments: PodAttachments
  /** Why no pod can be attached now; undefined: they can. */
  readonly whyNotReady: () => string | undefined
  /** Hears of each call as it begins; what it returns is told how it ended. */
  readonly onCall?: ((command: CniCommand) => (result: 'ok' | 'error') => void) | undefined
  readonly logger: Logger
}

export interface CniServer {
  /** Takes no more calls, and waits for those that run. */
  close(): Promise<void>
}

/** Serves the shim over a socket that only root may use. Rejects when another daemon serves it. */
export async function startCniServer(options: CniServerOptions): Promise<CniServer> {
  const { socket } = options
  await mkdir(dirname(socket), { recursive: true })
  if (await isServed(socket))
    throw new Error(`Cannot serve "${socket}": another network daemon of this host does; stop it first`)
  await rm(socket, { force: true })
  const running = new Set<Promise<void>>()
  const server = createServer((request, response) => {
    const call = handle(request, response, options).finally(() => running.delete(call))
    running.add(call)
  })
  server.requestTimeout = 0 // an ADD waits for its pod; who asked ends it by going away
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path: socket, backlog: BACKLOG }, resolve)
  })
  await chmod(socket, 0o600)
  await options.attachments.workOffDeletions() // of plugins that found nobody until now
  return {
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      })
      await Promise.all(running) // of callers that went away, too
    },
  }
}

async function handle(request: IncomingMessage, response: ServerResponse, options: CniServerOptions): Promise<void> {
  const { logger } = options
  const abort = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) abort.abort(new Error('The container runtime gave up waiting'))
  })
  let body = ''
  let ended: ((result: 'ok' | 'error') => void) | undefined
  try {
    const command = parseCommand(request)
    ended = options.onCall?.(command)
    body = await readBody(request)
    const environment = {
      containerId: headerOf(request, 'cni-containerid'),
      netns: headerOf(request, 'cni-netns'),
      ifname: headerOf(request, 'cni-ifname'),
      args: headerOf(request, 'cni-args'),
    }
    const call = parseCniCall(command, environment, body)
    const result = await answer(call, options, abort.signal)
    send(response, 200, result)
    ended?.('ok')
  } catch (error) {
    ended?.('error')
    const path = request.url
    if (error instanceof CniError) logger.info('Refused a CNI call', { path, code: error.code, reason: error.message })
    else logger.warn('A CNI call failed', { path, error })
    if (!response.destroyed) send(response, 500, formatCniError(error, answerVersionOf(body)))
  }
}

/** By its length the plugin knows that the answer is whole. */
function send(response: ServerResponse, status: number, text: string): void {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  response.writeHead(status, headers).end(text)
}

/** What the runtime reads from the plugin's standard output. */
async function answer(
  call: CniCall,
  { attachments, whyNotReady }: CniServerOptions,
  signal: AbortSignal,
): Promise<string> {
  switch (call.command) {
    case 'ADD':
      return formatCniResult(await attachments.add(call, signal), call.config)
    case 'DEL':
      await attachments.delete(call)
      return ''
    case 'CHECK':
      await attachments.check(call)
      return ''
    case 'GC':
      await attachments.collect(call)
      return ''
    case 'STATUS': {
      const why = whyNotReady()
      if (why !== undefined) throw new CniError('unavailable', why)
      return ''
    }
  }
}

function parseCommand({ method, url }: IncomingMessage): CniCommand {
  const command = CNI_COMMANDS.find((known) => url === `/cni/${known}`)
  if (method === 'POST' && command !== undefined) return command
  throw new CniError('invalidEnvironment', `CNI_COMMAND must be one of ${CNI_COMMANDS.join(', ')}, VERSION`)
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > BODY_BYTES_MAX)
      throw new CniError('undecodable', `The network configuration has more than ${BODY_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Whether somebody answers there; a socket that a killed daemon left has nobody. */
function isServed(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket)
    const end = (served: boolean) => (): void => {
      connection.destroy()
      resolve(served)
    }
    connection.once('connect', end(true)).once('error', end(false))
  })
}
