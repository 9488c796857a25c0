import { createServer, type Server } from 'node:https'
import { text } from 'node:stream/consumers'
import { exitStatus, servePortForward, serveRemoteCommand, type RemoteCommandSession } from '@centaurus/streams'
import type { CertificateAndKey } from '../certificates/key-pair.ts'

export interface TestNode {
  readonly port: number
  /** Paths that were asked for, with their queries. */
  readonly seen: string[]
  /** What it tells of its use; absent: it does not answer that. */
  summary?: object
  close(): Promise<void>
}

/** A node agent's server that shouts back what a command reads, echoes forwarded ports, and writes a log without end when asked to follow. */
export async function startTestNode(authority: CertificateAndKey, serving: CertificateAndKey): Promise<TestNode> {
  const seen: string[] = []
  const server: Server = createServer({
    key: serving.keyPem,
    cert: serving.certificatePem,
    ca: authority.certificatePem,
    requestCert: true,
    rejectUnauthorized: true,
  })
  server.on('request', (request, response) => {
    const url = new URL(request.url ?? '/', 'https://node')
    seen.push(request.url ?? '')
    if (url.pathname === '/stats/summary' && node.summary !== undefined) {
      response.end(JSON.stringify(node.summary))
      return
    }
    if (url.pathname.includes('/waiting')) {
      response.writeHead(400).end('container "waiting" in pod "p" is waiting to start: ContainerCreating')
      return
    }
    response.write(`${request.method} ${url.pathname}\n`)
    if (url.searchParams.get('follow') !== 'true') return void response.end()
    const timer = setInterval(() => response.write('line\n'), 5)
    response.on('close', () => clearInterval(timer))
    response.on('close', () => seen.push('log closed'))
  })
  server.on('upgrade', (request, socket, head) => {
    const url = new URL(request.url ?? '/', 'https://node')
    seen.push(request.url ?? '')
    const upgraded = { request, socket, head }
    if (url.pathname.startsWith('/portForward')) {
      void servePortForward(upgraded, [], ({ port, data, error }) => {
        error.end()
        data.write(`${port}:`)
        data.pipe(data)
      })
      return
    }
    if (url.pathname.includes('/waiting')) {
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 21\r\n\r\ncontainer not running')
      return
    }
    const flag = (name: string): boolean => url.searchParams.get(name) === '1'
    const streams = { stdin: flag('input'), stdout: flag('output'), stderr: flag('error'), tty: flag('tty') }
    const run = async (session: RemoteCommandSession): Promise<void> => {
      const input =
        session.stdin === undefined ? url.searchParams.getAll('command').join(' ') : await text(session.stdin)
      session.stdout?.write(input.toUpperCase())
      await session.finish(exitStatus(input === 'fail' ? 7 : 0))
    }
    void serveRemoteCommand(upgraded, streams).then(run, () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const node: TestNode = {
    port: (server.address() as { port: number }).port,
    seen,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return node
}
