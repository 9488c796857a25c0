export { createAccessExtension, DEFAULT_ISSUER, type AccessOptions } from './access/access-extension.ts'
export type { OidcOptions } from './access/authentication/oidc.ts'
export type { AuthorizationAttributes, AuthorizationDecision, Authenticator, Authorizer } from './access/access.ts'
export type { AdmissionContext, AdmissionStep, AdmittedWrite, Reservation } from './admission/admission.ts'
export type { AdmissionOptions } from './admission/built-in.ts'
export {
  createKubeconfig,
  hostAlternativeNames,
  KUBELET_CLIENT_IDENTITY,
  openClusterCertificates,
  type CertificateAndKey,
  type ClusterCertificates,
  type ClusterCertificatesOptions,
} from './certificates/index.ts'
export type {
  ApiServerCore,
  ApiServerExtension,
  CheckedWrite,
  Connector,
  ConnectorContext,
  CreateExtension,
  NonResourceRoute,
  ObjectAction,
  RequestContext,
  WriteCheck,
} from './extension.ts'
export { customDefinitions, ownDefinitions } from './crd/custom-definition.ts'
export { createNetworkExtension, type NetworkOptions } from './network/network-extension.ts'
export { createQueueExtension } from './queue/queue-extension.ts'
export { createTrainingExtension } from './training/training-extension.ts'
export { createApiServicesExtension } from './crd/api-services.ts'
export { createCrdExtension, servedCustomResources } from './crd/crd-extension.ts'
export { createDiscoveryExtension, type DiscoveryOptions } from './discovery/discovery-extension.ts'
export { createOpenApiExtension, type OpenApiExtensionOptions } from './discovery/openapi-extension.ts'
export type { ForwardedAnswer, ForwardedWrite, WriteForwarder } from './handlers/forward-write.ts'
export type { Exchange, ResponseHeaders, UpgradedConnection } from './http/exchange.ts'
export { MemoryExchange, type MemoryAnswer, type MemoryRequest } from './http/memory-exchange.ts'
export { openSecureServer, type Listener, type ListenerOptions, type TlsMaterial } from './http/secure-server.ts'
export type { ConnectionFacts } from './http/http2-exchange.ts'
export type { Backend, ReachPartition } from './proxy/backend.ts'
export { createProxyExtension, type ProxyOptions } from './proxy/proxy-extension.ts'
export type { ContainersUsage, Usage } from './resource-metrics/compute-usage.ts'
export type { PeerUsage, PodsUsage, UsageAsk } from './resource-metrics/peer-usage.ts'
export {
  createResourceMetricsExtension,
  type ResourceMetricsOptions,
} from './resource-metrics/resource-metrics-extension.ts'
export { parseRequestInfo, type RequestLine } from './request/parse-request-info.ts'
export { SYSTEM_TENANT, type RequestInfo, type UserInfo } from './request/request-info.ts'
export type { GroupResourceName, NamespacedName, ObjectChange, ObjectReader } from './resource/object-reader.ts'
export {
  parseStoreKey,
  storeKeyOf,
  type ObjectAddress,
  type StoredChange,
  type StoredEntry,
  type StoredObjects,
} from './resource/stored-objects.ts'
export { podReferences } from './access/node/pod-references.ts'
export { volumeSecrets } from './access/node/node-graph.ts'
export { nodeNameOf } from './access/node/node-authorizer.ts'
export { isView, NODES_VIEW } from './views/view-names.ts'
export {
  ResourceRegistry,
  type ResourceDefinition,
  type ScalePaths,
  type StorageForm,
  type VirtualObjects,
  type VirtualPlace,
} from './resource/registry.ts'
export { createApiServer, SERVER_USER, type ApiServer, type ApiServerDeps } from './server.ts'
export { arrivalChange, departureChange, parsePosition, type TenantPosition } from './storage/arrival.ts'
export { encodeStored, keepVersion } from './storage/encoding.ts'
export {
  BORROWED_PORTS_PREFIX,
  isInRanges,
  NODE_PORT_RANGE,
  NODE_PORTS_PREFIX,
  portsFrom,
  portsOf,
  portsUnavailable,
  type BorrowedPort,
  type NodePortHolder,
  type NodePortPool,
  type PortRange,
} from './admission/node-ports.ts'
export { keyGroupOf, resourcePrefix } from './storage/keys.ts'
export { isInScope as isInQuotaScope, usageOf as quotaUsageOf } from './admission/quota-usage.ts'
export { fillTokenSecret, type SecretTokenDeps } from './tokens/secret-token.ts'
export { EPOCH_KEY, readEpoch } from './storage/epochs.ts'
export { createTokenSigner, type TokenSigner } from './tokens/signing-key.ts'
export type { TenantRegistries } from './resource/tenant-registries.ts'
export type { TenantDirectory, TenantEntry } from './tenants/tenant-directory.ts'
export { decodeBody, memberOf, podOfEvent, type SentBody } from './handlers/event-subject.ts'
