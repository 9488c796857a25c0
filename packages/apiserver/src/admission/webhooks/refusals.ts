import { badRequest, internalError, isRecord, StatusError } from '@centaurus/api'
import type { StatusDetails } from '@centaurus/api/meta/v1'

/** A webhook could not be asked: `failurePolicy` says what that means. */
export class CallError extends Error {
  override readonly name = 'CallError'

  constructor(webhook: string, reason: string) {
    super(`failed calling webhook ${JSON.stringify(webhook)}: ${reason}`)
  }

  /** What the client reads when the request must not go on. */
  toStatus(): StatusError {
    return internalError(this)
  }
}

/**
 * What the client reads when a webhook said no: its own code, reason and details. Inside of the server it is a Forbidden whatever the webhook
 * calls it: nobody takes it for an object that is not there. Source: apiserver pkg/admission/plugin/webhook/errors/statuserror.go, v0.37.
 */
export function deniedBy(webhook: string, result: Readonly<Record<string, unknown>> = {}): StatusError {
  const { code, message, reason, details } = result
  const subject = `admission webhook ${JSON.stringify(webhook)} denied the request`
  const why = [message, reason].find((text): text is string => typeof text === 'string' && text !== '')
  const isRefusal = typeof code === 'number' && Number.isInteger(code) && code >= 400 && code <= 599
  return new StatusError({
    reason: 'Forbidden',
    message: why === undefined ? `${subject} without explanation` : `${subject}: ${why}`,
    details: isRecord(details) ? (details as StatusDetails) : undefined,
    answer: { code: isRefusal ? code : 400, reason: typeof reason === 'string' ? reason : '' },
  })
}

/** 400: a dry run must have no side effects, and the webhook does not promise that. */
export function noDryRun(webhook: string): StatusError {
  return badRequest(`admission webhook ${JSON.stringify(webhook)} does not support dry run`)
}
