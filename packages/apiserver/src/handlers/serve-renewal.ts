import { mutateByAdmission, validateByAdmission, type AdmittedWrite } from '../admission/admission.ts'
import { respondObject } from '../respond/respond.ts'
import { asBuffer } from '../storage/encoding.ts'
import { encoderOptions, keyOf, writeRequest, type ResourceCall } from './call.ts'
import { commitPut } from './commit.ts'
import { expectedKind, parseProtobuf, readContentType } from './decode-body.ts'
import { fillUpdatedMetadata, type AnyObject } from './prepare.ts'
import { isLease, planRenewal } from './renewal.ts'
import type { ServeDeps } from './serve-deps.ts'
import { runWriteChecks } from './write-checks.ts'

/** How the server writes a time with microseconds; another form goes the long way, which normalizes it. */
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/

/**
 * Answers a PUT that does nothing but renew a Lease: it is compared with what is stored and needs no decoding by schema, defaults or field tracking.
 * Returns false when it is anything else, or comes late; nothing was written or answered then, and the long way says what is wrong with it.
 */
export async function serveRenewal(deps: ServeDeps, call: ResourceCall, body: Uint8Array): Promise<boolean> {
  const { exchange, definition, target } = call
  if (!isLease(definition) || definition.fromStorage !== undefined || call.info.subresource !== '') return false
  const current = target.cache.get(keyOf(call))
  const changed = current === undefined ? undefined : parse(call, body)
  if (current === undefined || changed?.metadata?.resourceVersion !== String(current.revision)) return false
  const request = writeRequest(call)
  const old = current.object() as AnyObject
  if (request.dryRun || changed.metadata.uid !== old.metadata.uid) return false
  if (deps.admissionContext.reviews.concern(request)) return false
  fillUpdatedMetadata(changed, old)
  const draft = planRenewal(request, { old, changed, subresource: '', nowMs: deps.clock.now() })
  if (draft === undefined || !MICRO_TIME.test((draft['spec'] as { renewTime: string }).renewTime)) return false
  const options = encoderOptions(deps, call)
  const write: AdmittedWrite = { request, operation: 'update', subresource: '', draft, old, isReviewed: true }
  await mutateByAdmission(deps.admission, write, deps.admissionContext)
  validateByAdmission(deps.admission, write, deps.admissionContext)
  runWriteChecks(deps, write)
  const outcome = await commitPut(deps, write, { target, key: current.key, atRevision: current.revision })
  if (!outcome.committed) return false
  respondObject(exchange, 200, { ...options, object: outcome.object })
  return true
}

/** The body as it came; undefined when it is none, which the long way tells. */
function parse(call: ResourceCall, body: Uint8Array): AnyObject | undefined {
  const media = readContentType(call.exchange.headers['content-type'])
  try {
    if (media === 'protobuf') return parseProtobuf(body, expectedKind(call.definition)) as AnyObject
    return media === 'json' ? (JSON.parse(asBuffer(body).toString('utf8')) as AnyObject) : undefined
  } catch {
    return undefined
  }
}
