export { ClaimAuditor, type ClaimAuditorDeps } from './claims/claim-auditor.ts'
export { BoundPodClaimer, type BoundPodClaimerDeps } from './claims/bound-pod-claimer.ts'
export {
  createClaimBinder,
  type BindingItem,
  type BindingResult,
  type ClaimBinder,
  type ClaimBinderDeps,
} from './claims/claim-binder.ts'
export { startReclaimer, type ReclaimerDeps } from './claims/reclaimer.ts'
export type { PreemptionRules } from './claims/decide-preemption.ts'
export { TenantPriorities } from './membership/tenant-priorities.ts'
export { PartitionReach, type PartitionReachDeps } from './claims/partition-reach.ts'
export { createForeignUse, type ForeignUse, type ForeignUseDeps, type NodeUseChange } from './claims/foreign-use.ts'
export { createClaimsExtension, type ClaimsExtensionDeps } from './claims/claims-extension.ts'
export { createIsBound } from './claims/local-reconciler.ts'
export { ClaimBook, type ClaimBookDeps } from './claims/claim-book.ts'
export type {
  Amounts,
  ClaimAnswer,
  ClaimItem,
  ClaimRoom,
  ClaimsRequest,
  ClaimsResponse,
  HostPort,
  ReleaseRoom,
} from './claims/model.ts'
export { startEndpointReporter, type EndpointReporterOptions } from './membership/endpoint-reporter.ts'
export { HEARTBEAT_NAMESPACE, heartbeatLease } from './membership/heartbeat.ts'
export { readmitHome } from './membership/home-memory.ts'
export { createHostedInformers, type Hosting } from './membership/hosted-informers.ts'
export { acquireEpoch, type Epoch } from './epoch/acquire-epoch.ts'
export { checkPeer, type PeerVerdict, type StoreState } from './epoch/check-peer.ts'
export { claimStore, ForeignStoreError } from './epoch/store-owner.ts'
export { readStoreState, recordStart } from './epoch/store-state.ts'
export { PeerStates, type PeerStatesDeps } from './epoch/peer-states.ts'
export { createMembership, type Membership } from './membership/membership.ts'
export {
  createMembershipExtension,
  READMIT_PATH,
  type MembershipExtensionOptions,
} from './membership/membership-extension.ts'
export {
  createOpenLink,
  issuePartitionCertificate,
  openLink,
  partitionClientConfig,
  type LinkIdentity,
  type LinkRequest,
  type LinkResponse,
  type LinkStream,
  type OpenLink,
  type PartitionLink,
} from './membership/partition-link.ts'
export { FENCED, findCondition, READY, withCondition } from './membership/partition-status.ts'
export { memberOf, requireMember } from './membership/require-member.ts'
export { TenantOwners } from './membership/tenant-owners.ts'
export { startMembershipSync, type MembershipSync, type MembershipSyncOptions } from './membership/sync.ts'
export { MOVED } from './move/decide-move.ts'
export { createRequestForwarding, type ForwardDeps } from './move/forward-requests.ts'
export { startMover, type MoverDeps } from './move/mover.ts'
export { createMoveSource, type MoveSourceDeps } from './move/source-extension.ts'
export { TenantFences, type TenantFence } from './move/tenant-fence.ts'
export { createNodesSource, withNodes, type NodesSource, type NodesSourceDeps } from './nodes/nodes-source.ts'
export { createPodBlocks, type PodBlocks, type PodBlocksDeps } from './pod-blocks/pod-blocks.ts'
export { NodePorts, type NodePortsDeps } from './node-ports/node-ports.ts'
export { createNodePortsExtension } from './node-ports/node-ports-extension.ts'
export { startPortKeeper, type PortKeeperDeps } from './node-ports/port-keeper.ts'
export { registryDefinitions } from './registry/definitions.ts'
export { createRegistryExtension } from './registry/registry-extension.ts'
export { NUMBERS_PATH } from './numbers/known-numbers.ts'
export {
  createNumbersExtension,
  type NumbersExtensionDeps,
  type RespectedNumbers,
} from './numbers/numbers-extension.ts'
export { PeerNumbers, type PeerNumbersDeps } from './numbers/peer-numbers.ts'
export { createPolicyStatusExtension, type PolicyStatusDeps } from './policy-status/policy-status-extension.ts'
export { startRemoteNodes, type RemoteNodesDeps } from './nodes/remote-nodes.ts'
export { startVpcs, type VpcsDeps } from './vpcs/start-vpcs.ts'
export { planTenant, TENANT_FINALIZER, type TenantPlace, type TenantStep } from './tenants/plan-tenant.ts'
export { startTenants, type TenantsDeps } from './tenants/start-tenants.ts'
export { createTenantsExtension } from './tenants/tenants-extension.ts'
export { BATCH_PATH } from './relay/batch-wire.ts'
export { createBatchServer, type BatchServerDeps } from './relay/batch-server.ts'
export { createReachNodes, type ReachNodesDeps } from './relay/reach-nodes.ts'
export { startRelay, type Relay, type RelayDeps } from './relay/relay.ts'
export { createRelaySource, type RelaySourceDeps } from './relay/relay-source.ts'
export { RELAY_PATH } from './relay/wire.ts'
export { createWriteForwarding, type WriteForwardingDeps } from './relay/write-forwarding.ts'
export { createPeerUsage, type PeerUsageDeps } from './usage/peer-usage.ts'
