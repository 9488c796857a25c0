export {
  startCertificateApprovingController,
  startCertificateCleanerController,
  startCertificateSigningController,
  type CertificateDeps,
} from './certificate-signing/reconcile.ts'
export type {
  CertificateSigner,
  RequestedIdentity,
  SigningRequest,
  SigningResult,
} from './certificate-signing/signer.ts'
export { startCronJobController } from './cron-job/reconcile.ts'
export { startDaemonSetController } from './daemon-set/reconcile.ts'
export { startDeploymentController } from './deployment/reconcile.ts'
export { startDisruptionController } from './disruption/reconcile.ts'
export { startEndpointSliceMirroringController } from './endpoint-slice/mirror.ts'
export { startEndpointSliceController } from './endpoint-slice/reconcile.ts'
export { startEndpointsController } from './endpoints/reconcile.ts'
export { startEphemeralVolumeController } from './ephemeral-volume/reconcile.ts'
export type { ControllerDeps } from './frame/controller.ts'
export { startNetworkIdentityController, type NetworkIdentityOptions } from './network-identity/reconcile.ts'
export { createLocalNodeAuthority, type NodeAuthority } from './frame/node-authority.ts'
export {
  discoverFrom,
  type ResourceDiscovery,
  type ResourceRegistryLike,
  type ServedResource,
} from './frame/discovery.ts'
export { startGarbageCollector } from './garbage-collector/reconcile.ts'
export { startJobController } from './job/reconcile.ts'
export {
  fitStepModel,
  goodput,
  secondsPerStep,
  type BatchRule,
  type Efficiency,
  type StepModel,
  type StepObservation,
} from './training-job/core/goodput.ts'
export { planWorkers, type ElasticJob, type PlanWorkersOptions } from './training-job/core/plan-workers.ts'
export { startNamespaceController } from './namespace/reconcile.ts'
export { startNodeIpam, type NodeIpamDeps } from './node-ipam/reconcile.ts'
export type { CidrHolder, NodeCidrLedger, NodeCidrSource } from './node-ipam/source.ts'
export { startNodeObjectCollector } from './node-objects/reconcile.ts'
export { startPodReadinessController } from './pod-readiness/reconcile.ts'
export { startPodGarbageCollector } from './pod-garbage-collector/reconcile.ts'
export { startQueueController, type QueueControllerOptions } from './queue/reconcile.ts'
export { startReplicaSetController, startReplicationController } from './replica-set/reconcile.ts'
export { startResourceQuotaController, type QuotaRules, type ResourceQuotaDeps } from './resource-quota/reconcile.ts'
export { startRootCaPublisher, startServiceAccountController } from './service-account/reconcile.ts'
export {
  controllerNames,
  startControllers,
  type ControllerInputs,
  type ControllerName,
  type RunningControllers,
  type StartControllersOptions,
} from './start.ts'
export { startStatefulSetController } from './stateful-set/reconcile.ts'
export { startTokenSecretController, type TokenSecretDeps } from './token-secret/reconcile.ts'
export { startTtlAfterFinishedController } from './ttl-after-finished/reconcile.ts'
export { startVolumeBindingController } from './volume-binding/reconcile.ts'
export { startClaimProtectionController, startVolumeProtectionController } from './volume-protection/reconcile.ts'
export { localStorageClass } from './volume-provisioning/plan.ts'
export { startVolumeProvisioningController } from './volume-provisioning/reconcile.ts'
export { startSubnetController, type SubnetOptions } from './subnet/reconcile.ts'
export { startTaintEvictionController } from './taint-eviction/reconcile.ts'
export { startNodeLifecycleController, type NodeLifecycleOptions } from './node-lifecycle/reconcile.ts'
