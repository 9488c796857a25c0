import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { badRequest } from '@centaurus/api'
import {
  dialRemoteCommand,
  serveRemoteCommand,
  upgradeKindOf,
  type RemoteCommandClient,
  type RemoteCommandSession,
  type RemoteCommandStreams,
} from '@centaurus/streams'
import type { ConnectorContext } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import { locatePodNode, toDialStatus, type Backend, type ProxyDeps } from './backend.ts'
import { passUpgrade } from './pass-upgrade.ts'
import { chooseContainer, findPod, nodePath } from './pod-location.ts'

/**
 * `pods/exec` and `pods/attach`: joins the client with the pod's node. SPDY goes through as it is; WebSocket is translated to SPDY,
 * which every kubelet and container runtime speaks. Source: pkg/registry/core/pod/rest/subresources.go and apiserver
 * pkg/util/proxy/streamtranslator.go (v1.37).
 */
export async function connectCommand(
  exchange: Exchange,
  { info }: ConnectorContext,
  deps: ProxyDeps & { readonly kind: 'exec' | 'attach' },
): Promise<void> {
  const { query } = exchange
  const pod = findPod(deps.reader, info)
  const container = chooseContainer(pod, query.get('container') ?? '')
  const streams = readStreams(query)
  const path = `/${deps.kind}/${nodePath(info)}/${container}?${nodeQuery(query, streams, deps.kind)}`
  const backend = locatePodNode(deps, pod, path)
  if (exchange.upgrade === undefined) throw badRequest('Upgrade request required')
  if (upgradeKindOf({ headers: exchange.headers }) !== 'websocket') return passUpgrade(exchange, backend)
  await translate(exchange, backend, streams)
}

function readStreams(query: URLSearchParams): RemoteCommandStreams {
  const flag = (name: string): boolean => ['true', '1', 'True', 'TRUE', 't'].includes(query.get(name) ?? '')
  const tty = flag('tty')
  return { stdin: flag('stdin'), stdout: flag('stdout'), stderr: flag('stderr') && !tty, tty }
}

/** The kubelet has names of its own. Source: pkg/apis/core ExecStdinParam … */
function nodeQuery(query: URLSearchParams, streams: RemoteCommandStreams, kind: 'exec' | 'attach'): URLSearchParams {
  const sent = new URLSearchParams()
  if (streams.stdin) sent.append('input', '1')
  if (streams.stdout) sent.append('output', '1')
  if (streams.stderr) sent.append('error', '1')
  if (streams.tty) sent.append('tty', '1')
  if (kind === 'exec') for (const word of query.getAll('command')) sent.append('command', word)
  return sent
}

/** The node is dialled first, so that its refusal is still an HTTP answer. */
async function translate(exchange: Exchange, { url, tls }: Backend, streams: RemoteCommandStreams): Promise<void> {
  const client = await dialRemoteCommand({ url, tls }, streams).catch((error: unknown) => {
    throw toDialStatus(error)
  })
  if (exchange.upgrade === undefined || exchange.closed) return client.close()
  let session: RemoteCommandSession
  try {
    session = await serveRemoteCommand(exchange.upgrade(), streams)
  } catch {
    return client.close() // the client was told why
  }
  await join(session, client)
}

async function join(session: RemoteCommandSession, client: RemoteCommandClient): Promise<void> {
  session.signal.addEventListener('abort', () => client.close(), { once: true })
  session.onResize((size) => client.resize(size))
  if (client.stdin !== undefined) session.stdin?.pipe(client.stdin)
  if (session.stdout !== undefined) client.stdout?.pipe(session.stdout, { end: false })
  if (session.stderr !== undefined) client.stderr?.pipe(session.stderr, { end: false })
  const [status] = await Promise.all([client.status, ended(client.stdout), ended(client.stderr)])
  await session.finish(status)
  client.close()
}

async function ended(stream: Readable | undefined): Promise<void> {
  if (stream === undefined || stream.readableEnded || stream.destroyed) return
  await Promise.race([once(stream, 'end'), once(stream, 'close')]).catch(() => {})
}
