export type { BehaviorContext, KindBehavior, KubeObject, TableColumn } from './kinds/behavior.ts'
export { column } from './kinds/shared/table.ts'
export { isExtendedResource } from './kinds/shared/resource-names.ts'
export { formatKey, objectKey, parseKey, type ObjectKey, type Stored, type StoredMeta } from './meta/object.ts'
export { createOpenApi, type OpenApi, type OpenApiOptions } from './openapi/openapi.ts'
export type { CustomResourceDescription, DefinitionTexts, Descriptions } from './openapi/types.ts'
export { ProtobufError } from './protobuf/error.ts'
export {
  decodeProtobuf,
  decodeWatchEvent,
  encodeProtobuf,
  encodeWatchEvent,
  hasProtobuf,
  isProtobuf,
  type ProtobufDecodeOptions,
  type ProtobufObject,
} from './protobuf/protobuf.ts'
export type { ResourceType } from './resource-type.ts'
export { KUBERNETES_VERSION } from './generated/definitions.ts'
export { schemaOfDefinition, schemaOfKind } from './schema/builtin.ts'
export { definitionNames } from './schema/facts.ts'
export { fillZeros } from './schema/fill-zeros.ts'
export { findKind, findResource, resources, type ResourceInfo, type SubresourceInfo } from './schema/catalog.ts'
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
export { findCondition, isConditionTrue, setCondition, type AnyCondition } from './meta/conditions.ts'
export { generateName, randomSuffix, safeEncode } from './meta/generate-name.ts'
export {
  checkDns1035Label,
  checkDnsLabel,
  checkDnsSubdomain,
  checkLabelValue,
  checkPathSegment,
  checkQualifiedName,
  describePattern,
  type NameRule,
} from './meta/names.ts'
export { controllerOf, isControlledBy, isDeleting, ownerReferenceTo } from './meta/owners.ts'
export { formatMicroTime, formatTime, normalizeMicroTime, normalizeTime, parseTime } from './meta/time.ts'
export {
  keepServerMetadata,
  validateAnnotations,
  validateFieldManager,
  validateLabels,
  validateObjectMeta,
  validateObjectMetaUpdate,
  validateOwnerReferences,
  type ObjectMetaRules,
} from './meta/validate-object-meta.ts'
export { deepClone, deepEqual, deepFreeze, defineMember, isRecord } from './meta/values.ts'
export {
  addQuantities,
  compareQuantities,
  createQuantity,
  formatQuantity,
  parseQuantity,
  quantityMilliValue,
  quantityOfMillis,
  quantityOfUnits,
  quantityValue,
  subtractQuantities,
  type Quantity,
  type QuantityFormat,
} from './quantity/quantity.ts'
export {
  checkFieldLabels,
  escapeFieldValue,
  everyField,
  FieldSelector,
  parseFieldSelector,
  type FieldRequirement,
} from './selector/field-selector.ts'
export {
  createRequirement,
  everything,
  LabelSelector,
  nothing,
  selectorFromLabels,
  selectorFromObject,
  type Labels,
} from './selector/label-selector.ts'
export { parseLabelSelector } from './selector/parse-label-selector.ts'
export { checkRequirement, formatRequirement, type Requirement, type SelectorOperator } from './selector/requirement.ts'
export { convertObject } from './conversion/convert.ts'
export { prepareCertificateApproval } from './kinds/certificates/signing-request.ts'
export { validateCertificateApproval } from './kinds/certificates/validate-update.ts'
export { isPodActive, isPodReady, isPodTerminal, podCondition } from './kinds/pod/phase.ts'
export { podQosClass, type PodQOSClass } from './kinds/pod/qos.ts'
export { isSidecar, podLimits, podRequests, type ResourceAmounts } from './kinds/pod/resources.ts'
export { validateEphemeralContainersUpdate } from './kinds/pod/validate-update.ts'
export { validatePodResize } from './kinds/pod/validate-resize.ts'
export { podStatusText } from './kinds/pod/table.ts'
export { VPC_FINALIZER } from './kinds/network/vpc.ts'
export { podTemplateHash } from './kinds/pod/template-hash.ts'
export { behaviorOf } from './kinds/registry.ts'
export {
  isLocalVolumeOf,
  isLocalVolumeReclaimable,
  LOCAL_PROVISIONER,
  LOCAL_VOLUME_FINALIZER,
  LOCAL_VOLUME_NODE_LABEL,
  LOCAL_VOLUMES_ANNOTATION,
  PROVISIONED_BY,
} from './kinds/storage/local-volume.ts'
export { formatAge, formatDuration } from './kinds/shared/duration.ts'
export { semanticEqual } from './kinds/shared/deep-equal.ts'
export {
  decodeObject,
  formatGroupVersion,
  parseGroupVersion,
  type Decoded,
  type DecodeOptions,
  type GroupVersionKind,
} from './decode/decode-object.ts'
export { DecodeError, decodeStruct, type DecodeReport } from './decode/decode-values.ts'
export { parseBody, type FieldValidation, type ParseBodyOptions, type ParsedBody } from './decode/parse-body.ts'
export { createStrategicMergePatch } from './patch/create-strategic-merge-patch.ts'
export { decodePatched } from './patch/decode-patched.ts'
export { applyJsonPatch, parseJsonPatch, type JsonPatchOperation } from './patch/json-patch.ts'
export { applyMergePatch, createMergePatch } from './patch/merge-patch.ts'
export { applyStrategicMergePatch } from './patch/strategic-merge-patch.ts'
export { applyPatch, type Applied, type ApplyInput } from './apply/apply-patch.ts'
export { type FieldSet } from './apply/field-set.ts'
export { mergeConfiguration } from './apply/merge-configuration.ts'
export { resetFieldsOf, trackUpdate, type TrackUpdateInput } from './apply/track-update.ts'
export { cronNext, parseCron, type CronSchedule } from './kinds/workloads/cron.ts'
export { compileAdmissionCel, toAdmissionCelValue, type AdmissionCelOptions } from './cel/admission.ts'
export { CelAuthorizer, type CelAccessAnswer, type CelAccessQuestion, type CelAuthorize } from './cel/authorizer.ts'
export { compileMutationCel, fromCelValue } from './cel/mutation.ts'
export {
  CEL_MESSAGE_BYTES_MAX,
  CEL_STEPS_MAX,
  celErrorText,
  celStepsOf,
  longestCollection,
  OUT_OF_BUDGET,
  type CelProgram,
  type CompiledCel,
} from './cel/program.ts'
export { CONDITIONS_SCHEMA } from './crd/conditions-schema.ts'
export { convertCustomResource } from './crd/convert.ts'
export { defaultObject } from './crd/defaults.ts'
export { evaluateJsonPath, parseJsonPath, printerColumnValue, type JsonPathStep } from './crd/json-path.ts'
export { pruneObject } from './crd/prune.ts'
export { readScale, writeSpecReplicas, type CustomResourceScale } from './crd/scale.ts'
export { toStructSchema, type ToStructSchemaOptions } from './crd/to-struct-schema.ts'
export { validateCustomResourceDefinition } from './crd/validate-crd.ts'
export { validateCustomResource } from './crd/validate-custom-resource.ts'
export {
  ALL_TENANTS,
  DNS_SETTINGS_NAME,
  GATEWAYS_GROUP,
  NAMESPACE_ANNOTATION,
  ORIGIN_ANNOTATION,
  ORIGIN_REVISION_ANNOTATION,
  PARTITION_USER_PREFIX,
  PARTITIONS_GROUP,
  EPOCH_ANNOTATION,
  RESOURCE_PARTITION_ANNOTATION,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
  TENANT_CLAIM,
  TENANT_ORGANIZATION_PREFIX,
} from './centaurus/names.ts'
export {
  IDENTITIES_MAX,
  IDENTITY_QUARANTINE_MS,
  IDENTITY_SETTLE_MS,
  identityContentOf,
  identityKeyOf,
  identityNameOf,
  isInPodNetwork,
  tenantOfViewed,
  viewedName,
  vpcNameOf,
  type IdentityContent,
} from './centaurus/identity.ts'
export { IdentityBook, type IdentityChoice, type IdentityQuestion } from './centaurus/identity-book.ts'
export {
  keysAskedByClusterPolicy,
  keysAskedByPolicy,
  UsedLabelKeys,
  type AskedKeys,
  type KeysChange,
} from './centaurus/used-label-keys.ts'
export {
  DEFAULT_QUALITY,
  effectiveQuality,
  isBetter,
  NETWORK_CLASSES,
  NETWORK_PRIORITIES,
  podQuality,
  type NetworkClass,
  type NetworkPriority,
  type NetworkQuality,
  type QualityWish,
  type TenantQuality,
} from './centaurus/network-quality.ts'
export { parseBandwidth } from './centaurus/bandwidth.ts'
export {
  TENANT_NETWORK_SCHEMA,
  tenantQualityOf,
  validateTenantNetwork,
  type TenantNetwork,
  type TenantNetworkMax,
} from './centaurus/tenant-network.ts'
export { QUALITY_ANNOTATIONS, readQuality, type QualityProblem } from './centaurus/quality-annotations.ts'
export { outranks, sharedPriority, type MaxPriorityOf, type RankedPod } from './centaurus/shared-priority.ts'
export {
  NAMESPACE_LENGTH_MAX,
  OBJECT_NAME_LENGTH_MAX,
  qualifyName,
  refuseTenantName,
  splitQualifiedName,
  type QualifiedName,
} from './centaurus/qualified-name.ts'
