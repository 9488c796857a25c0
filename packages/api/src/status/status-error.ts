import type { Status, StatusCause, StatusDetails } from '../generated/types/meta/v1.ts'

/** The refusals that the API knows, with the HTTP code of each. Source: apimachinery pkg/api/errors (the Go source, not the prose). */
export const STATUS_CODES = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServerTimeout: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

export type StatusReason = keyof typeof STATUS_CODES

export interface StatusErrorInit {
  readonly reason: StatusReason
  readonly message: string
  readonly details?: StatusDetails | undefined
  readonly cause?: unknown
  /** What the client reads when others word the refusal, such as a webhook: any code, any reason or none. */
  readonly answer?: { readonly code: number; readonly reason: string } | undefined
}

/** An answer of the API that says no. The message is what the client reads, in upstream's wording. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly code: number
  readonly reason: StatusReason
  readonly details: StatusDetails | undefined
  readonly #answeredReason: string

  constructor({ reason, message, details, cause, answer }: StatusErrorInit) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = answer?.code ?? STATUS_CODES[reason]
    this.reason = reason
    this.details = details
    this.#answeredReason = answer?.reason ?? reason
  }

  /** The `Status` object that goes over the wire. */
  toStatus(): Status {
    const status: Status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.#answeredReason,
      code: this.code,
    }
    if (this.#answeredReason === '') delete status.reason
    if (this.details !== undefined) status.details = this.details
    return status
  }
}

/** Group and resource, the way messages name them. */
export interface GroupResource {
  readonly group: string
  readonly resource: string
}

/** `pods`, or `deployments.apps`. */
export function formatResource({ group, resource }: GroupResource): string {
  return group === '' ? resource : `${resource}.${group}`
}

function objectDetails(resource: GroupResource, name: string): StatusDetails {
  const details: StatusDetails = {}
  if (name !== '') details.name = name
  if (resource.resource !== '') details.kind = resource.resource
  if (resource.group !== '') details.group = resource.group
  return details
}

/** 404: there is no such object. */
export function notFound(resource: GroupResource, name: string): StatusError {
  return new StatusError({
    reason: 'NotFound',
    message: `${formatResource(resource)} "${name}" not found`,
    details: objectDetails(resource, name),
  })
}

/** 404: the server has no such path or resource. */
export function notFoundPath(): StatusError {
  return new StatusError({
    reason: 'NotFound',
    message: 'the server could not find the requested resource',
    details: {},
  })
}

/** 409 on create. */
export function alreadyExists(resource: GroupResource, name: string): StatusError {
  return new StatusError({
    reason: 'AlreadyExists',
    message: `${formatResource(resource)} "${name}" already exists`,
    details: objectDetails(resource, name),
  })
}

/** 409: a precondition, such as the resourceVersion, does not hold. `why` is a sentence. */
export function conflict(resource: GroupResource, name: string, why: string): StatusError {
  return new StatusError({
    reason: 'Conflict',
    message: `Operation cannot be fulfilled on ${formatResource(resource)} "${name}": ${why}`,
    details: objectDetails(resource, name),
  })
}

/** 409 of server-side apply: `causes` name each field and its manager. */
export function applyConflict(message: string, causes: StatusCause[]): StatusError {
  return new StatusError({ reason: 'Conflict', message, details: { causes } })
}

/** 400: the request cannot be understood. */
export function badRequest(message: string): StatusError {
  return new StatusError({ reason: 'BadRequest', message })
}

/** 401: no credentials, or bad ones. */
export function unauthorized(): StatusError {
  return new StatusError({ reason: 'Unauthorized', message: 'Unauthorized' })
}

/** 403 for one object or, with an empty name, for the resource. */
export function forbidden(resource: GroupResource, name: string, why: string): StatusError {
  const subject = name === '' ? formatResource(resource) : `${formatResource(resource)} "${name}"`
  const message = resource.resource === '' ? `forbidden: ${why}` : `${subject} is forbidden: ${why}`
  return new StatusError({ reason: 'Forbidden', message, details: objectDetails(resource, name) })
}

/** 405: there is something at the path, but not for this method. Source: what kube-apiserver v1.37 answers. */
export function methodNotAllowed(): StatusError {
  return new StatusError({
    reason: 'MethodNotAllowed',
    message: 'the server does not allow this method on the requested resource',
    details: {},
  })
}

/** 410: the resourceVersion is too old to serve; list again. */
export function expired(message: string): StatusError {
  return new StatusError({ reason: 'Expired', message })
}

/** 406: none of the media types in `Accept` can be served. */
export function notAcceptable(mediaTypes: readonly string[]): StatusError {
  return new StatusError({
    reason: 'NotAcceptable',
    message: `only the following media types are accepted: ${mediaTypes.join(', ')}`,
  })
}

/** 415: the body has a media type that the server does not read. */
export function unsupportedMediaType(mediaTypes: readonly string[]): StatusError {
  return new StatusError({
    reason: 'UnsupportedMediaType',
    message: `the body of the request was in an unknown format - accepted media types include: ${mediaTypes.join(', ')}`,
  })
}

/** 413: the body or the object exceeds a limit, which `message` names. */
export function requestEntityTooLarge(message: string): StatusError {
  return new StatusError({ reason: 'RequestEntityTooLarge', message: `Request entity is too large: ${message}` })
}

/** 429: come back after `retryAfterSeconds`. */
export function tooManyRequests(message: string, retryAfterSeconds: number): StatusError {
  return new StatusError({ reason: 'TooManyRequests', message, details: { retryAfterSeconds } })
}

/** 500: a failure that is not the client's; `cause` is kept for the log. */
export function internalError(cause: unknown): StatusError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new StatusError({
    reason: 'InternalError',
    message: `Internal error occurred: ${text}`,
    details: { causes: [{ message: text }] },
    cause,
  })
}

/** 503: not now; the client may try again. */
export function serviceUnavailable(message: string): StatusError {
  return new StatusError({ reason: 'ServiceUnavailable', message })
}

/** 504: the server gave up waiting; the request may or may not have happened. */
export function timeout(message: string): StatusError {
  return new StatusError({ reason: 'Timeout', message: `Timeout: ${message}` })
}

/** True for a {@link StatusError} with this reason. */
export function isStatus(error: unknown, reason: StatusReason): error is StatusError {
  return error instanceof StatusError && error.reason === reason
}

/** Rebuilds the error from a `Status` object that a server sent. */
export function fromStatus(status: Status): StatusError {
  const reason =
    (status.reason ?? '') in STATUS_CODES ? (status.reason as StatusReason) : reasonOfCode(status.code ?? 500)
  return new StatusError({ reason, message: status.message ?? reason, details: status.details })
}

function reasonOfCode(code: number): StatusReason {
  const found = Object.entries(STATUS_CODES).find(([, value]) => value === code)
  return (found?.[0] as StatusReason | undefined) ?? 'InternalError'
}
