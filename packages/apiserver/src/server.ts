import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'
import type { Authorizer } from './access/access.ts'
import { createUnionAuthorizer } from './access/authorizer.ts'
import { builtInAdmission, type AdmissionOptions } from './admission/built-in.ts'
import { hookLimitChecks } from './admission/hook-limits.ts'
import { paramAccessChecks } from './admission/policies/param-access.ts'
import { Reviews } from './admission/reviews.ts'
import { bootstrapObjects } from './admission/bootstrap.ts'
import { addExtensions, emptyParts, type ExtensionParts } from './extension-parts.ts'
import type { ApiServerCore, CreateExtension, NonResourceRoute } from './extension.ts'
import { tenantUsage, tenantUsageKey } from './admission/tenant-quota.ts'
import { RequestLimits } from './fairness/request-limits.ts'
import { serveResource } from './handlers/dispatch.ts'
import { Lanes } from './handlers/lanes.ts'
import { healthRoutes, versionRoute, type HealthChecks } from './handlers/health.ts'
import type { ServeDeps } from './handlers/serve-deps.ts'
import type { Exchange } from './http/exchange.ts'
import { listen, type ListenerDeps } from './http/listener.ts'
import type { Listener, ListenerOptions } from './http/secure-server.ts'
import { createInProcessClient } from './in-process-client/in-process-client.ts'
import { createServerMetrics } from './metrics/server-metrics.ts'
import { createPipeline } from './request/pipeline.ts'
import { SYSTEM_TENANT, type UserInfo } from './request/request-info.ts'
import type { RouteTable } from './request/routes.ts'
import { builtInDefinitions } from './resource/built-in.ts'
import { createReader } from './resource/cache-reader.ts'
import type { ObjectReader } from './resource/object-reader.ts'
import type { StoredObjects } from './resource/stored-objects.ts'
import { ResourceRegistry } from './resource/registry.ts'
import { EpochFences } from './storage/epochs.ts'
import { TenantRegistries } from './resource/tenant-registries.ts'
import { RegistryTenants, type TenantDirectory } from './tenants/tenant-directory.ts'
import { WatchCache } from './watch-cache/watch-cache.ts'

export interface ApiServerDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Set up in this order: authentication, authorization, discovery, custom resources, proxying … */
  readonly extensions?: readonly CreateExtension[] | undefined
  readonly admission?: AdmissionOptions | undefined
  /** Name of this partition: it serves the tenants that the registry gives it. Absent: it serves all that are given to any. */
  readonly partition?: string | undefined
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
  /** What is served in `system`. */
  readonly registry: ResourceRegistry
  /** What is served in each tenant. */
  readonly registries: TenantRegistries
  readonly reader: ObjectReader
  /** The same of all tenants, as the store holds it. */
  readonly stored: StoredObjects
  readonly tenants: TenantDirectory
  /** Makes what every tenant has (namespaces, roles, its own `kubernetes` Service), for one that is new. Safe to run again. */
  bootstrapTenant(tenant: string): Promise<void>
  /** What a tenant that is served here uses of its quota now; undefined for others. */
  tenantUsage(tenant: string): Readonly<Record<string, string>> | undefined
  /** Forgets what a tenant used whose objects are all gone. */
  dropTenantUsage(tenant: string): Promise<void>
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
  const { clock, random, logger } = deps
  const parts = emptyParts(builtInAdmission(deps.admission ?? {}))
  const serveDeps = createServeDeps(deps, parts)
  const { cache, registry, registries, reader, tenants } = serveDeps
  const metrics = createServerMetrics({ cache, registries, clock })
  serveDeps.admissionContext.reviews.onCall = (report) => metrics.observeWebhook(report)
  const client = (user: UserInfo = SERVER_USER): Client => createInProcessClient(serveDeps, user)
  const clientOf = (tenant: string): Client => client({ ...SERVER_USER, tenant })
  const own = { stored: cache, client: client(), handle: (exchange: Exchange) => handle(exchange) }
  const mine = { registry, registries, reader, tenants, metrics: metrics.registry }
  const core: ApiServerCore = { ...own, ...mine, clientOf, clock, random, logger }
  addExtensions(parts, deps.extensions ?? [], core)
  parts.routes.add([
    ...healthRoutes(() => healthChecks(cache, parts)),
    versionRoute,
    metrics.route,
    rootRoute(parts.routes),
  ])
  const handle = createPipeline({
    ...parts,
    authorizers: parts.authorizers.length > 0 ? parts.authorizers : [ALLOW_ALL],
    tenants,
    limits: new RequestLimits({ clock, tenants }),
    logger,
    serveResource: (exchange, context) => serveResource(serveDeps, exchange, context),
    observe: metrics.observe,
  })
  const door = createDoor({ clock, logger, handle })
  return {
    registry,
    registries,
    reader,
    stored: cache,
    tenants,
    handle,
    client,
    async bootstrapTenant(tenant) {
      await bootstrapObjects(clientOf(tenant), { ...deps.admission, tenant })
      for (const bootstrap of parts.tenantBootstraps) await bootstrap(tenant)
    },
    tenantUsage(name) {
      const tenant = tenants.find(name)
      return tenant?.isHosted === true ? tenantUsage(tenant, { cache, registries }) : undefined
    },
    async dropTenantUsage(name) {
      await deps.store.commit({ changes: [{ type: 'delete', key: tenantUsageKey(name) }] })
    },
    async start() {
      await cache.start()
      tenants.start()
      followTenants(cache, tenants)
      await bootstrapObjects(client(), deps.admission ?? {})
      for (const start of parts.starts) await start()
    },
    listen: door.listen,
    async close() {
      tenants.close()
      cache.close()
      for (const drain of parts.drains) drain()
      await door.close()
      serveDeps.admissionContext.reviews.close()
      for (const close of parts.closes.toReversed()) await close()
    },
  }
}

/** A tenant's watches go on elsewhere when it leaves; those of a time before it came (back) resume where it came, or begin with a list. */
function followTenants(cache: WatchCache, tenants: TenantDirectory): void {
  const hosted = new Set(tenants.hosted())
  tenants.onChange((tenant) => {
    if (tenants.find(tenant) === undefined) cache.forgetTenant(tenant)
    if (tenants.isHosted(tenant) === hosted.has(tenant)) return
    if (!hosted.delete(tenant)) hosted.add(tenant)
    cache.moveTenant(tenant, { isHere: tenants.isHosted(tenant) })
  })
}

interface CoreDeps extends ServeDeps {
  readonly reader: ObjectReader
  readonly tenants: RegistryTenants
}

function createServeDeps(deps: ApiServerDeps, parts: ExtensionParts): CoreDeps {
  const { store, clock, random, logger, partition } = deps
  const cache = new WatchCache({ store, clock, logger })
  const registry = new ResourceRegistry(builtInDefinitions())
  const registries = new TenantRegistries(registry)
  const reader = createReader(cache)
  const tenants = new RegistryTenants(reader, partition)
  const authorizer = authorizerOf(parts)
  const known = { reader, random, clock, cache, registries, tenants }
  parts.writeChecks.push(...paramAccessChecks({ reader, registries, authorizer }), ...hookLimitChecks(reader))
  const reviews = new Reviews({ ...known, authorizer, logger }, deps.admission)
  return {
    store,
    cache,
    clock,
    random,
    logger,
    registry,
    registries,
    reader,
    tenants,
    lanes: new Lanes(),
    epochs: new EpochFences(store),
    admission: parts.admission,
    admissionContext: { ...known, reviews },
    writeChecks: parts.writeChecks,
    connectors: parts.connectors,
    actions: parts.actions,
    writeForwarders: parts.writeForwarders,
    watchFollowers: parts.watchFollowers,
  }
}

/** The ports that requests come in by. */
function createDoor(deps: ListenerDeps): Pick<ApiServer, 'listen' | 'close'> {
  const listeners: Listener[] = []
  return {
    async listen(options) {
      const listener = await listen(options, deps)
      listeners.push(listener)
      return listener
    },
    async close() {
      await Promise.all(listeners.map((listener) => listener.close()))
    },
  }
}

const ALLOW_ALL: Authorizer = { authorize: () => ({ allowed: true, reason: '' }) }

/** Asks whatever authorizers the extensions have brought by then. */
function authorizerOf({ authorizers }: ExtensionParts): Authorizer {
  const union = createUnionAuthorizer(authorizers)
  return { authorize: (attributes) => (authorizers.length === 0 ? ALLOW_ALL : union).authorize(attributes) }
}

function healthChecks(cache: WatchCache, parts: ExtensionParts): { live: HealthChecks; ready: HealthChecks } {
  const checkCache = (): void => {
    if (!cache.live) throw new Error('the watch of the store is not running')
  }
  return { live: { ping: () => {} }, ready: { 'watch-cache': checkCache, ...parts.readiness } }
}

function rootRoute(routes: RouteTable): NonResourceRoute {
  return {
    path: '/',
    methods: ['GET'],
    forTenants: true,
    handle: (exchange, { info }) => {
      const body = JSON.stringify({ paths: routes.paths({ forTenants: info.tenant !== SYSTEM_TENANT }) })
      exchange.respond(200, { 'content-type': 'application/json' }, body)
    },
  }
}
