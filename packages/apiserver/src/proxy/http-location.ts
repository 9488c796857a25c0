import { isIP } from 'node:net'
import { badRequest, notFound, serviceUnavailable } from '@centaurus/api'
import type { Random } from '@centaurus/base'
import { nodes, pods, services } from '@centaurus/api/core/v1'
import { endpointslices, type EndpointSlice } from '@centaurus/api/discovery/v1'
import type { ConnectorContext } from '../extension.ts'
import type { ObjectReader } from '../resource/object-reader.ts'
import { nodeUrl, type Backend, type ProxyDeps } from './backend.ts'
import { findPod } from './pod-location.ts'

const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'

/** `name`, `name:port` or `scheme:name:port`. Source: apimachinery pkg/util/net SplitSchemeNamePort. */
export interface ProxyId {
  readonly scheme: string
  readonly name: string
  readonly port: string
}

export function parseProxyId(id: string, what: string): ProxyId {
  const parts = id.split(':')
  const [scheme, name, port] = parts.length === 3 ? parts : ['', parts[0], parts[1] ?? '']
  const isKnown = parts.length <= 3 && ['', 'http', 'https'].includes(scheme ?? '') && (name ?? '') !== ''
  if (!isKnown) throw badRequest(`invalid ${what} request ${JSON.stringify(id)}`)
  return { scheme: scheme ?? '', name: name ?? '', port: port ?? '' }
}

/** Where `nodes/proxy` goes: the node's agent, unless another port is named. `path` has its query. */
export function locateNodeProxy({ info }: ConnectorContext, { reader, tls }: ProxyDeps, path: string): Backend {
  const { scheme, name, port } = parseProxyId(info.name, 'node')
  const node = reader.get(nodes, { name })
  if (node === undefined) throw notFound({ group: '', resource: 'nodes' }, name)
  const agent = new URL(nodeUrl(node))
  if (port === '' || port === agent.port) return { url: new URL(path, agent), tls }
  return plainBackend(scheme, `${agent.hostname}:${port}`, path)
}

/** Where `pods/proxy` goes: the pod's address and the first port that it declares, unless one is named. */
export function locatePodProxy({ info }: ConnectorContext, { reader }: ProxyDeps, path: string): Backend {
  const { scheme, name, port } = parseProxyId(info.name, 'pod')
  const pod = findPod(reader, { ...info, name })
  const declared = pod.spec?.containers.flatMap((container) => container.ports ?? [])[0]?.containerPort
  const address = requireAddress(pod.status?.podIP ?? pod.status?.podIPs?.[0]?.ip ?? '')
  const chosen = port === '' ? (declared ?? '') : port
  return plainBackend(scheme, chosen === '' ? address : `${address}:${chosen}`, path)
}

/** Where `services/proxy` goes: a ready pod behind the service, chosen at random. Source: pkg/registry/core/service/storage ResourceLocation. */
export function locateServiceProxy(
  { info }: ConnectorContext,
  deps: ProxyDeps & { readonly random: Random },
  path: string,
): Backend {
  const { reader, random } = deps
  const { scheme, name, port } = parseProxyId(info.name, 'service')
  const { tenant, namespace } = info
  const portName = servicePortName(reader, { tenant, namespace, name, port })
  const slices = reader
    .list(endpointslices, namespace, { tenant })
    .filter((slice) => slice.metadata.labels?.[SERVICE_NAME_LABEL] === name)
  const candidates = slices.flatMap((slice) => readyAddresses(reader, slice, { portName, tenant }))
  const chosen = candidates[random.integer(candidates.length)]
  if (chosen === undefined) throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`)
  return plainBackend(scheme, chosen, path)
}

/** Endpoints name ports, and clients may number them. */
function servicePortName(
  reader: ObjectReader,
  { tenant, namespace, name, port }: { tenant: string; namespace: string; name: string; port: string },
): string {
  if (!/^\d+$/.test(port)) return port
  const service = reader.get(services, { namespace, name }, { tenant })
  if (service === undefined) throw notFound({ group: '', resource: 'services' }, name)
  const found = service.spec?.ports?.find((entry) => entry.port === Number(port))
  if (found === undefined) throw serviceUnavailable(`no service port ${port} found for service ${JSON.stringify(name)}`)
  return found.name ?? ''
}

/** Only addresses that are really pods': an endpoint could name any host. */
function readyAddresses(
  reader: ObjectReader,
  slice: Readonly<EndpointSlice>,
  { portName, tenant }: { readonly portName: string; readonly tenant: string },
): string[] {
  const port = slice.ports?.find((entry) => (entry.name ?? '') === portName)?.port
  if (port === undefined) return []
  const namespace = slice.metadata.namespace ?? ''
  return (slice.endpoints ?? []).flatMap((endpoint) => {
    const target = endpoint.targetRef
    if (endpoint.conditions?.ready === false || target?.kind !== 'Pod' || target.namespace !== namespace) return []
    const pod = reader.get(pods, { namespace, name: target.name ?? '' }, { tenant })
    const own = new Set((pod?.status?.podIPs ?? []).map((entry) => entry.ip))
    return endpoint.addresses
      .filter((address) => own.has(address))
      .map((address) => `${requireAddress(address)}:${port}`)
  })
}

/** Upstream proxies to global unicast addresses alone, so that nobody reaches the host's own services. */
function requireAddress(address: string): string {
  const isLocal = /^(127\.|0\.|169\.254\.|22[4-9]\.|23\d\.|255\.|::1?$|fe80:|ff)/i.test(address)
  if (isIP(address) === 0 || isLocal) throw badRequest('address not allowed')
  return address.includes(':') ? `[${address}]` : address
}

/** Upstream checks no certificate of pods and services either: they have none that the cluster knows. */
function plainBackend(scheme: string, host: string, path: string): Backend {
  return {
    url: new URL(path, `${scheme === 'https' ? 'https' : 'http'}://${host}`),
    tls: { rejectUnauthorized: false },
  }
}
