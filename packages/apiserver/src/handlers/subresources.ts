import { methodNotAllowed, notFound, notFoundPath, type KubeObject } from '@centaurus/api'
import type { Scale } from '@centaurus/api/autoscaling/v1'
import type { Binding } from '@centaurus/api/core/v1'
import type { Eviction } from '@centaurus/api/policy/v1'
import { readFieldValidation } from '../request/query.ts'
import { respondValue } from '../respond/respond.ts'
import { groupResource } from '../resource/target.ts'
import { reviewOwnKind } from '../admission/review-write.ts'
import { bindPod } from './binding.ts'
import { addWarning, encoderOptions, keyOf, serveGet, writeRequest, type ResourceCall } from './call.ts'
import { readObject, requireSchema } from './decode-body.ts'
import { evictPod } from './eviction.ts'
import { getScale, patchScale, updateScale } from './scale.ts'
import type { ServeDeps } from './serve-deps.ts'
import { readPatch, servePatch } from './serve-patch.ts'
import { serveUpdate } from './serve-update.ts'
import { reviewConnect } from './review-connect.ts'
import { strategyFor } from './strategies.ts'
import { runWriteChecks } from './write-checks.ts'

/** Handles a request for a subresource. Throws `StatusError`. */
export async function serveSubresource(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { info, definition } = call
  const { group, resource, subresource, verb } = info
  const isThis = (entry: { group: string; resource: string; subresource: string }): boolean =>
    entry.group === group && entry.resource === resource && entry.subresource === subresource
  const connector = deps.connectors.find(isThis)
  if (connector !== undefined) {
    await reviewConnect(deps, call)
    return connector.connect(call.exchange, call)
  }
  const action = deps.actions.find(isThis)
  if (action !== undefined) return serveAction(deps, call, action)
  const known = definition.info.subresources.find((entry) => entry.name === subresource)
  if (known === undefined) throw notFoundPath()
  if (!known.verbs.includes(verb)) throw methodNotAllowed()
  if (subresource === 'scale') return serveScale(deps, call)
  if (group === '' && resource === 'pods' && subresource === 'binding') return serveBinding(deps, call)
  if (group === '' && resource === 'pods' && subresource === 'eviction') return serveEviction(deps, call)
  const strategy = strategyFor(deps, definition, subresource)
  if (strategy === undefined) throw notFoundPath()
  if (verb === 'get') return serveGet(deps, call)
  return verb === 'patch' ? servePatch(deps, call, strategy) : serveUpdate(deps, call, strategy)
}

interface BodyKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

/** The body as one of the subresource's own kind, such as Scale or Eviction. */
async function readBodyOf({ exchange }: ResourceCall, expected: BodyKind): Promise<KubeObject> {
  const { object, warnings } = await readObject(exchange, {
    expected,
    schema: requireSchema(expected),
    fieldValidation: readFieldValidation(exchange.query),
  })
  for (const warning of warnings) addWarning(exchange, warning)
  return object
}

async function serveAction(deps: ServeDeps, call: ResourceCall, action: ServeDeps['actions'][number]): Promise<void> {
  const { definition, info, exchange, target } = call
  if (info.verb !== 'create') throw methodNotAllowed()
  const { representation } = encoderOptions(deps, call)
  const kind = definition.info.subresources.find((entry) => entry.name === info.subresource)
  if (kind === undefined) throw notFoundPath()
  const body = await readBodyOf(call, kind)
  await deps.cache.waitCurrent()
  const owner = target.cache.get(keyOf(call))
  if (owner === undefined) throw notFound(groupResource(target), info.name)
  const request = writeRequest(call)
  const { subresource } = info
  runWriteChecks(deps, { request, operation: 'create', subresource, draft: body, old: owner.object() })
  const reviewed = await reviewOwnKind(deps.admissionContext, request, {
    operation: 'CREATE',
    subresource,
    name: info.name,
    object: body,
    kind,
  })
  respondValue(exchange, 201, { value: await action.run(reviewed, call), representation })
}

const SCALE: BodyKind = { group: 'autoscaling', version: 'v1', kind: 'Scale' }

async function serveScale(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { exchange, info, target } = call
  const { representation } = encoderOptions(deps, call)
  const respond = (value: Scale): void => respondValue(exchange, 200, { value, representation })
  if (info.verb === 'get') return respond(await getScale(deps, target, keyOf(call)))
  if (info.verb === 'patch') {
    const patch = await readPatch(exchange)
    const change = (scale: Scale): Scale => patchScale(scale, patch)
    return respond(await updateScale(deps, writeRequest(call), { name: info.name, change }))
  }
  const wanted = (await readBodyOf(call, SCALE)) as Scale
  respond(await updateScale(deps, writeRequest(call), { name: info.name, change: () => wanted }))
}

async function serveBinding(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { representation } = encoderOptions(deps, call)
  const binding = (await readBodyOf(call, { group: '', version: 'v1', kind: 'Binding' })) as Binding
  const value = await bindPod(deps, writeRequest(call), { name: call.info.name, binding })
  respondValue(call.exchange, 201, { value, representation })
}

async function serveEviction(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { representation } = encoderOptions(deps, call)
  const eviction = (await readBodyOf(call, { group: 'policy', version: 'v1', kind: 'Eviction' })) as Eviction
  const value = await evictPod(deps, writeRequest(call), { name: call.info.name, eviction })
  respondValue(call.exchange, 201, { value, representation })
}
