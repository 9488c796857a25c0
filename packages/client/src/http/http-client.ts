import { readFile } from 'node:fs/promises'
import type { SecureClientSessionOptions } from 'node:http2'
import type { KubeObject, ResourceType, Stored } from '@centaurus/api'
import type { Status } from '@centaurus/api/meta/v1'
import { systemClock, type Clock } from '@centaurus/base'
import type { Client, ClientWatch, ClientWatchOptions, ObjectList } from '../client.ts'
import {
  deleteBody,
  formatQuery,
  listQuery,
  objectPath,
  PATCH_CONTENT_TYPES,
  resourcePath,
  selectQuery,
  writeQuery,
} from '../paths.ts'
import { ConnectionPool, type LivenessOptions } from './connection.ts'
import { createRequester, type Requester } from './request.ts'
import { startWatch } from './watch.ts'

/** A file that a kubelet or operator rotates is read again after this long. Source: client-go transport/token_source.go (1 minute). */
const TOKEN_FILE_MAX_AGE_MS = 60_000

export interface HttpClientConfig {
  /** `https://host:port`, with a path when the API is served below one. `http://` is HTTP/2 without TLS, for tests. */
  readonly server: string
  /** Other addresses of the same API, tried in turn when one can't be reached; a path in them is ignored. */
  readonly alternatives?: readonly string[] | undefined
  /** PEM certificates to trust; absent: the system's. */
  readonly ca?: string | Uint8Array | undefined
  /** PEM client certificate; needs {@link key}. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  /** Bearer token, or a function that is asked before each request. */
  readonly token?: string | (() => string | Promise<string>) | undefined
  /** Sends requests to `/tenants/{tenant}/…`. */
  readonly tenant?: string | undefined
  readonly userAgent?: string | undefined
  /** Acts as another user, if the server lets this one. Source: client-go rest.ImpersonationConfig. */
  readonly impersonate?: { readonly user: string; readonly groups: readonly string[] } | undefined
  /** Name to verify the server's certificate against, when it is not the host. */
  readonly tlsServerName?: string | undefined
  readonly insecureSkipTlsVerify?: boolean | undefined
  readonly clock?: Clock | undefined
  /** How soon a server that went silent is noticed; default as Go's client. */
  readonly liveness?: LivenessOptions | undefined
}

/** The API over HTTP/2 and JSON. Connects on first use and reconnects by itself; a request that fails midway is the caller's to repeat. */
export function createHttpClient(config: HttpClientConfig): Client {
  const pool = createConnectionPool(config)
  return new HttpClient(createPooledRequester(config, pool), () => pool.close())
}

/** One set of connections for clients that act as different users. */
export interface SharedHttpClients {
  /** A client with these settings changed; closing it does nothing. */
  client(changes?: Pick<HttpClientConfig, 'impersonate' | 'tenant' | 'userAgent'>): Client
  /** Ends the connections, and with them every watch of every client. */
  close(): Promise<void>
}

/** As {@link createHttpClient}, for many clients of one server. */
export function createSharedHttpClients(config: HttpClientConfig): SharedHttpClients {
  const pool = createConnectionPool(config)
  return {
    client: (changes = {}) => new HttpClient(createPooledRequester({ ...config, ...changes }, pool), async () => {}),
    close: () => pool.close(),
  }
}

/** A client whose requests go through `requester`, such as one that hands them on within the process. Closing it does nothing. */
export function createRequesterClient(requester: Requester): Client {
  return new HttpClient(requester, async () => {})
}

function createPooledRequester(config: HttpClientConfig, pool: ConnectionPool): Requester {
  const url = new URL(config.server)
  const base =
    url.pathname.replace(/\/$/, '') +
    (config.tenant === undefined ? '' : `/tenants/${encodeURIComponent(config.tenant)}`)
  return createRequester({
    pool,
    pathPrefix: base,
    token: config.token,
    userAgent: config.userAgent ?? 'centaurus-client',
    clock: config.clock ?? systemClock,
    headers: impersonationHeaders(config.impersonate),
  })
}

function impersonationHeaders(impersonate: HttpClientConfig['impersonate']): Record<string, string | string[]> {
  if (impersonate === undefined) return {}
  return { 'impersonate-user': impersonate.user, 'impersonate-group': [...impersonate.groups] }
}

/** The connections that {@link createHttpClient} makes, for calls that are not the Kubernetes API's. */
export function createConnectionPool(config: HttpClientConfig): ConnectionPool {
  const origins = [config.server, ...(config.alternatives ?? [])].map((server) => new URL(server).origin)
  return new ConnectionPool({ origins, tls: tlsOptions(config), liveness: config.liveness })
}

/** Reads a bearer token from a file, again each minute, so that a rotated token is taken up. */
export function createFileTokenSource(path: string, clock: Clock = systemClock): () => Promise<string> {
  let token = ''
  let readAtMs = Number.NEGATIVE_INFINITY
  return async () => {
    if (clock.monotonicMs() - readAtMs > TOKEN_FILE_MAX_AGE_MS) {
      token = (await readFile(path, 'utf8')).trim()
      readAtMs = clock.monotonicMs()
    }
    return token
  }
}

class HttpClient implements Client {
  readonly #requester: Requester
  readonly #close: () => Promise<void>

  constructor(requester: Requester, close: () => Promise<void>) {
    this.#requester = requester
    this.#close = close
  }

  get: Client['get'] = (type, name, options = {}) =>
    this.#requester.call({ method: 'GET', path: objectPath(type, name), signal: options.signal })

  list: Client['list'] = async <T extends KubeObject>(type: ResourceType<T>, options = {}): Promise<ObjectList<T>> => {
    const path = resourcePath(type, options) + formatQuery(listQuery(options))
    const list = await this.#requester.call<RawList<T>>({ method: 'GET', path, signal: signalOf(options) })
    // Items of a list carry no type, and whoever gets one alone wants to know it.
    const apiVersion = type.group === '' ? type.version : `${type.group}/${type.version}`
    for (const item of list.items ?? []) {
      item.apiVersion ??= apiVersion
      item.kind ??= type.kind
    }
    const token = list.metadata.continue
    return {
      items: list.items ?? [],
      resourceVersion: list.metadata.resourceVersion ?? '',
      continue: token === '' ? undefined : token,
    }
  }

  create: Client['create'] = (type, object, options = {}) => {
    const path = resourcePath(type, { namespace: object.metadata.namespace }) + formatQuery(writeQuery(options))
    return this.#requester.call({ method: 'POST', path, body: object, signal: options.signal })
  }

  update: Client['update'] = (type, object, options = {}) => {
    const path = objectPath(type, nameOf(object)) + formatQuery(writeQuery(options))
    return this.#requester.call({ method: 'PUT', path, body: object, signal: options.signal })
  }

  updateStatus: Client['updateStatus'] = (type, object, options = {}) => {
    const path = objectPath(type, nameOf(object), 'status') + formatQuery(writeQuery(options))
    return this.#requester.call({ method: 'PUT', path, body: object, signal: options.signal })
  }

  patch: Client['patch'] = (type, name, patch, options = {}) =>
    this.#requester.call({
      method: 'PATCH',
      path: objectPath(type, name, options.subresource) + formatQuery(writeQuery(options)),
      body: patch.body,
      contentType: PATCH_CONTENT_TYPES[patch.type],
      signal: options.signal,
    })

  delete: Client['delete'] = <T extends KubeObject>(
    type: ResourceType<T>,
    name: { namespace?: string | undefined; name: string },
    options = {},
  ) =>
    this.#requester.call<Stored<T> | Status>({
      method: 'DELETE',
      path: objectPath(type, name),
      body: deleteBody(options),
      signal: signalOf(options),
    })

  deleteCollection: Client['deleteCollection'] = async (type, options = {}) => {
    const path = resourcePath(type, options) + formatQuery(listQuery(options))
    await this.#requester.call({ method: 'DELETE', path, body: deleteBody(options), signal: options.signal })
  }

  watch = <T extends KubeObject>(type: ResourceType<T>, options: ClientWatchOptions<T>): ClientWatch => {
    const query = formatQuery({
      ...selectQuery(options),
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion: options.resourceVersion,
    })
    return startWatch(this.#requester, resourcePath(type, options) + query, options)
  }

  createSubresource: Client['createSubresource'] = (type, name, subresource, body, options = {}) => {
    const path = objectPath(type, name, subresource) + formatQuery(writeQuery(options))
    return this.#requester.call({ method: 'POST', path, body, signal: options.signal })
  }

  getSubresource: Client['getSubresource'] = (type, name, subresource, options = {}) =>
    this.#requester.call({ method: 'GET', path: objectPath(type, name, subresource), signal: options.signal })

  updateSubresource: Client['updateSubresource'] = (type, name, subresource, body, options = {}) => {
    const path = objectPath(type, name, subresource) + formatQuery(writeQuery(options))
    return this.#requester.call({ method: 'PUT', path, body, signal: options.signal })
  }

  close(): Promise<void> {
    return this.#close()
  }
}

interface RawList<T> {
  items?: Stored<T>[] | null
  metadata: { resourceVersion?: string; continue?: string }
}

function signalOf(options: { readonly signal?: AbortSignal | undefined }): AbortSignal | undefined {
  return options.signal
}

function nameOf(object: KubeObject): { namespace?: string | undefined; name: string } {
  return { namespace: object.metadata.namespace, name: object.metadata.name ?? '' }
}

function tlsOptions(config: HttpClientConfig): SecureClientSessionOptions {
  const buffer = (value: string | Uint8Array): string | Buffer =>
    typeof value === 'string' ? value : Buffer.from(value)
  return {
    ...(config.ca === undefined ? {} : { ca: buffer(config.ca) }),
    ...(config.cert === undefined ? {} : { cert: buffer(config.cert) }),
    ...(config.key === undefined ? {} : { key: buffer(config.key) }),
    ...(config.tlsServerName === undefined ? {} : { servername: config.tlsServerName }),
    ...(config.insecureSkipTlsVerify === true ? { rejectUnauthorized: false } : {}),
  }
}
