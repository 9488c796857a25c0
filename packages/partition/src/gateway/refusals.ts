import { StatusError } from '@centaurus/api'
import type { FrontRequest } from './front-request.ts'
import { RETRY_AFTER_SECONDS } from './limits.ts'

/** Nothing of the request has reached a partition: it may be sent again, whatever it is. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'
}

/** The partition fell silent after the request was on its way: whether it was carried out is not known. */
export class LostAnswerError extends Error {
  override readonly name = 'LostAnswerError'
}

/** 503 for what can't be reached now. `partitions` are named for operators alone: pass none for users of a tenant. */
export function unreachable(partitions: readonly string[], cause?: unknown): StatusError {
  const what =
    partitions.length === 0
      ? 'the server is currently unable to handle the request'
      : `the server is currently unable to handle the request: ${partitions.length === 1 ? 'partition' : 'partitions'} ${partitions.map((name) => JSON.stringify(name)).join(', ')} can't be reached`
  return new StatusError({
    reason: 'ServiceUnavailable',
    message: what,
    details: { retryAfterSeconds: RETRY_AFTER_SECONDS },
    cause,
  })
}

/** 504, without Retry-After: clients repeat what has it by themselves, and this must not be repeated unseen. */
export function lostAnswer(cause: unknown): StatusError {
  return new StatusError({
    reason: 'Timeout',
    message:
      'the server stopped before it answered: the request may or may not have been carried out; look before you repeat it',
    cause,
  })
}

/** Answers with a refusal of the gateway's own, as an API server writes it. */
export function refuse(request: FrontRequest, error: StatusError): void {
  const seconds = error.details?.retryAfterSeconds
  const auditId = request.headers['audit-id']
  request.answer(
    error.code,
    {
      'content-type': 'application/json',
      'cache-control': 'no-cache, private',
      ...(typeof auditId === 'string' ? { 'audit-id': auditId } : {}),
      ...(seconds === undefined ? {} : { 'retry-after': String(seconds) }),
    },
    JSON.stringify(error.toStatus()),
  )
}
