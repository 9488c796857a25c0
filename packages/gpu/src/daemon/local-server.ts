import { chmodSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { GpuStatus } from './gpu-status.ts'

/** Serves `GET /status` on a Unix socket that only its owner may use. Replaces a socket that was left there. Resolves when it listens. */
export async function startLocalServer(
  path: string,
  readStatus: () => Promise<GpuStatus>,
): Promise<{ close(): Promise<void> }> {
  rmSync(path, { force: true })
  const server = createServer((request, response) => {
    if (request.url !== '/status') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('There is /status\n')
      return
    }
    readStatus().then(
      (status) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(status)),
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
