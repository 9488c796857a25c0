import { StoreUnavailableError } from '../store.ts'

/** The gRPC status codes that the engine tells apart. Source: grpc/doc/statuscodes.md. */
export const GRPC_CODES = {
  ok: 0,
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** A call that did not go well, as the server or the connection says it. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError'
  /** One of {@link GRPC_CODES}, or another that the server chose. */
  readonly code: number

  constructor(code: number, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** etcd says these before it hands a request to the others, or when all members refuse it alike: it is not done, nor will it be. */
const REFUSALS: ReadonlySet<number> = new Set([
  GRPC_CODES.invalidArgument,
  GRPC_CODES.permissionDenied,
  GRPC_CODES.resourceExhausted,
  GRPC_CODES.failedPrecondition,
  GRPC_CODES.outOfRange,
  GRPC_CODES.unauthenticated,
])

/** Texts of etcd v3.4 to v3.7, api/v3rpc/rpctypes/error.go. */
const TEXTS = {
  compacted: 'required revision has been compacted',
  future: 'required revision is a future revision',
  noSpace: 'database space exceeded',
  tooManyOperations: 'too many operations in txn request',
  tooLarge: ['request is too large', 'received message larger than max', 'trying to send message larger than max'],
  noLeader: 'no leader',
} as const

/** True when the request was certainly not carried out, unless {@link isNoSpace}. Else it may have been, or may be yet. */
export function isRefusal(error: GrpcError): boolean {
  return REFUSALS.has(error.code)
}

/** True when another member may do better: this one has lost the others, or does not answer. */
export function isMemberAtFault(error: GrpcError): boolean {
  return error.code === GRPC_CODES.deadlineExceeded || error.message.includes(TEXTS.noLeader)
}

export function isCompacted(error: GrpcError): boolean {
  return error.message.includes(TEXTS.compacted)
}

export function isFuture(error: GrpcError): boolean {
  return error.message.includes(TEXTS.future)
}

/** The request that stepped over the limit may have been carried out all the same. */
export function isNoSpace(error: GrpcError): boolean {
  return error.message.includes(TEXTS.noSpace)
}

export function isTooManyOperations(error: GrpcError): boolean {
  return error.message.includes(TEXTS.tooManyOperations)
}

export function isTooLarge(error: GrpcError): boolean {
  return TEXTS.tooLarge.some((text) => error.message.includes(text))
}

/** What etcd refused for a reason that lies with etcd or with who we are. Nothing was changed. */
export function explainRefusal(error: GrpcError): Error {
  if (error.code === GRPC_CODES.invalidArgument) return error // a fault of ours
  const hint = isAboutRights(error) ? '; look at the user or certificate that etcd was given' : ''
  return new StoreUnavailableError(`etcd refuses: ${error.message}${hint}`, { cause: error })
}

function isAboutRights({ code }: GrpcError): boolean {
  return code === GRPC_CODES.permissionDenied || code === GRPC_CODES.unauthenticated
}
