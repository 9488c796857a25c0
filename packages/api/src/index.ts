export type { BehaviorContext, KindBehavior, KubeObject, TableColumn } from './kinds/behavior.ts'
export { formatKey, objectKey, parseKey, type ObjectKey, type Stored, type StoredMeta } from './meta/object.ts'
export type { ResourceType } from './resource-type.ts'
export type { ResourceInfo, SubresourceInfo } from './schema/catalog.ts'
export type { FieldSchema, ScalarType, StructSchema, ValueSchema } from './schema/schema.ts'
export {
  duplicate,
  FieldPath,
  forbiddenField,
  invalid,
  invalidObject,
  notFoundValue,
  notSupported,
  required,
  tooLong,
  tooMany,
  typeInvalid,
  type FieldError,
  type FieldErrorType,
} from './status/field-error.ts'
export {
  alreadyExists,
  applyConflict,
  badRequest,
  conflict,
  expired,
  forbidden,
  formatResource,
  fromStatus,
  internalError,
  isStatus,
  methodNotAllowed,
  notAcceptable,
  notFound,
  notFoundPath,
  requestEntityTooLarge,
  serviceUnavailable,
  STATUS_CODES,
  StatusError,
  timeout,
  tooManyRequests,
  unauthorized,
  unsupportedMediaType,
  type GroupResource,
  type StatusErrorInit,
  type StatusReason,
} from './status/status-error.ts'
