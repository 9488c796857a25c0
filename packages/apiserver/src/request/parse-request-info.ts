import { badRequest } from '@centaurus/api'
import type { RequestInfo } from './request-info.ts'

/** What of an exchange decides what is asked for. */
export interface RequestLine {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
}

const TENANTS_PREFIX = '/tenants/'
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize'])
const NO_SEGMENTS: readonly string[] = []

/** `tenants/x/status` is the object `x` of a custom resource, not the resource `status` of tenant `x`. */
const SUBRESOURCES = new Set(['status', 'scale'])
/** Here `tenants` are the registry's own objects. */
const REGISTRY_GROUP = 'centaurus.io'

/**
 * Reads what a URL and method ask for. `tenant` is the one that the URL names: `/tenants/{t}/…` around any path, or, as Arktos has it,
 * `/api/v1/tenants/{t}/…` and `/apis/{group}/{version}/tenants/{t}/…`; `''` when it names none. Throws BadRequest for a path that is
 * not valid percent-encoding. Source: apiserver pkg/endpoints/request/requestinfo.go, v0.37; the tenant's part is ours.
 */
export function parseRequestInfo(line: RequestLine): RequestInfo {
  const { tenant, path } = splitTenant(line.path)
  const segments = splitPath(path)
  if (tenant !== '') return { ...readInfo(line, path, segments), tenant }
  const { skip, group } = readRoot(segments)
  const isNamed = segments[skip] === 'tenants' && segments.length > skip + 2 && group !== REGISTRY_GROUP
  const isSubresource = segments.length === skip + 3 && SUBRESOURCES.has(segments[skip + 2]!)
  if (skip === 0 || !isNamed || isSubresource) return readInfo(line, path, segments)
  const rest = [...segments.slice(0, skip), ...segments.slice(skip + 2)]
  const barePath = `/${rest.map(encodeURIComponent).join('/')}`
  return { ...readInfo(line, barePath, rest), tenant: segments[skip + 1]! }
}

/** The same for a server that has no tenants: what looks like a tenant's part is a part of the path like any other. */
export function parsePlainInfo(line: RequestLine): RequestInfo {
  return readInfo(line, line.path, splitPath(line.path))
}

function readInfo({ method, query }: RequestLine, path: string, segments: readonly string[]): RequestInfo {
  const { skip, group } = readRoot(segments)
  if (skip === 0 || segments.length <= skip) return otherRequest(method, path)
  const version = segments[skip - 1]!
  let parts = segments.slice(skip)
  const legacyWatch = parts[0] === 'watch' && parts.length > 1
  if (legacyWatch) parts = parts.slice(1)
  const { namespace, rest } = splitNamespace(parts)
  const name = rest[1] ?? ''
  const verb = legacyWatch ? 'watch' : resourceVerb(method, name, query)
  return {
    tenant: '',
    isResourceRequest: true,
    verb,
    path,
    group,
    version,
    namespace,
    resource: rest[0] ?? '',
    subresource: rest[2] ?? '',
    name: name !== '' ? name : nameInSelector(verb, query),
    rest: rest.length > 3 ? rest.slice(3) : NO_SEGMENTS,
  }
}

/** How many segments come before a resource; 0 when none can come. */
function readRoot(segments: readonly string[]): { skip: number; group: string } {
  if (segments[0] === 'api') return { skip: 2, group: '' }
  if (segments[0] === 'apis') return { skip: 3, group: segments[1] ?? '' }
  return { skip: 0, group: '' }
}

function splitTenant(path: string): { tenant: string; path: string } {
  if (!path.startsWith(TENANTS_PREFIX)) return { tenant: '', path }
  const end = path.indexOf('/', TENANTS_PREFIX.length)
  const tenant = path.slice(TENANTS_PREFIX.length, end < 0 ? undefined : end)
  if (tenant === '') return { tenant, path } // `/tenants//…` names nobody
  return { tenant: decodeSegment(tenant), path: end < 0 ? '/' : path.slice(end) }
}

function splitPath(path: string): string[] {
  const segments = path.split('/').filter((segment) => segment !== '')
  return path.includes('%') ? segments.map(decodeSegment) : segments
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw badRequest(`invalid URL escape in path segment "${segment}"`)
  }
}

function otherRequest(method: string, path: string): RequestInfo {
  return {
    tenant: '',
    isResourceRequest: false,
    verb: method.toLowerCase(),
    path,
    group: '',
    version: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    rest: NO_SEGMENTS,
  }
}

/** A Namespace itself counts as being in that namespace, so that a Role there may speak of it. */
function splitNamespace(parts: string[]): { namespace: string; rest: string[] } {
  if (parts[0] !== 'namespaces' || parts.length < 2) return { namespace: '', rest: parts }
  const namespace = parts[1]!
  if (parts.length === 2 || NAMESPACE_SUBRESOURCES.has(parts[2]!)) return { namespace, rest: parts }
  return { namespace, rest: parts.slice(2) }
}

function resourceVerb(method: string, name: string, query: URLSearchParams): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (name !== '') return 'get'
      return isTrue(query.get('watch')) ? 'watch' : 'list'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete'
    default:
      return ''
  }
}

/** A list of the one object that `metadata.name=x` selects is authorized as that object. */
function nameInSelector(verb: string, query: URLSearchParams): string {
  if (verb !== 'list' && verb !== 'watch' && verb !== 'deletecollection') return ''
  const selector = query.get('fieldSelector')
  if (selector === null) return ''
  const match = /(?:^|,)metadata\.name==?([^,=\\]+)(?:,|$)/.exec(selector)
  return match?.[1] ?? ''
}

/** How upstream reads a boolean query parameter: present and empty is true. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== '0' && value.toLowerCase() !== 'false'
}
