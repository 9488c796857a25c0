export { AttachmentStore, readHostAddress } from './cni/attachment-store.ts'
export { deviceNameOf, GATEWAY_ADDRESS, macOf, type Attachment, type HostPort } from './cni/attachment.ts'
export type { ChannelProgram } from './channels/channel-service.ts'
export { SANDBOX_CLASS, SANDBOX_LABEL } from './channels/gather-channels.ts'
export { CniError, type CniErrorCode } from './cni/cni-error.ts'
export { startCniServer, type CniServer, type CniServerOptions } from './cni/cni-server.ts'
export { PodAttachments, type PodAttachmentsDeps } from './cni/pod-attachments.ts'
export type {
  AttachedPod,
  EndpointReference,
  KnownEndpoint,
  PodNetwork,
  PodNetworkSource,
  PodReference,
} from './cni/pod-network-source.ts'
export { formatNetworkList, installIdlePlugins, installPlugins } from './cni/shim.ts'
export type { NamedDrop, NamedEnd, NamedRule } from './daemon/drop-log.ts'
export { startNetworkDaemon, type NetworkDaemon, type NetworkDaemonOptions } from './daemon/network-daemon.ts'
export { openHostDataplane, type OpenHostDataplaneOptions } from './daemon/host-dataplane.ts'
export type { NetworkStatus } from './daemon/status.ts'
export { createDataplane, removeDataplane, type DataplaneOptions } from './dataplane/create-dataplane.ts'
export type { Counters, Dataplane, DropEvent, Endpoint, Route } from './dataplane/dataplane.ts'
export type { AttachMode } from './dataplane/attach-uplink.ts'
export {
  removeClusterDns,
  serveClusterDns,
  startClusterDns,
  type ClusterDns,
  type ClusterDnsOptions,
} from './dns/cluster-dns.ts'
export type { DnsCounters, DnsQueryKind } from './dns/counters.ts'
export type { DnsClient } from './dns/dns-client.ts'
export {
  ensureHostNetwork,
  findOtherOwner,
  removeHostNetwork,
  type HostNetwork,
  type HostNetworkOptions,
} from './host/host-network.ts'
export { HOST_DEVICE, HOST_PEER } from './host/host-plan.ts'
export { systemPodHost } from './host/pod-host.ts'
export { findUplink, podMtuOf, type Uplink } from './host/uplink.ts'
export { holdSockets, type HeldSockets } from './kernel/held-sockets.ts'
export { createNodeBlocks, hostAddressOf, type AddressBlocks } from './ipam/address-blocks.ts'
export { TRANSIT_CIDR } from './ipam/ipam.ts'
export type {
  CidrVerdicts,
  PolicySet,
  PolicySetPeers,
  PortProtocol,
  RuleId,
  Segment,
  VerdictList,
} from './policy/policy-set.ts'
export { explainVerdict, type ExplainedVerdict, type VerdictQuestion } from './policy/explain-verdict.ts'
export { compilePolicySet, LocalSets, type SetChanges } from './policy/local-sets.ts'
export { namedPortsOf } from './policy/named-ports.ts'
export { PolicyWorld, type PodFacts, type PolicyWorldOptions } from './policy/policy-world.ts'
export type { NamedPort } from './policy/program.ts'
export { RuleBook, type RuleEntry } from './policy/rule-book.ts'
export {
  createHealthCheckServer,
  type HealthCheckServer,
  type HealthCheckServerDeps,
} from './services/health-check-server.ts'
export type { HealthCheck } from './services/health-check.ts'
export { planServices, type ServiceInputs, type ServicePlan, type SkippedService } from './services/plan.ts'
export type {
  DrainingBackend,
  EmptyAnswer,
  ServiceBackend,
  ServiceFrontend,
  ServiceProtocol,
  ServiceTables,
} from './services/service-tables.ts'
export {
  classOf,
  DEFAULT_SHAPER,
  LEVEL_DSCP,
  levelOf,
  levelShaper,
  listLevels,
  nameOfLevel,
  type Level,
} from './qos/levels.ts'
export { buildPrograms, type BuildOptions } from './kernel/build-programs.ts'
export { DataplaneError } from './kernel/dataplane-error.ts'
export { DROP_REASONS, type DropReason } from './layouts/reasons.ts'
export { PolicyReporter, type AppliedPolicies, type PolicyReporterDeps } from './policy-report/policy-reporter.ts'
