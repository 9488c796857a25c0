import { randomUUID } from 'node:crypto'
import { methodNotAllowed, notFoundPath } from '@centaurus/api'
import type { Logger } from '@centaurus/base'
import type { Authenticator, Authorizer } from '../access/access.ts'
import type { Forward, NonResourceRoute, RequestContext } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import type { RequestLimits } from '../fairness/request-limits.ts'
import { respondError } from '../respond/respond.ts'
import type { TenantDirectory } from '../tenants/tenant-directory.ts'
import { attributesOf, authenticate, authorize, forbiddenRequest } from './authenticate.ts'
import { isView } from '../views/view-names.ts'
import { effectiveTenant } from './effective-tenant.ts'
import { impersonate } from './impersonate.ts'
import { parsePlainInfo, parseRequestInfo } from './parse-request-info.ts'
import { SYSTEM_TENANT, type RequestInfo, type UserInfo } from './request-info.ts'
import type { RouteTable } from './routes.ts'

export interface PipelineDeps {
  readonly authenticators: readonly Authenticator[]
  readonly authorizers: readonly Authorizer[]
  readonly routes: RouteTable
  readonly tenants: TenantDirectory
  /** Asked, in their order, to take over a request of a tenant that the registry knows; true: it did. */
  readonly forwarders: readonly Forward[]
  readonly limits: RequestLimits
  readonly logger: Logger
  readonly serveResource: (exchange: Exchange, context: RequestContext) => Promise<void>
  /** Told of each request before it is answered; without a context when it could not be understood. */
  readonly observe: (exchange: Exchange, context: RequestContext | undefined) => void
}

/** The function that takes each exchange from the listener to its answer. It never throws. */
export function createPipeline(deps: PipelineDeps): (exchange: Exchange) => void {
  return (exchange) => void handle(deps, exchange)
}

async function handle(deps: PipelineDeps, exchange: Exchange): Promise<void> {
  let context: RequestContext | undefined
  try {
    exchange.addHeader('Audit-Id', exchange.headers['audit-id'] ?? randomUUID())
    const asked = parseRequestInfo(exchange)
    const caller = await authenticate(deps.authenticators, exchange)
    if (await forward(deps, exchange, { user: caller, named: asked.tenant })) return
    const understood = (context = understand(deps, exchange, { caller, asked }))
    deps.observe(exchange, understood)
    await deps.limits.run(exchange, understood, () => serve(deps, exchange, understood))
  } catch (error) {
    if (context === undefined) deps.observe(exchange, undefined)
    respondError(exchange, error, deps.logger)
  }
}

/**
 * Who asks for what. A tenant that the caller can't reach makes the path what it would be without tenants: one that does not exist,
 * which is answered as any other such path.
 */
function understand(
  { authorizers, tenants }: PipelineDeps,
  exchange: Exchange,
  { caller, asked }: { readonly caller: UserInfo; readonly asked: RequestInfo },
): RequestContext {
  if (!tenants.isHosted(caller.tenant)) throw notFoundPath()
  const isHosted = (tenant: string): boolean => tenants.isHosted(tenant)
  const reached = effectiveTenant(caller, asked.tenant, isHosted)
  const user = impersonate(authorizers, caller, { headers: exchange.headers, tenant: reached ?? caller.tenant })
  const tenant = reached === undefined ? undefined : effectiveTenant(user, asked.tenant, isHosted)
  if (tenant === undefined) return { user, info: { ...parsePlainInfo(exchange), tenant: user.tenant } }
  // what is no resource is the same in all views, and in the tenant of those who look at them
  return { user, info: { ...asked, tenant: isView(tenant) && !asked.isResourceRequest ? SYSTEM_TENANT : tenant } }
}

async function serve(deps: PipelineDeps, exchange: Exchange, context: RequestContext): Promise<void> {
  const { user, info } = context
  const attributes = attributesOf(user, info, exchange)
  authorize(deps.authorizers, attributes)
  if (info.isResourceRequest) return deps.serveResource(exchange, context)
  const route = deps.routes.find(info.path)
  if (route === undefined) return respondNoRoute(exchange)
  // inside a tenant, what tells of the whole partition is refused, even to who may do everything there
  if (info.tenant !== SYSTEM_TENANT && route.forTenants !== true) throw forbiddenRequest(attributes, '')
  await serveRoute(route, exchange, context)
}

/** Offers a tenant's request to who reaches the partition that serves the tenant, if it is another one. */
async function forward(
  { tenants, forwarders }: PipelineDeps,
  exchange: Exchange,
  { user, named }: { readonly user: UserInfo; readonly named: string },
): Promise<boolean> {
  if (forwarders.length === 0) return false
  const tenant = user.tenant === SYSTEM_TENANT ? named : user.tenant
  if (tenant === '' || tenants.find(tenant) === undefined) return false
  if (user.groups.includes('system:unauthenticated')) return false
  for (const attempt of forwarders) if (await attempt(exchange, { user, tenant })) return true
  return false
}

/** Beside the API, what is not there is told in plain text. Source: what kube-apiserver v1.37 answers. */
function respondNoRoute(exchange: Exchange): void {
  exchange.respond(404, { 'content-type': 'text/plain; charset=utf-8' }, '404 page not found\n')
}

async function serveRoute(route: NonResourceRoute, exchange: Exchange, context: RequestContext): Promise<void> {
  if (!route.methods.includes(exchange.method)) {
    throw methodNotAllowed()
  }
  await route.handle(exchange, context)
}
