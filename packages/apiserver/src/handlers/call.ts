import { notFound } from '@centaurus/api'
import type { RequestContext } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import { readDryRun, readIncludeObject, readPretty } from '../request/query.ts'
import { negotiate } from '../respond/accept.ts'
import { possibleRepresentation, type EncoderOptions } from '../respond/encoder.ts'
import { respondObject } from '../respond/respond.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import { groupResource, type Target, type WriteRequest } from '../resource/target.ts'
import { waitSeen } from './arrived.ts'
import { parseRevision } from './list.ts'
import type { ServeDeps } from './serve-deps.ts'

/** One request for a resource that the server knows. */
export interface ResourceCall extends RequestContext {
  readonly exchange: Exchange
  readonly target: Target
  readonly definition: ResourceDefinition
}

/** How the call's answers are encoded. Throws NotAcceptable. */
export function encoderOptions(deps: ServeDeps, { exchange, definition }: ResourceCall): EncoderOptions {
  const { headers, query } = exchange
  return {
    definition,
    representation: possibleRepresentation(
      negotiate(headers['accept'], { pretty: readPretty(query, headers['user-agent']) }),
      definition,
    ),
    includeObject: readIncludeObject(query),
    nowMs: deps.clock.now(),
  }
}

/** The namespace that the call is about; `''` when the resource has none. */
export function namespaceOf({ definition, info }: ResourceCall): string {
  return definition.info.namespaced ? info.namespace : ''
}

/** A write on behalf of the call. */
export function writeRequest(call: ResourceCall, options: { readonly dryRun?: boolean } = {}): WriteRequest {
  const { exchange, target, user, info } = call
  return {
    target,
    user,
    info,
    namespace: namespaceOf(call),
    dryRun: options.dryRun ?? readDryRun(exchange.query),
    fieldManager: readFieldManager(exchange),
    asked: {
      fieldManager: exchange.query.get('fieldManager') ?? '',
      fieldValidation: exchange.query.get('fieldValidation') ?? '',
    },
    warn: (text) => addWarning(exchange, text),
  }
}

/** Source: RFC 7234 section 5.5, with code 299 as KEP-1693 has it. */
export function addWarning(exchange: Exchange, text: string): void {
  const line = text.replaceAll(/[\p{Cc}]/gu, ' ').replaceAll(/["\\]/g, '\\$&')
  // headers are bytes: UTF-8, which Node takes one by one
  const quoted = Buffer.from(line, 'utf8').toString('latin1')
  exchange.addHeader('Warning', `299 - "${quoted}"`)
}

/** Source: apiserver handlers/create.go managerOrUserAgent. */
function readFieldManager({ query, headers }: Exchange): string {
  const manager = query.get('fieldManager') ?? ''
  if (manager !== '') return manager
  return (headers['user-agent'] ?? '').split('/', 1)[0]!.slice(0, 128)
}

/** The key of the named object in its resource's cache. */
export function keyOf(call: ResourceCall): string {
  const namespace = namespaceOf(call)
  return namespace === '' ? call.info.name : `${namespace}/${call.info.name}`
}

export async function serveGet(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { exchange, target, info } = call
  const options = encoderOptions(deps, call)
  const resourceVersion = exchange.query.get('resourceVersion') ?? ''
  if (resourceVersion === '') await deps.cache.waitCurrent()
  else await waitSeen(deps, target, parseRevision(resourceVersion))
  const object = target.cache.get(keyOf(call))
  if (object === undefined) throw notFound(groupResource(target), info.name)
  respondObject(exchange, 200, { ...options, object })
}
