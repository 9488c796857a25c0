import { isStatus } from '@centaurus/api'
import { REQUEST_BODY_BYTES_MAX } from '../http/limits.ts'
import { respondObject } from '../respond/respond.ts'
import { createObject } from './create.ts'
import { decodeDefined, toStored } from './decode-body.ts'
import { addWarning, encoderOptions, writeRequest, type ResourceCall } from './call.ts'
import { serveRenewal } from './serve-renewal.ts'
import { copyOf, updateObject } from './update.ts'
import type { UpdateStrategy } from './prepare.ts'
import type { ServeDeps } from './serve-deps.ts'

/** Answers PUT of an object or of a subresource that has the object's own kind. */
export async function serveUpdate(deps: ServeDeps, call: ResourceCall, strategy: UpdateStrategy): Promise<void> {
  const { exchange, definition, info } = call
  const options = encoderOptions(deps, call)
  const body = await exchange.readBody(REQUEST_BODY_BYTES_MAX)
  if (await serveRenewal(deps, call, body)) return
  const { object, warnings } = decodeDefined(exchange, definition, body)
  for (const warning of warnings) addWarning(exchange, warning)
  const draft = toStored(definition, object)
  const request = writeRequest(call)
  const isCreating = strategy.subresource === '' && definition.behavior.allowCreateOnUpdate === true
  try {
    // An attempt may change its draft, so each gets a copy.
    const updated = await updateObject(deps, request, { name: info.name, strategy, change: () => copyOf(draft) })
    respondObject(exchange, 200, { ...options, object: updated.object })
  } catch (error) {
    if (!isCreating || !isStatus(error, 'NotFound')) throw error
    draft.metadata.name ??= info.name
    const created = await createObject(deps, request, draft)
    respondObject(exchange, 201, { ...options, object: created })
  }
}
