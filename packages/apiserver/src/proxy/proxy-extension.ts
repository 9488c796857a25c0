import { FieldPath, forbiddenField, invalid, invalidObject, type FieldError } from '@centaurus/api'
import type { ApiServerCore, ConnectorContext, Connector, CreateExtension } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import { locatePodNode, type Backend, type NodeTls, type ProxyDeps, type ReachPartition } from './backend.ts'
import { locateNodeProxy, locatePodProxy, locateServiceProxy } from './http-location.ts'
import { passHttp, passLog } from './pass-http.ts'
import { passUpgrade } from './pass-upgrade.ts'
import { chooseContainer, findPod, nodePath } from './pod-location.ts'
import { connectPortForward } from './port-forward.ts'
import { connectCommand } from './remote-command.ts'

export interface ProxyOptions {
  /** The client certificate towards node agents, and the authority of theirs. */
  readonly tls: NodeTls
  /** Makes what finds the way to nodes of other partitions; absent: all nodes are this partition's. */
  readonly reach?: ((core: ApiServerCore) => ReachPartition) | undefined
}

/** Options of a log that go to the node as they are. */
const LOG_OPTIONS = [
  'follow',
  'previous',
  'timestamps',
  'sinceSeconds',
  'sinceTime',
  'tailLines',
  'limitBytes',
  'stream',
] as const

/** Everything that the server passes on: logs, exec, attach, port-forward, and HTTP to nodes, pods and services. */
export function createProxyExtension({ tls, reach }: ProxyOptions): CreateExtension {
  return (core) => {
    const { reader, random } = core
    const deps = { reader, random, tls, reach: reach?.(core) }
    const connector = (resource: string, subresource: string, connect: Connector['connect']): Connector => ({
      group: '',
      resource,
      subresource,
      connect,
    })
    return {
      connectors: [
        connector('pods', 'log', (exchange, context) => connectLog(exchange, context, deps)),
        connector('pods', 'exec', (exchange, context) => connectCommand(exchange, context, { ...deps, kind: 'exec' })),
        connector('pods', 'attach', (exchange, context) =>
          connectCommand(exchange, context, { ...deps, kind: 'attach' }),
        ),
        connector('pods', 'portforward', (exchange, context) => connectPortForward(exchange, context, deps)),
        connector('nodes', 'proxy', (exchange, context) =>
          connectHttp(exchange, context, (path) => locateNodeProxy(context, deps, path)),
        ),
        connector('pods', 'proxy', (exchange, context) =>
          connectHttp(exchange, context, (path) => locatePodProxy(context, deps, path)),
        ),
        connector('services', 'proxy', (exchange, context) =>
          connectHttp(exchange, context, (path) => locateServiceProxy(context, deps, path)),
        ),
      ],
    }
  }
}

/** Source: pkg/registry/core/pod/strategy.go LogLocation (v1.37). A pod that no node has yet has an empty log. */
async function connectLog(exchange: Exchange, { info }: ConnectorContext, deps: ProxyDeps): Promise<void> {
  const { query } = exchange
  const errors = checkLogOptions(query)
  if (errors.length > 0) throw invalidObject({ group: '', kind: 'PodLogOptions' }, info.name, errors)
  const pod = findPod(deps.reader, info)
  const container = chooseContainer(pod, query.get('container') ?? '')
  if ((pod.spec?.nodeName ?? '') === '') return exchange.respond(200, { 'content-type': 'text/plain' }, '')
  const sent = new URLSearchParams()
  for (const name of LOG_OPTIONS) {
    const value = query.get(name)
    if (value !== null) sent.append(name, value)
  }
  const backend = locatePodNode(deps, pod, `/containerLogs/${nodePath(info)}/${container}?${sent}`)
  const isUnchecked = query.get('insecureSkipTLSVerifyBackend') === 'true'
  const tls = isUnchecked ? { ...backend.tls, rejectUnauthorized: false } : backend.tls
  await passLog(exchange, { ...backend, tls }, `pods/log ${info.name}`)
}

/** Source: pkg/apis/core/validation ValidatePodLogOptions (v1.37). */
function checkLogOptions(query: URLSearchParams): FieldError[] {
  const errors: FieldError[] = []
  const check = (name: string, min: number, why: string): void => {
    const value = query.get(name)
    if (value !== null && !(Number(value) >= min)) errors.push(invalid(new FieldPath(name), Number(value), why))
  }
  check('tailLines', 0, 'must be greater than or equal to 0')
  check('limitBytes', 1, 'must be greater than 0')
  check('sinceSeconds', 1, 'must be greater than 0')
  if (query.has('sinceSeconds') && query.has('sinceTime')) {
    errors.push(forbiddenField(new FieldPath(''), 'at most one of `sinceTime` or `sinceSeconds` may be specified'))
  }
  return errors
}

async function connectHttp(
  exchange: Exchange,
  { info }: ConnectorContext,
  locate: (path: string) => Backend,
): Promise<void> {
  const segments = exchange.path.split('/')
  const rest = info.rest.length === 0 ? [] : segments.slice(-lengthWithSlash(exchange.path, info.rest.length))
  const query = exchange.query.size === 0 ? '' : `?${exchange.query}`
  // relative links of a page need the slash
  if (
    rest.length === 0 &&
    !exchange.path.endsWith('/') &&
    exchange.method === 'GET' &&
    exchange.upgrade === undefined
  ) {
    return exchange.respond(301, { location: `${exchange.path}/${query}` }, '')
  }
  const backend = locate(`/${rest.join('/')}${query}`)
  return exchange.upgrade === undefined ? passHttp(exchange, backend) : passUpgrade(exchange, backend)
}

function lengthWithSlash(path: string, length: number): number {
  return path.endsWith('/') ? length + 1 : length
}
