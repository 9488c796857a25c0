import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'
import type { Authenticator, Authorizer } from './access/access.ts'
import { builtInAdmission, type AdmissionOptions } from './admission/built-in.ts'
import { bootstrapObjects } from './admission/bootstrap.ts'
import type {
  ApiServerCore,
  Connector,
  CreateExtension,
  NonResourceRoute,
  ObjectAction,
  WriteCheck,
} from './extension.ts'
import { serveResource } from './handlers/dispatch.ts'
import { healthRoutes, versionRoute, type HealthChecks } from './handlers/health.ts'
import type { ServeDeps } from './handlers/serve-deps.ts'
import type { Exchange } from './http/exchange.ts'
import { listen, type Listener, type ListenerOptions } from './http/listener.ts'
import { createInProcessClient } from './in-process-client/in-process-client.ts'
import { createServerMetrics } from './metrics/server-metrics.ts'
import { createPipeline } from './request/pipeline.ts'
import { SYSTEM_TENANT, type UserInfo } from './request/request-info.ts'
import { RouteTable } from './request/routes.ts'
import { builtInDefinitions } from './resource/built-in.ts'
import { createReader } from './resource/cache-reader.ts'
import type { ObjectReader } from './resource/object-reader.ts'
import { ResourceRegistry } from './resource/registry.ts'
import { WatchCache } from './watch-cache/watch-cache.ts'

export interface ApiServerDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Set up in this order: authentication, authorization, discovery, custom resources, proxying … */
  readonly extensions?: readonly CreateExtension[] | undefined
  readonly admission?: AdmissionOptions | undefined
}

/** The user of calls that the server makes to itself. Source: apiserver's loopback client. */
export const SERVER_USER: UserInfo = {
  name: 'system:apiserver',
  uid: '',
  groups: ['system:masters', 'system:authenticated'],
  extra: {},
  tenant: SYSTEM_TENANT,
}

/** The API of one partition. Without authorizer extensions everybody may do everything. */
export interface ApiServer {
  readonly registry: ResourceRegistry
  readonly reader: ObjectReader
  /** Loads the cache, makes the objects that every cluster has, and starts the extensions. */
  start(): Promise<void>
  /** Takes requests on a port; may be called more than once. */
  listen(options: ListenerOptions): Promise<Listener>
  /** Handles one exchange from a listener of the caller's own. */
  handle(exchange: Exchange): void
  /** A client in this process that acts as `user` and is not authorized again: for parts of the control plane. */
  client(user?: UserInfo): Client
  /** Ends watches and listeners. The store stays open: it is the caller's. */
  close(): Promise<void>
}

/**
 * Makes the server; nothing is read or served before `start`. Extensions are set up in their order. The store belongs to the caller,
 * and may be shared with other servers of the same partition.
 */
export function createApiServer(deps: ApiServerDeps): ApiServer {
  const { store, clock, random, logger } = deps
  const cache = new WatchCache({ store, clock, logger })
  const registry = new ResourceRegistry(builtInDefinitions())
  const reader = createReader(cache)
  const parts = emptyParts()
  const metrics = createServerMetrics({ cache, registry, clock })
  const serveDeps: ServeDeps = {
    store,
    cache,
    clock,
    random,
    logger,
    registry,
    admission: builtInAdmission(deps.admission ?? {}),
    admissionContext: { reader, random, clock, cache, registry },
    writeChecks: parts.writeChecks,
    connectors: parts.connectors,
    actions: parts.actions,
  }
  const client = (user: UserInfo = SERVER_USER): Client => createInProcessClient(serveDeps, user)
  addExtensions(parts, deps.extensions ?? [], { registry, reader, client: client(), clock, random, logger })
  parts.routes.add([
    ...healthRoutes(() => healthChecks(cache, parts)),
    versionRoute,
    metrics.route,
    rootRoute(parts.routes),
  ])
  const handle = createPipeline({
    authenticators: parts.authenticators,
    authorizers: parts.authorizers.length > 0 ? parts.authorizers : [ALLOW_ALL],
    routes: parts.routes,
    logger,
    serveResource: (exchange, context) => serveResource(serveDeps, exchange, context),
    observe: metrics.observe,
  })
  const listeners: Listener[] = []
  return {
    registry,
    reader,
    handle,
    client,
    async start() {
      await cache.start()
      await bootstrapObjects(client(), deps.admission ?? {})
      for (const start of parts.starts) await start()
    },
    async listen(options) {
      const listener = await listen(options, { clock, logger, handle })
      listeners.push(listener)
      return listener
    },
    async close() {
      cache.close()
      await Promise.all(listeners.map((listener) => listener.close()))
      for (const close of parts.closes.toReversed()) await close()
    },
  }
}

/** What the extensions bring, in the order of the extensions. */
interface Parts {
  readonly authenticators: Authenticator[]
  readonly authorizers: Authorizer[]
  readonly routes: RouteTable
  readonly connectors: Connector[]
  readonly actions: ObjectAction[]
  readonly writeChecks: WriteCheck[]
  readonly readiness: Record<string, () => void>
  readonly starts: (() => Promise<void>)[]
  readonly closes: (() => Promise<void>)[]
}

function emptyParts(): Parts {
  return {
    authenticators: [],
    authorizers: [],
    routes: new RouteTable(),
    connectors: [],
    actions: [],
    writeChecks: [],
    readiness: {},
    starts: [],
    closes: [],
  }
}

function addExtensions(parts: Parts, extensions: readonly CreateExtension[], core: ApiServerCore): void {
  for (const create of extensions) {
    const extension = create(core)
    if (extension.authenticator !== undefined) parts.authenticators.push(extension.authenticator)
    if (extension.authorizer !== undefined) parts.authorizers.push(extension.authorizer)
    parts.routes.add(extension.routes ?? [])
    parts.connectors.push(...(extension.connectors ?? []))
    parts.actions.push(...(extension.actions ?? []))
    parts.writeChecks.push(...(extension.writeChecks ?? []))
    Object.assign(parts.readiness, extension.readiness)
    if (extension.start !== undefined) parts.starts.push(() => extension.start!())
    if (extension.close !== undefined) parts.closes.push(() => extension.close!())
  }
}

const ALLOW_ALL: Authorizer = { authorize: () => ({ allowed: true, reason: '' }) }

function healthChecks(cache: WatchCache, parts: Parts): { live: HealthChecks; ready: HealthChecks } {
  const checkCache = (): void => {
    if (!cache.live) throw new Error('the watch of the store is not running')
  }
  return { live: { ping: () => {} }, ready: { 'watch-cache': checkCache, ...parts.readiness } }
}

function rootRoute(routes: RouteTable): NonResourceRoute {
  return {
    path: '/',
    methods: ['GET'],
    handle: (exchange) => {
      const body = JSON.stringify({ paths: routes.paths() })
      exchange.respond(200, { 'content-type': 'application/json' }, body)
    },
  }
}
