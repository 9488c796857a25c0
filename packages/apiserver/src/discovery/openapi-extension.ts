import {
  createOpenApi,
  notFoundPath,
  type CustomResourceDescription,
  type OpenApi,
  type OpenApiOptions,
} from '@centaurus/api'
import { servedCustomResources } from '../crd/crd-extension.ts'
import type { CreateExtension } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import type { ObjectReader } from '../resource/object-reader.ts'
import type { ResourceDefinition, ResourceRegistry } from '../resource/registry.ts'
import { createDocument, respondDocument, type CachedDocument } from './cached-document.ts'

const V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'
/** Clients write the version behind an at sign. */
const V2_PROTOBUF_ASKED = /application\/com\.github\.proto-openapi\.spec\.v2[.@]v1\.0\+protobuf/
const V3_PREFIX = '/openapi/v3/'
/** A document under a URL with its hash never changes. */
const IMMUTABLE = 'public, immutable, max-age=31536000'
/** Compressed documents that are kept; a client asks for the few groups that it uses. */
const DOCUMENTS_MAX = 32
/** Tenants with custom resources of their own whose documents are kept: a few MB each when all are asked for. */
const TENANTS_MAX = 8

export interface OpenApiExtensionOptions {
  /** Texts for `kubectl explain`. */
  readonly descriptions?: OpenApiOptions['descriptions']
}

/**
 * `/openapi/v2` and `/openapi/v3`, custom resources included: those of the tenant that is asked in. Tenants that define nothing share
 * their documents. Source: kube-openapi pkg/handler and pkg/handler3.
 */
export function createOpenApiExtension(options: OpenApiExtensionOptions = {}): CreateExtension {
  return ({ registries, reader }) => {
    const kept = new Map<ResourceRegistry, Documents>()
    const documentsOf = (tenant: string): Documents => {
      const registry = registries.of(tenant)
      const documents = kept.get(registry) ?? createDocuments(registry, { reader, tenant, ...options })
      kept.delete(registry) // the one that was used last is the last to go
      if (kept.size >= TENANTS_MAX) kept.delete(kept.keys().next().value!)
      kept.set(registry, documents)
      return documents
    }
    return {
      routes: [
        {
          path: '/openapi/v2',
          methods: ['GET', 'HEAD'],
          forTenants: true,
          handle: (exchange, { info }) => respondDocument(exchange, documentsOf(info.tenant).v2(exchange)),
        },
        {
          path: '/openapi/v3',
          methods: ['GET', 'HEAD'],
          forTenants: true,
          handle: (exchange, { info }) =>
            respondDocument(exchange, documentsOf(info.tenant).index(tenantPrefixOf(exchange, info.path))),
        },
        {
          path: V3_PREFIX,
          methods: ['GET', 'HEAD'],
          forTenants: true,
          handle: (exchange, { info }) =>
            serveV3(exchange, { path: info.path.slice(V3_PREFIX.length), documents: documentsOf(info.tenant) }),
        },
      ],
    }
  }
}

/** What stands before `path` in the URL, so that the URLs in an answer lead back into the tenant. */
function tenantPrefixOf(exchange: Exchange, path: string): string {
  return exchange.path.endsWith(path) ? exchange.path.slice(0, exchange.path.length - path.length) : ''
}

interface Documents {
  v2(exchange: Exchange): CachedDocument
  /** `prefix` stands before the URLs in it. */
  index(prefix: string): CachedDocument
  v3(path: string): CachedDocument | undefined
  v3Hash(path: string): string | undefined
}

interface DocumentSources extends OpenApiExtensionOptions {
  readonly reader: ObjectReader
  readonly tenant: string
}

function createDocuments(registry: ResourceRegistry, options: DocumentSources): Documents {
  let generation = -1
  let openApi: OpenApi | undefined
  const kept = new Map<string, CachedDocument>()
  const current = (): OpenApi => {
    if (openApi === undefined || generation !== registry.generation) {
      generation = registry.generation
      const own = registry.list().flatMap(describe)
      const names = new Set(own.map(nameOf))
      // a registry that tenants share tells what operators define and share, and nothing of any of them
      const custom = servedCustomResources(options.reader, registry.isEmpty ? undefined : options.tenant)
      openApi = createOpenApi({
        customResources: [...own, ...custom.filter((description) => !names.has(nameOf(description)))],
        descriptions: options.descriptions,
      })
      kept.clear()
    }
    return openApi
  }
  const keep = (key: string, make: (api: OpenApi) => CachedDocument | undefined): CachedDocument | undefined => {
    const api = current()
    const known = kept.get(key)
    if (known !== undefined) return known
    const made = make(api)
    if (made === undefined) return undefined
    if (kept.size >= DOCUMENTS_MAX) kept.delete(kept.keys().next().value ?? '')
    kept.set(key, made)
    return made
  }
  return {
    v2(exchange) {
      const wantsProtobuf = V2_PROTOBUF_ASKED.test(exchange.headers.accept ?? '')
      const make = (api: OpenApi): CachedDocument =>
        wantsProtobuf
          ? createDocument(V2_PROTOBUF, api.v2Protobuf(), api.v2Hash())
          : createDocument('application/json', api.v2(), api.v2Hash())
      return keep(wantsProtobuf ? 'v2 protobuf' : 'v2', make)!
    },
    index: (prefix) =>
      keep(`index ${prefix}`, (api) => createDocument('application/json', withPrefix(api.v3Index(), prefix)))!,
    v3: (path) =>
      keep(`v3 ${path}`, (api) => {
        const bytes = api.v3(path)
        return bytes === undefined ? undefined : createDocument('application/json', bytes, api.v3Hash(path))
      }),
    v3Hash: (path) => current().v3Hash(path),
  }
}

function nameOf({ group, version, resource }: CustomResourceDescription): string {
  return `${group}/${version}/${resource}`
}

/** What is built in here and not upstream, or computed, is described as a custom resource is. */
function describe({ info, virtual, description }: ResourceDefinition): CustomResourceDescription[] {
  if (description !== undefined) return [description]
  if (virtual === undefined) return []
  const { group, version, resource, kind, listKind, namespaced, verbs } = info
  return [{ group, version, resource, kind, listKind, namespaced, verbs, subresources: [], schema: virtual.schema }]
}

function withPrefix({ paths }: ReturnType<OpenApi['v3Index']>, prefix: string): object {
  const urls = Object.entries(paths).map(([path, { serverRelativeURL }]): [string, object] => [
    path,
    { serverRelativeURL: prefix + serverRelativeURL },
  ])
  return { paths: Object.fromEntries(urls) }
}

/** A URL with an old hash is sent on to the present one. */
function serveV3(
  exchange: Exchange,
  { path, documents }: { readonly path: string; readonly documents: Documents },
): void {
  const hash = documents.v3Hash(path)
  if (hash === undefined) throw notFoundPath()
  const asked = exchange.query.get('hash')
  if (asked !== null && asked !== hash) {
    const prefix = tenantPrefixOf(exchange, `${V3_PREFIX}${path}`)
    return exchange.respond(301, { location: `${prefix}${V3_PREFIX}${path}?hash=${encodeURIComponent(hash)}` }, '')
  }
  const document = documents.v3(path)
  if (document === undefined) throw notFoundPath()
  respondDocument(exchange, document, asked === null ? 'no-cache, private' : IMMUTABLE)
}
