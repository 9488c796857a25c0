/** What a request asks for, as far as its way depends on it. */
export interface Target {
  /** The tenant that the URL names; undefined when it names none. */
  readonly tenant: string | undefined
  /** Without the tenant and the query; as sent when it is no resource. */
  readonly path: string
  readonly isResource: boolean
  /** `''` for the core group, and for all fields below when they are absent. */
  readonly group: string
  readonly version: string
  readonly namespace: string
  readonly resource: string
  readonly name: string
  readonly subresource: string
  /** The old form `/api/v1/watch/nodes`. */
  readonly isLegacyWatch: boolean
}

const TENANTS_PREFIX = '/tenants/'
/** Here `tenants` is a resource, and no way to name a tenant. */
const REGISTRY_GROUP = 'centaurus.io'
const OBJECT_SUBRESOURCES = new Set(['status', 'scale'])
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize'])

/**
 * Takes a path apart. Never throws: what can't be read counts as no resource, and the API server that gets it says what is wrong.
 * Agrees with the API server's own reading; see there for the sources.
 */
export function parseTarget(path: string): Target {
  const prefix = splitPrefix(path)
  if (prefix === undefined) return other(undefined, path)
  const segments = splitPath(prefix.path)
  if (segments === undefined) return other(prefix.tenant, prefix.path)
  const root = segments[0]
  const skip = root === 'api' ? 2 : root === 'apis' ? 3 : 0
  if (skip === 0 || segments.length <= skip) return other(prefix.tenant, prefix.path)
  const group = skip === 3 ? segments[1]! : ''
  let parts = segments.slice(skip)
  let { tenant } = prefix
  if (tenant === undefined && group !== REGISTRY_GROUP && namesTenant(parts)) {
    tenant = parts[1]!
    parts = parts.slice(2)
  }
  const isLegacyWatch = parts[0] === 'watch' && parts.length > 1
  if (isLegacyWatch) parts = parts.slice(1)
  const { namespace, rest } = splitNamespace(parts)
  return {
    tenant,
    path: prefix.path,
    isResource: true,
    group,
    version: segments[skip - 1]!,
    namespace,
    resource: rest[0] ?? '',
    name: rest[1] ?? '',
    subresource: rest[2] ?? '',
    isLegacyWatch,
  }
}

/** `tenants/x/status` is the object `x` of a custom resource, not the resource `status` of tenant `x`. */
function namesTenant(parts: readonly string[]): boolean {
  return parts[0] === 'tenants' && parts.length > 2 && !(parts.length === 3 && OBJECT_SUBRESOURCES.has(parts[2]!))
}

/** Undefined when the tenant is no valid percent-encoding. */
function splitPrefix(path: string): { tenant: string | undefined; path: string } | undefined {
  if (!path.startsWith(TENANTS_PREFIX)) return { tenant: undefined, path }
  const end = path.indexOf('/', TENANTS_PREFIX.length)
  const segment = path.slice(TENANTS_PREFIX.length, end < 0 ? undefined : end)
  if (segment === '') return { tenant: undefined, path } // names nobody
  const tenant = decode(segment)
  return tenant === undefined ? undefined : { tenant, path: end < 0 ? '/' : path.slice(end) }
}

function splitPath(path: string): string[] | undefined {
  const segments = path.split('/').filter((segment) => segment !== '')
  if (!path.includes('%')) return segments
  const decoded = segments.map(decode)
  return decoded.includes(undefined) ? undefined : (decoded as string[])
}

function decode(segment: string): string | undefined {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

/** A Namespace itself counts as being in that namespace. */
function splitNamespace(parts: string[]): { namespace: string; rest: string[] } {
  if (parts[0] !== 'namespaces' || parts.length < 2) return { namespace: '', rest: parts }
  const namespace = parts[1]!
  if (parts.length === 2 || NAMESPACE_SUBRESOURCES.has(parts[2]!)) return { namespace, rest: parts }
  return { namespace, rest: parts.slice(2) }
}

function other(tenant: string | undefined, path: string): Target {
  return {
    tenant,
    path,
    isResource: false,
    group: '',
    version: '',
    namespace: '',
    resource: '',
    name: '',
    subresource: '',
    isLegacyWatch: false,
  }
}
