import type { RunningController } from '@centaurus/client'
import {
  startCertificateApprovingController,
  startCertificateCleanerController,
  startCertificateSigningController,
} from './certificate-signing/reconcile.ts'
import type { CertificateSigner } from './certificate-signing/signer.ts'
import { startCronJobController } from './cron-job/reconcile.ts'
import { startDaemonSetController } from './daemon-set/reconcile.ts'
import { startDeploymentController } from './deployment/reconcile.ts'
import { startDisruptionController } from './disruption/reconcile.ts'
import { startEndpointSliceMirroringController } from './endpoint-slice/mirror.ts'
import { startEndpointSliceController } from './endpoint-slice/reconcile.ts'
import { startEndpointsController } from './endpoints/reconcile.ts'
import { startEphemeralVolumeController } from './ephemeral-volume/reconcile.ts'
import type { ControllerDeps } from './frame/controller.ts'
import type { ResourceDiscovery } from './frame/discovery.ts'
import { startGarbageCollector } from './garbage-collector/reconcile.ts'
import { startJobController } from './job/reconcile.ts'
import { startNamespaceController } from './namespace/reconcile.ts'
import { startNetworkIdentityController, type NetworkIdentityOptions } from './network-identity/reconcile.ts'
import { startNodeIpam } from './node-ipam/reconcile.ts'
import type { NodeCidrSource } from './node-ipam/source.ts'
import { startNodeLifecycleController } from './node-lifecycle/reconcile.ts'
import { startNodeObjectCollector } from './node-objects/reconcile.ts'
import { startPodReadinessController } from './pod-readiness/reconcile.ts'
import { startPodGarbageCollector } from './pod-garbage-collector/reconcile.ts'
import { ofAnyKind } from './queue/owner-kind.ts'
import { startQueueController } from './queue/reconcile.ts'
import { startReplicaSetController, startReplicationController } from './replica-set/reconcile.ts'
import { startResourceQuotaController, type QuotaRules } from './resource-quota/reconcile.ts'
import { startRootCaPublisher, startServiceAccountController } from './service-account/reconcile.ts'
import { startStatefulSetController } from './stateful-set/reconcile.ts'
import { startTokenSecretController, type TokenSecretDeps } from './token-secret/reconcile.ts'
import { startSubnetController } from './subnet/reconcile.ts'
import { startTaintEvictionController } from './taint-eviction/reconcile.ts'
import { createTrainingOwner } from './training-job/queue-owner.ts'
import { startTrainingJobController } from './training-job/reconcile.ts'
import { startTtlAfterFinishedController } from './ttl-after-finished/reconcile.ts'
import { startVolumeBindingController } from './volume-binding/reconcile.ts'
import { startClaimProtectionController, startVolumeProtectionController } from './volume-protection/reconcile.ts'
import { startVolumeProvisioningController } from './volume-provisioning/reconcile.ts'

/** What the controllers need together. */
export interface ControllerInputs extends ControllerDeps {
  readonly discovery: ResourceDiscovery
  /** PEM certificates by which pods verify the API server. */
  readonly rootCa: string
  /** How objects are charged to quotas; absent: `resourcequota-controller` does not run. */
  readonly quotaRules?: QuotaRules | undefined
  /** Signs the tokens of Secrets; absent: `serviceaccount-token-controller` does not run. */
  readonly fillTokenSecret?: TokenSecretDeps['fillTokenSecret'] | undefined
  /** The cluster's certificate authority; absent: certificate signing requests are neither approved nor signed. */
  readonly certificateSigner?: CertificateSigner | undefined
  /** Ranges for nodes' pods; absent: `node-ipam-controller` does not run, and nodes have those that they came with. */
  readonly nodeCidrs?: NodeCidrSource | undefined
  /** See {@link NetworkIdentityOptions}. */
  readonly nextIdentityElsewhere?: NetworkIdentityOptions['nextIdentityElsewhere']
}

export interface StartControllersOptions extends ControllerInputs {
  /** Those to run; absent: all. */
  readonly names?: readonly ControllerName[] | undefined
}

/** Every controller by its name, which is upstream's where it has one. */
const CONTROLLERS = {
  'deployment-controller': startDeploymentController,
  'replicaset-controller': startReplicaSetController,
  'replicationcontroller-controller': startReplicationController,
  'daemonset-controller': startDaemonSetController,
  'statefulset-controller': startStatefulSetController,
  'job-controller': startJobController,
  'cronjob-controller': startCronJobController,
  'ttl-after-finished-controller': startTtlAfterFinishedController,
  'node-lifecycle-controller': startNodeLifecycleController,
  'node-ipam-controller': ({ nodeCidrs, ...deps }) => nodeCidrs && startNodeIpam({ ...deps, nodeCidrs }),
  'pod-readiness-controller': startPodReadinessController,
  'node-object-collector-controller': startNodeObjectCollector,
  'pod-garbage-collector-controller': startPodGarbageCollector,
  'taint-eviction-controller': startTaintEvictionController,
  'certificatesigningrequest-approving-controller': ({ certificateSigner, ...deps }) =>
    certificateSigner && startCertificateApprovingController({ ...deps, certificateSigner }),
  'certificatesigningrequest-signing-controller': ({ certificateSigner, ...deps }) =>
    certificateSigner && startCertificateSigningController({ ...deps, certificateSigner }),
  'certificatesigningrequest-cleaner-controller': startCertificateCleanerController,
  'endpointslice-controller': startEndpointSliceController,
  'endpointslice-mirroring-controller': startEndpointSliceMirroringController,
  'endpoints-controller': startEndpointsController,
  'namespace-controller': startNamespaceController,
  'serviceaccount-controller': startServiceAccountController,
  'root-ca-certificate-publisher-controller': startRootCaPublisher,
  'garbage-collector-controller': startGarbageCollector,
  'disruption-controller': startDisruptionController,
  'network-identity-controller': ({ nextIdentityElsewhere, ...deps }) =>
    startNetworkIdentityController(deps, { nextIdentityElsewhere }),
  'subnet-controller': (inputs) => startSubnetController(inputs),
  'queue-controller': (inputs) =>
    startQueueController(inputs, { owners: [ofAnyKind(createTrainingOwner(inputs.informers))] }),
  'training-job-controller': startTrainingJobController,
  'persistentvolume-binder-controller': startVolumeBindingController,
  'ephemeral-volume-controller': startEphemeralVolumeController,
  'persistentvolumeclaim-protection-controller': startClaimProtectionController,
  'persistentvolume-protection-controller': startVolumeProtectionController,
  'local-volume-provisioning-controller': startVolumeProvisioningController,
  'resourcequota-controller': ({ quotaRules, ...deps }) =>
    quotaRules === undefined ? undefined : startResourceQuotaController({ ...deps, quotaRules }),
  'serviceaccount-token-controller': ({ fillTokenSecret, ...deps }) =>
    fillTokenSecret === undefined ? undefined : startTokenSecretController({ ...deps, fillTokenSecret }),
} satisfies Record<string, (inputs: ControllerInputs) => RunningController | undefined>

export type ControllerName = keyof typeof CONTROLLERS

/** All that {@link startControllers} can run. */
export const controllerNames: readonly ControllerName[] = Object.keys(CONTROLLERS) as ControllerName[]

export interface RunningControllers {
  readonly running: readonly RunningController[]
  /** True when no controller has work now or within `withinMs`. */
  isIdle(options?: { readonly withinMs?: number }): boolean
  /** Resolves when none works any more. Informers and client belong to the caller. */
  close(): Promise<void>
}

/** Starts the controllers of a partition over one set of informers. Returns at once; each begins when its informers are synced. */
export function startControllers(options: StartControllersOptions): RunningControllers {
  const running = (options.names ?? controllerNames).flatMap((name) => CONTROLLERS[name](options) ?? [])
  return {
    running,
    isIdle: (idle = {}) => running.every(({ queue }) => queue.isIdle(idle)),
    async close() {
      await Promise.all(running.map((controller) => controller.close()))
    },
  }
}
