import { isIP } from 'node:net'
import { SYSTEM_TENANT } from '@centaurus/api'
import type { ServiceReference, WebhookClientConfig } from '@centaurus/api/admissionregistration/v1'
import { pods, services, type Service } from '@centaurus/api/core/v1'
import { endpointslices, type EndpointSlice } from '@centaurus/api/discovery/v1'
import type { Random } from '@centaurus/base'
import type { ObjectReader } from '../../resource/object-reader.ts'
import type { AddressPolicy } from './address-policy.ts'

const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'
const HTTPS_PORT = 443

/** Where a webhook is, and how it is known. */
export interface Destination {
  /** As messages show it; its host is what the certificate must be for. */
  readonly url: URL
  /** To connect to; an address, or a name to look up. */
  readonly host: string
  readonly port: number
  /** Asked of each address that `host` turns out to be; undefined: all are fine. */
  readonly allows?: ((address: string) => boolean) | undefined
}

export interface LocateDeps {
  readonly reader: ObjectReader
  readonly random: Random
  readonly addresses: AddressPolicy
}

/** Finds a webhook of a tenant. Throws why it can't be reached. */
export function locateWebhook(deps: LocateDeps, { url, service }: WebhookClientConfig, tenant: string): Destination {
  const allows = allowedFor(deps, tenant)
  if (service !== undefined) return locateService(deps, service, { tenant, allows })
  const parsed = URL.parse(url ?? '')
  if (parsed === null) throw new Error('webhook configuration must have either service or URL')
  const host = parsed.hostname.replace(/^\[|\]$/g, '')
  return { url: parsed, host, port: Number(parsed.port || HTTPS_PORT), allows }
}

/** Operators may name any address. */
function allowedFor({ addresses }: LocateDeps, tenant: string): Destination['allows'] {
  return tenant === SYSTEM_TENANT ? undefined : (address) => addresses.allows(address)
}

interface ServiceOf {
  readonly tenant: string
  readonly allows: Destination['allows']
}

/** Any ready endpoint of the tenant's Service. Source: apiserver pkg/util/proxy ResolveEndpoint, v0.37. */
function locateService(deps: LocateDeps, reference: ServiceReference, of: ServiceOf): Destination {
  const { namespace, name, port = HTTPS_PORT, path = '' } = reference
  const service = deps.reader.get(services, { namespace, name }, { tenant: of.tenant })
  if (service === undefined) throw new Error(`service ${JSON.stringify(name)} not found`)
  const url = new URL(`https://${name}.${namespace}.svc:${port}${path.startsWith('/') ? path : `/${path}`}`)
  const { type = 'ClusterIP', externalName = '' } = service.spec ?? {}
  if (type === 'ExternalName') return { url, host: externalName, port, allows: of.allows }
  const endpoint = chooseEndpoint(deps, service, { tenant: of.tenant, port })
  return { url, ...endpoint }
}

function chooseEndpoint(
  deps: LocateDeps,
  service: Readonly<Service>,
  { tenant, port }: { readonly tenant: string; readonly port: number },
): Pick<Destination, 'host' | 'port'> {
  const { name = '', namespace } = service.metadata
  const servicePort = service.spec?.ports?.find((entry) => entry.port === port)
  if (servicePort === undefined) throw new Error(`no service port ${port} found for service ${JSON.stringify(name)}`)
  const found = deps.reader
    .list(endpointslices, namespace, { tenant })
    .filter((slice) => slice.metadata.labels?.[SERVICE_NAME_LABEL] === name)
    .flatMap((slice) => readyEndpoints(deps, slice, { tenant, portName: servicePort.name ?? '' }))
  const chosen = found[deps.random.integer(found.length)]
  if (chosen === undefined) throw new Error(`no endpoints available for service ${JSON.stringify(name)}`)
  return chosen
}

/** Of a tenant's endpoints only addresses of its own pods count, and what the operator opened: an endpoint could name any host. */
function readyEndpoints(
  deps: LocateDeps,
  slice: Readonly<EndpointSlice>,
  { tenant, portName }: { readonly tenant: string; readonly portName: string },
): Pick<Destination, 'host' | 'port'>[] {
  const port = slice.ports?.find((entry) => (entry.name ?? '') === portName)?.port
  if (port === undefined) return []
  return (slice.endpoints ?? []).flatMap(({ conditions, addresses, targetRef }) => {
    if (conditions?.ready === false) return []
    const pod = targetRef?.kind === 'Pod' ? (targetRef.name ?? '') : ''
    const mayUse = (address: string): boolean =>
      tenant === SYSTEM_TENANT ||
      deps.addresses.opens(address) ||
      isPodAddress(deps.reader, { tenant, namespace: slice.metadata.namespace ?? '', name: pod }, address)
    return addresses.filter((address) => isIP(address) !== 0 && mayUse(address)).map((host) => ({ host, port }))
  })
}

function isPodAddress(
  reader: ObjectReader,
  { tenant, namespace, name }: { readonly tenant: string; readonly namespace: string; readonly name: string },
  address: string,
): boolean {
  if (name === '' || LOCAL_ADDRESS.test(address)) return false
  const pod = reader.get(pods, { namespace, name }, { tenant })
  return (pod?.status?.podIPs ?? []).some(({ ip }) => ip === address)
}

/** What is this host's own, or nobody's. */
const LOCAL_ADDRESS = /^(127\.|0\.|169\.254\.|22[4-9]\.|23\d\.|24\d\.|25[0-5]\.|::|fe[89ab]|ff)/i
