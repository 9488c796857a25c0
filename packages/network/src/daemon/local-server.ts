import { chmodSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { DropLog } from './drop-log.ts'
import type { NetworkStatus } from './status.ts'

/** What the daemon tells on its socket. */
export interface LocalServerSources {
  status(): NetworkStatus | Promise<NetworkStatus>
  /** Prometheus' text. */
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>
  readonly drops: DropLog
}

/** Bytes that a follower may be behind before it is cut off. */
const BEHIND_BYTES_MAX = 1 << 20

/**
 * Serves `GET /status`, `/metrics` and `/drops` (lines of JSON; `?follow=1` goes on) on a Unix socket that only its owner may use. Replaces a socket that was
 * left there. Resolves when it listens.
 */
export async function startLocalServer(path: string, sources: LocalServerSources): Promise<{ close(): Promise<void> }> {
  rmSync(path, { force: true })
  const server = createServer((request, response) => {
    answer(sources, request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' })
      response.end(`${error instanceof Error ? error.message : String(error)}\n`)
    })
  })
  await listen(server, path)
  chmodSync(path, 0o600)
  return {
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new Error(`Cannot listen on ${path}`, { cause })))
    server.listen(path, resolve)
  })
}

async function answer(sources: LocalServerSources, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost')
  switch (url.pathname) {
    case '/status': {
      const status = JSON.stringify(await sources.status())
      response.writeHead(200, { 'content-type': 'application/json' }).end(status)
      return
    }
    case '/metrics': {
      const { contentType, text } = await sources.metrics()
      response.writeHead(200, { 'content-type': contentType }).end(text)
      return
    }
    case '/drops':
      streamDrops(sources.drops, { response, follow: url.searchParams.get('follow') === '1' })
      return
    default:
      response.writeHead(404, { 'content-type': 'text/plain' }).end('There are /status, /metrics and /drops\n')
  }
}

interface DropStream {
  readonly response: ServerResponse
  readonly follow: boolean
}

function streamDrops(drops: DropLog, { response, follow }: DropStream): void {
  response.writeHead(200, { 'content-type': 'application/jsonl' })
  const write = (drop: unknown): void => void response.write(`${JSON.stringify(drop)}\n`)
  drops.recent.forEach(write)
  if (!follow) {
    response.end()
    return
  }
  response.flushHeaders()
  const stop = drops.follow((drop) => {
    if (response.writableLength > BEHIND_BYTES_MAX) response.destroy()
    else write(drop)
  })
  response.on('close', stop)
}
