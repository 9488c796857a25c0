import { randomUUID } from 'node:crypto'
import { methodNotAllowed, notFoundPath } from '@centaurus/api'
import type { Logger } from '@centaurus/base'
import type { Authenticator, Authorizer } from '../access/access.ts'
import type { NonResourceRoute, RequestContext } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import { respondError } from '../respond/respond.ts'
import { attributesOf, authenticate, authorize } from './authenticate.ts'
import { effectiveTenant } from './effective-tenant.ts'
import { impersonate } from './impersonate.ts'
import { parseRequestInfo } from './parse-request-info.ts'
import type { RouteTable } from './routes.ts'

export interface PipelineDeps {
  readonly authenticators: readonly Authenticator[]
  readonly authorizers: readonly Authorizer[]
  readonly routes: RouteTable
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
    const user = impersonate(deps.authorizers, caller, exchange)
    const tenant = effectiveTenant(user, asked)
    if (tenant === undefined) throw notFoundPath()
    const info = tenant === asked.tenant ? asked : { ...asked, tenant }
    context = { user, info }
    deps.observe(exchange, context)
    authorize(deps.authorizers, attributesOf(user, info, exchange))
    if (info.isResourceRequest) return await deps.serveResource(exchange, context)
    const route = deps.routes.find(info.path)
    if (route === undefined) return respondNoRoute(exchange)
    await serveRoute(route, exchange, context)
  } catch (error) {
    if (context === undefined) deps.observe(exchange, undefined)
    respondError(exchange, error, deps.logger)
  }
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
