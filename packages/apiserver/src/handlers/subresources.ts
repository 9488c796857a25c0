import { methodNotAllowed, notFoundPath } from '@centaurus/api'
import { serveGet, type ResourceCall } from './call.ts'
import { hasStatusSubresource, statusStrategy } from './prepare.ts'
import type { ServeDeps } from './serve-deps.ts'
import { servePatch } from './serve-patch.ts'
import { serveUpdate } from './serve-update.ts'

/** Handles a request for a subresource. Throws `StatusError`. */
export async function serveSubresource(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { info, definition } = call
  const connector = deps.connectors.find(
    (entry) => entry.group === info.group && entry.resource === info.resource && entry.subresource === info.subresource,
  )
  if (connector !== undefined) return connector.connect(call.exchange, call)
  if (info.subresource === 'status' && hasStatusSubresource(definition)) {
    const strategy = statusStrategy(deps, definition)
    switch (info.verb) {
      case 'get':
        return serveGet(deps, call)
      case 'update':
        return serveUpdate(deps, call, strategy)
      case 'patch':
        return servePatch(deps, call, strategy)
      default:
        throw methodNotAllowed(definition.info, info.verb)
    }
  }
  throw notFoundPath()
}
