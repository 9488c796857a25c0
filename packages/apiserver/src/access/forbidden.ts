import { forbidden, type StatusError } from '@centaurus/api'
import type { AuthorizationAttributes } from './access.ts'
import { combinedResource } from './rbac/rule.ts'

/**
 * 403 for a request that no authorizer allowed, in upstream's words; `reason` (may be empty) ends the message.
 * Source: apiserver pkg/endpoints/handlers/responsewriters/errors.go (v0.37).
 */
export function forbiddenRequest(attributes: AuthorizationAttributes, reason: string): StatusError {
  const message = escapeMarkup(describeRefusal(attributes))
  const why = reason === '' ? message : `${message}: ${reason}`
  return forbidden({ group: attributes.group, resource: attributes.resource }, attributes.name, why)
}

function describeRefusal(attributes: AuthorizationAttributes): string {
  const { user, verb, path, group, namespace } = attributes
  const who = `User ${JSON.stringify(user.name)} cannot ${verb}`
  if (!attributes.isResourceRequest) return `${who} path ${JSON.stringify(path)}`
  const what = `resource ${JSON.stringify(combinedResource(attributes))} in API group ${JSON.stringify(group)}`
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`
  return `${who} ${what} ${where}`
}

/** Browsers must not take the message for a page. */
function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
