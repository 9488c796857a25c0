import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'

import type { Pod } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'

import type { UpgradedConnection } from '@centaurus/streams'

import type { NodeAgent } from '../agent/node-agent.ts'
import type { StreamRequest, StreamTarget } from '../runtime/container-runtime.ts'
import type { KubeletAccess } from './access.ts'
import { findLogContainer, findRunningContainer, KubeletApiError } from './find-container.ts'
import { isTrue, parseLogOptions } from './log-options.ts'
import { createLineFilter, readLog } from './log-reader.ts'
import { formatAgentMetrics, isSyncing, makeConfigz, runningPods } from './node-pages.ts'
import { formatCadvisorMetrics, formatResourceMetrics, makeStatsSummary } from './stats.ts'
import { proxyUpgrade, refuseUpgrade } from './stream-proxy.ts'

export interface KubeletServerOptions {
  /** PEM. The certificate must name the node's addresses. */
  readonly tls: { readonly key: string | Buffer; readonly cert: string | Buffer; readonly clientCa: string | Buffer }
  /** Whose pods it serves: one agent, or all simulated nodes of a process. */
  readonly agents: () => readonly NodeAgent[]
  /** Who may ask: `createDelegatedAccess`. */
  readonly access: KubeletAccess
  readonly clock: Clock
  readonly logger: Logger
  /** Default: all addresses. */
  readonly host?: string | undefined
  /** 0: a free one. */
  readonly port: number
}

export interface KubeletServer {
  readonly port: number
  close(): Promise<void>
}

/**
 * The port that the API server dials for logs, exec, attach, port-forward and stats. Callers show a certificate of the cluster's CA or a
 * bearer token, and `access` decides what they may do.
 */
export async function startKubeletServer(options: KubeletServerOptions): Promise<KubeletServer> {
  const { tls, host, port, logger } = options
  const server = createServer({
    key: tls.key,
    cert: tls.cert,
    ca: tls.clientCa,
    requestCert: true,
    rejectUnauthorized: false, // those with a token have no certificate; `access` refuses the rest
  })
  const abort = new AbortController()
  const streams = new Set<Duplex>()
  server.on('request', (request, response) => {
    serve(options, request, response, abort.signal).catch((error: unknown) => {
      if (!(error instanceof KubeletApiError))
        logger.warn('Could not serve kubelet request', { path: request.url, error })
      refuse(response, error)
    })
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    streams.add(socket)
    socket.once('close', () => streams.delete(socket))
    socket.on('error', () => socket.destroy())
    openStream(options, request)
      .then((target) => connectStream(target, { request, socket, head }))
      .catch((error: unknown) => {
        if (!(error instanceof KubeletApiError)) logger.warn('Could not open a stream', { path: request.url, error })
        refuseUpgrade(socket, error instanceof KubeletApiError ? error.status : 500, messageOf(error))
      })
  })
  await listen(server, port, host)
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      abort.abort(new Error('The kubelet server was closed'))
      for (const socket of streams) socket.destroy()
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

async function listen(server: Server, port: number, host: string | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const advice =
        cause.code === 'EADDRINUSE'
          ? 'another process (a kubelet?) has it; stop that or choose another port'
          : cause.message
      reject(new Error(`Cannot listen on port ${port} for the kubelet API: ${advice}`, { cause }))
    })
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve)
  })
}

async function serve(
  options: KubeletServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  closed: AbortSignal,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://kubelet')
  const [, route, ...parts] = url.pathname.split('/').map(decodeURIComponent)
  await checkAccess(options, request)
  switch (route) {
    case 'healthz':
      return sendHealth(options, response, parts[0] ?? '')
    case 'configz':
      return send(response, 'application/json', JSON.stringify(makeConfigz(firstAgent(options))))
    case 'runningpods':
      return sendPods(response, options.agents().flatMap(runningPods))
    case 'pods':
      return sendPods(
        response,
        options.agents().flatMap((agent) => agent.pods()),
      )
    case 'containerLogs':
      return sendLog(options, { url, parts, response, closed })
    case 'stats':
      return send(response, 'application/json', JSON.stringify(makeStatsSummary(await collectStats(options, url))))
    case 'metrics':
      return send(response, 'text/plain; version=0.0.4; charset=utf-8', await formatPage(options, url, parts[0] ?? ''))
    case 'exec':
    case 'attach':
    case 'portForward':
      throw new KubeletApiError(400, 'unable to upgrade: missing upgrade headers in request')
    default:
      throw new KubeletApiError(404, '404 page not found')
  }
}

function sendPods(response: ServerResponse, items: readonly Pod[]): void {
  send(response, 'application/json', JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items }))
}

/** Source: kubelet InstallAuthNotRequiredHandlers, v1.37: ping, log and syncloop, and all of them together. */
function sendHealth({ agents, clock }: KubeletServerOptions, response: ServerResponse, check: string): void {
  if (!['', 'ping', 'log', 'syncloop'].includes(check)) throw new KubeletApiError(404, '404 page not found')
  const isWell = check === 'ping' || check === 'log' || agents().every((agent) => isSyncing(agent, clock))
  if (!isWell) throw new KubeletApiError(500, 'sync Loop took longer than expected')
  send(response, 'text/plain; charset=utf-8', 'ok')
}

async function formatPage(options: KubeletServerOptions, url: URL, page: string): Promise<string> {
  switch (page) {
    case '':
      return formatAgentMetrics(options.agents())
    case 'resource':
      return formatResourceMetrics(await collectStats(options, url))
    case 'cadvisor':
      return formatCadvisorMetrics(await collectStats(options, url))
    case 'probes':
      return ''
    default:
      throw new KubeletApiError(404, '404 page not found')
  }
}

function firstAgent({ agents }: KubeletServerOptions): NodeAgent {
  const [agent] = agents()
  if (agent === undefined) throw new KubeletApiError(503, 'no node is served yet')
  return agent
}

/** Before anything is looked up, so that strangers learn nothing. Simulated nodes of one server share the name of the first. */
function checkAccess({ access, agents }: KubeletServerOptions, request: IncomingMessage): Promise<void> {
  return access.check(request, agents()[0]?.config.nodeName ?? '')
}

interface LogRequest {
  readonly url: URL
  readonly parts: readonly string[]
  readonly response: ServerResponse
  readonly closed: AbortSignal
}

async function sendLog(
  { agents, clock }: KubeletServerOptions,
  { url, parts, response, closed }: LogRequest,
): Promise<void> {
  const [namespace = '', name = '', containerName = ''] = parts
  const { agent, pod } = findPod(agents(), namespace, name)
  let logOptions: ReturnType<typeof parseLogOptions>
  try {
    logOptions = parseLogOptions(url.searchParams, clock.now())
  } catch (error) {
    throw new KubeletApiError(400, messageOf(error))
  }
  const uid = pod.metadata.uid ?? ''
  const container = findLogContainer(pod, containerName, agent.cache.get(uid), logOptions)
  response.writeHead(200, { 'Content-Type': 'text/plain' })
  response.flushHeaders()
  if (agent.runtime.readLog !== undefined) {
    const filter = createLineFilter(logOptions)
    response.end((await agent.runtime.readLog(container.id)).split('\n').map(filter.take).join(''))
    return
  }
  const gone = new AbortController()
  response.once('close', () => gone.abort(new Error('The reader went away')))
  const isRunning = (): boolean =>
    agent.cache.get(uid).containers.some(({ id, phase }) => id === container.id && phase === 'running')
  const source = { path: container.logPath, clock, isRunning, signal: AbortSignal.any([gone.signal, closed]) }
  for await (const text of readLog(source, logOptions)) {
    if (gone.signal.aborted) break
    if (!response.write(text)) await drained(response, gone.signal)
  }
  response.end()
}

/** A slow reader holds the file, not the memory. */
async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    response.once('drain', resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** A target that serves by itself has told the client before it rejects. */
async function connectStream(target: UsableTarget, upgraded: UpgradedConnection): Promise<void> {
  const { request, socket, head } = upgraded
  if (target.kind === 'url') proxyUpgrade(request, socket, head, target.url)
  else await target.serve(upgraded).catch(() => socket.destroy())
}

type UsableTarget = Exclude<StreamTarget, { kind: 'unsupported' }>

async function openStream(options: KubeletServerOptions, request: IncomingMessage): Promise<UsableTarget> {
  const { agents } = options
  await checkAccess(options, request)
  const url = new URL(request.url ?? '/', 'https://kubelet')
  const [, route, namespace = '', name = '', ...rest] = url.pathname.split('/').map(decodeURIComponent)
  const { agent, pod } = findPod(agents(), namespace, name)
  const target = await agent.runtime.openStream(
    toStreamRequest(route, rest.at(-1), { agent, pod, query: url.searchParams }),
  )
  if (target.kind === 'unsupported') throw new KubeletApiError(501, target.message)
  return target
}

/** Query names are the kubelet's (`input`, `output`, `error`); the API's own are taken too. Source: kubelet remotecommand.NewOptions, v1.37. */
function toStreamRequest(
  route: string | undefined,
  containerName: string | undefined,
  { agent, pod, query }: { readonly agent: NodeAgent; readonly pod: Pod; readonly query: URLSearchParams },
): StreamRequest {
  const state = agent.cache.get(pod.metadata.uid ?? '')
  const flag = (...names: readonly string[]): boolean => names.some((name) => isTrue(query.get(name)))
  if (route === 'portForward') {
    const sandbox = state.sandboxes[0]
    if (sandbox?.ready !== true)
      throw new KubeletApiError(
        500,
        `unable to do port forwarding: pod is not running. Current status=${pod.status?.phase ?? 'Pending'}`,
      )
    return {
      kind: 'portForward',
      sandboxId: sandbox.id,
      ports: query.getAll('port').concat(query.getAll('ports')).map(Number),
    }
  }
  const containerId = findRunningContainer(pod, containerName ?? '', state).id
  const tty = flag('tty')
  const streams = {
    tty,
    stdin: flag('input', 'stdin'),
    stdout: flag('output', 'stdout'),
    stderr: flag('error', 'stderr') && !tty,
  }
  if (!streams.stdin && !streams.stdout && !streams.stderr)
    throw new KubeletApiError(400, 'you must specify at least 1 of stdin, stdout, stderr')
  if (route === 'exec') return { kind: 'exec', containerId, command: query.getAll('command'), ...streams }
  if (route === 'attach') return { kind: 'attach', containerId, ...streams }
  throw new KubeletApiError(404, '404 page not found')
}

function findPod(agents: readonly NodeAgent[], namespace: string, name: string): { agent: NodeAgent; pod: Pod } {
  for (const agent of agents) {
    const pod = agent.findPod(namespace, name)
    if (pod !== undefined) return { agent, pod }
  }
  throw new KubeletApiError(404, `pod "${name}" does not exist`)
}

/** Of one node, when `?node=` says so: many simulated ones share a server. An upstream kubelet does not look at it. */
async function collectStats(
  { agents, clock }: KubeletServerOptions,
  { searchParams }: URL,
): Promise<Parameters<typeof makeStatsSummary>[0]> {
  const node = searchParams.get('node')
  const all = agents().filter(({ config }) => node === null || config.nodeName === node)
  if (node !== null && all.length === 0) throw new KubeletApiError(404, `node "${node}" is not served here`)
  const stats = (await Promise.all(all.map((agent) => agent.runtime.listContainerStats()))).flat()
  return {
    nodeName: all[0]?.config.nodeName ?? '',
    pods: all.flatMap((agent) => agent.pods()),
    stats,
    host: all.length === 1 ? await all[0]?.usage() : undefined,
    nowMs: clock.now(),
  }
}

function send(response: ServerResponse, type: string, body: string): void {
  response.writeHead(200, { 'Content-Type': type }).end(body)
}

function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy()
  const status = error instanceof KubeletApiError ? error.status : 500
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(messageOf(error))
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
