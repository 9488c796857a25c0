import { chmodSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { GpuStatus } from './gpu-status.ts'

export interface LocalSources {
  status(): Promise<GpuStatus>
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>
}

/** Serves `GET /status` and `/metrics` on a Unix socket that only its owner may use. Replaces a socket that was left there. Resolves when it listens. */
export async function startLocalServer(path: string, sources: LocalSources): Promise<{ close(): Promise<void> }> {
  rmSync(path, { force: true })
  const server = createServer((request, response) => {
    answer(request.url, sources).then(
      ({ code, contentType, text }) => response.writeHead(code, { 'content-type': contentType }).end(text),
      (error: unknown) => response.writeHead(500, { 'content-type': 'text/plain' }).end(`${String(error)}\n`),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new Error(`Cannot listen on ${path}`, { cause })))
    server.listen(path, resolve)
  })
  chmodSync(path, 0o600)
  return {
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

interface Answer {
  readonly code: number
  readonly contentType: string
  readonly text: string
}

async function answer(path: string | undefined, sources: LocalSources): Promise<Answer> {
  switch (path) {
    case '/status':
      return { code: 200, contentType: 'application/json', text: JSON.stringify(await sources.status()) }
    case '/metrics':
      return { code: 200, ...(await sources.metrics()) }
    default:
      return { code: 404, contentType: 'text/plain', text: 'There are /status and /metrics\n' }
  }
}
