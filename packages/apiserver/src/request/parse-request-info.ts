import { badRequest } from '@centaurus/api'
import { SYSTEM_TENANT, type RequestInfo } from './request-info.ts'

/** What of an exchange decides what is asked for. */
export interface RequestLine {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
}

const TENANTS_PREFIX = '/tenants/'
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize'])
const NO_SEGMENTS: readonly string[] = []

/**
 * Reads what a URL and method ask for. Throws BadRequest for a path that is not valid percent-encoding.
 * Source: apiserver pkg/endpoints/request/requestinfo.go, v0.37; the tenant's prefix is ours.
 */
export function parseRequestInfo({ method, path: fullPath, query }: RequestLine): RequestInfo {
  const { tenant, path } = splitTenant(fullPath)
  const segments = splitPath(path)
  const root = segments[0]
  const skip = root === 'api' ? 2 : root === 'apis' ? 3 : 0
  if (skip === 0 || segments.length <= skip) return otherRequest(method, tenant, path)
  const group = root === 'apis' ? segments[1]! : ''
  const version = segments[skip - 1]!
  let parts = segments.slice(skip)
  const legacyWatch = parts[0] === 'watch' && parts.length > 1
  if (legacyWatch) parts = parts.slice(1)
  const { namespace, rest } = splitNamespace(parts)
  const name = rest[1] ?? ''
  const verb = legacyWatch ? 'watch' : resourceVerb(method, name, query)
  return {
    tenant,
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

function splitTenant(path: string): { tenant: string; path: string } {
  if (!path.startsWith(TENANTS_PREFIX)) return { tenant: SYSTEM_TENANT, path }
  const end = path.indexOf('/', TENANTS_PREFIX.length)
  const tenant = path.slice(TENANTS_PREFIX.length, end < 0 ? undefined : end)
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

function otherRequest(method: string, tenant: string, path: string): RequestInfo {
  return {
    tenant,
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
