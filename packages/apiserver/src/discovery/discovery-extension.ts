import { notFoundPath } from '@centaurus/api'
import type { CreateExtension, NonResourceRoute } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import type { ResourceDefinition, ResourceRegistry } from '../resource/registry.ts'
import { createDocument, respondDocument, type CachedDocument } from './cached-document.ts'
import {
  aggregatedList,
  coreVersions,
  groupDocument,
  groupList,
  groupResources,
  resourceList,
  type DiscoveredGroup,
  type DiscoveryVersion,
} from './documents.ts'

const JSON_TYPE = 'application/json'

export interface DiscoveryOptions {
  /** `host:port` under which clients reach the server; only `/api` tells it. */
  readonly serverAddress?: string | undefined
}

/**
 * `/api`, `/apis` and below: what the server serves, one document at a time and aggregated. Documents are made when they are first
 * asked for after a change of the registry, and are then sent as they are. Source: apiserver pkg/endpoints/discovery (v0.37).
 */
export function createDiscoveryExtension(options: DiscoveryOptions = {}): CreateExtension {
  return ({ registry, registries }) => {
    // by name: extensions may put other definitions in the place of built-in ones
    const builtIn = new Set(registry.list().map(nameOf))
    const sources = { builtIn, serverAddress: options.serverAddress ?? 'localhost:6443' }
    // tenants that define nothing share a registry, and so their documents
    const caches = new WeakMap<ResourceRegistry, DocumentCache>()
    const cacheOf = (tenant: string): DocumentCache => {
      const served = registries.of(tenant)
      const known = caches.get(served)
      if (known !== undefined) return known
      const made = createDocumentCache(served, sources)
      caches.set(served, made)
      return made
    }
    const route = (path: string): NonResourceRoute => ({
      path,
      methods: ['GET', 'HEAD'],
      forTenants: true,
      handle(exchange, { info }) {
        const document = cacheOf(info.tenant).find(info.path.replace(/\/$/, ''), aggregationOf(exchange))
        if (document === undefined) throw notFoundPath()
        respondDocument(exchange, document)
      },
    })
    return { routes: ['/api', '/api/', '/apis', '/apis/'].map(route) }
  }
}

/** Version of aggregated discovery that the client wants most; undefined for the plain documents. */
function aggregationOf(exchange: Exchange): DiscoveryVersion | undefined {
  for (const clause of (exchange.headers.accept ?? '').split(',')) {
    const [type, ...rest] = clause.split(';').map((part) => part.trim())
    if (type !== JSON_TYPE && type !== '*/*') continue
    const parameters = new Map(rest.map((part) => part.split('=', 2) as [string, string]))
    if (parameters.get('as') === undefined) return undefined
    if (parameters.get('as') !== 'APIGroupDiscoveryList' || parameters.get('g') !== 'apidiscovery.k8s.io') continue
    const version = parameters.get('v')
    if (version === 'v2' || version === 'v2beta1') return version
  }
  return undefined
}

interface DocumentCache {
  find(path: string, aggregation: DiscoveryVersion | undefined): CachedDocument | undefined
}

interface DocumentSources {
  readonly builtIn: ReadonlySet<string>
  readonly serverAddress: string
}

function createDocumentCache(registry: ResourceRegistry, { builtIn, serverAddress }: DocumentSources): DocumentCache {
  let generation = -1
  let groups: readonly DiscoveredGroup[] = []
  const documents = new Map<string, CachedDocument>()
  const refresh = (): void => {
    if (generation === registry.generation) return
    generation = registry.generation
    groups = groupResources(registry.list(), (definition) => !builtIn.has(nameOf(definition)))
    documents.clear()
  }
  return {
    find(path, aggregation) {
      refresh()
      const isAggregated = aggregation !== undefined && (path === '/api' || path === '/apis')
      const key = isAggregated ? `${path}#${aggregation}` : path
      const known = documents.get(key)
      if (known !== undefined) return known
      const made = isAggregated ? makeAggregated(path, groups, aggregation) : makePlain(path, groups, serverAddress)
      if (made !== undefined) documents.set(key, made) // only paths that exist are kept
      return made
    },
  }
}

function nameOf({ info }: ResourceDefinition): string {
  return `${info.group}/${info.version}/${info.resource}`
}

function makeAggregated(path: string, groups: readonly DiscoveredGroup[], version: DiscoveryVersion): CachedDocument {
  const chosen = groups.filter(({ name }) => (name === '') === (path === '/api'))
  const contentType = `${JSON_TYPE};g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`
  return createDocument(contentType, aggregatedList(chosen, version))
}

function makePlain(
  path: string,
  groups: readonly DiscoveredGroup[],
  serverAddress: string,
): CachedDocument | undefined {
  const [, root, ...rest] = path.split('/')
  const groupName = root === 'api' ? '' : rest[0]
  const version = root === 'api' ? rest[0] : rest[1]
  if (rest.length > (root === 'api' ? 1 : 2)) return undefined
  if (groupName === undefined) return createDocument(JSON_TYPE, groupList(groups))
  const group = groups.find(({ name }) => name === groupName)
  if (group === undefined || (root === 'apis' && groupName === '')) return undefined
  if (version === undefined) {
    return createDocument(JSON_TYPE, root === 'api' ? coreVersions(group, serverAddress) : groupDocument(group))
  }
  const found = group.versions.find((entry) => entry.version === version)
  return found === undefined ? undefined : createDocument(JSON_TYPE, resourceList(groupName, found))
}
