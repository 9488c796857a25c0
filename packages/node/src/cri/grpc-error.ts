import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js'

/** Go's rendering of a gRPC error: people search for it, and events show it. */
export function formatGrpcError(error: Pick<ServiceError, 'code' | 'details'>): string {
  return `rpc error: code = ${CODE_NAMES[error.code] ?? 'Unknown'} desc = ${error.details}`
}

const CODE_NAMES: Record<number, string> = {
  [grpcStatus.CANCELLED]: 'Canceled',
  [grpcStatus.UNKNOWN]: 'Unknown',
  [grpcStatus.INVALID_ARGUMENT]: 'InvalidArgument',
  [grpcStatus.DEADLINE_EXCEEDED]: 'DeadlineExceeded',
  [grpcStatus.NOT_FOUND]: 'NotFound',
  [grpcStatus.ALREADY_EXISTS]: 'AlreadyExists',
  [grpcStatus.PERMISSION_DENIED]: 'PermissionDenied',
  [grpcStatus.RESOURCE_EXHAUSTED]: 'ResourceExhausted',
  [grpcStatus.FAILED_PRECONDITION]: 'FailedPrecondition',
  [grpcStatus.ABORTED]: 'Aborted',
  [grpcStatus.OUT_OF_RANGE]: 'OutOfRange',
  [grpcStatus.UNIMPLEMENTED]: 'Unimplemented',
  [grpcStatus.INTERNAL]: 'Internal',
  [grpcStatus.UNAVAILABLE]: 'Unavailable',
  [grpcStatus.DATA_LOSS]: 'DataLoss',
  [grpcStatus.UNAUTHENTICATED]: 'Unauthenticated',
}
