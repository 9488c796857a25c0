import type { KindBehavior } from './behavior.ts'
import { clusterRoleBehavior, clusterRoleBindingBehavior, roleBehavior, roleBindingBehavior } from './access/rbac.ts'
import { horizontalPodAutoscalerBehavior, scaleBehavior } from './autoscaling/behavior.ts'
import { podDisruptionBudgetBehavior } from './autoscaling/disruption-budget.ts'
import { certificateSigningRequestBehavior } from './certificates/signing-request.ts'
import { clusterTrustBundleBehavior, podCertificateRequestBehavior } from './certificates/trust.ts'
import { componentStatusBehavior, priorityClassBehavior, runtimeClassBehavior } from './cluster/classes.ts'
import { eventBehavior, eventV1Behavior } from './cluster/event.ts'
import { leaseBehavior, leaseCandidateBehavior } from './cluster/lease.ts'
import { limitRangeBehavior } from './cluster/limit-range.ts'
import { namespaceBehavior } from './cluster/namespace.ts'
import { resourceQuotaBehavior } from './cluster/resource-quota.ts'
import { configMapBehavior } from './config/config-map.ts'
import { secretBehavior } from './config/secret.ts'
import { serviceAccountBehavior } from './config/service-account.ts'
import { clusterNetworkPolicyBehavior } from './network/cluster-policy.ts'
import { endpointsBehavior, endpointSliceBehavior } from './network/endpoints.ts'
import { ingressBehavior, ingressClassBehavior } from './network/ingress.ts'
import { ipAddressBehavior, networkPolicyBehavior, serviceCIDRBehavior } from './network/policy.ts'
import { vpcBehavior } from './network/vpc.ts'
import { trainingJobBehavior } from './training/behavior.ts'
import { queueBehavior, queuedWorkloadBehavior } from './queue/behaviors.ts'
import { nodeBehavior } from './node/behavior.ts'
import { podBehavior } from './pod/behavior.ts'
import {
  apiServiceBehavior,
  customResourceDefinitionBehavior,
  storageVersionBehavior,
  storageVersionMigrationBehavior,
} from './registration/extensions.ts'
import { flowSchemaBehavior, priorityLevelConfigurationBehavior } from './registration/flow-control.ts'
import {
  mutatingAdmissionPolicyBehavior,
  mutatingAdmissionPolicyBindingBehavior,
  validatingAdmissionPolicyBehavior,
  validatingAdmissionPolicyBindingBehavior,
} from './registration/policies.ts'
import {
  mutatingWebhookConfigurationBehavior,
  validatingWebhookConfigurationBehavior,
} from './registration/webhooks.ts'
import {
  deviceClassBehavior,
  deviceTaintRuleBehavior,
  resourceClaimBehavior,
  resourceClaimTemplateBehavior,
  resourcePoolStatusRequestBehavior,
  resourceSliceBehavior,
} from './resource/behaviors.ts'
import { compositePodGroupBehavior, podGroupBehavior, workloadBehavior } from './scheduling/behaviors.ts'
import { evictionBehavior, evictionRequestBehavior } from './scheduling/eviction.ts'
import { serviceBehavior } from './service/behavior.ts'
import { defineKind } from './shared/define.ts'
import { persistentVolumeClaimBehavior } from './storage/claim.ts'
import {
  csiDriverBehavior,
  csiNodeBehavior,
  csiStorageCapacityBehavior,
  storageClassBehavior,
  volumeAttachmentBehavior,
  volumeAttributesClassBehavior,
} from './storage/classes.ts'
import { persistentVolumeBehavior } from './storage/volume.ts'
import { controllerRevisionBehavior } from './workloads/controller-revision.ts'
import { cronJobBehavior } from './workloads/cron-job.ts'
import { daemonSetBehavior } from './workloads/daemon-set.ts'
import { deploymentBehavior } from './workloads/deployment.ts'
import { jobBehavior } from './workloads/job.ts'
import { replicaSetBehavior } from './workloads/replica-set.ts'
import { podTemplateBehavior, replicationControllerBehavior } from './workloads/replication-controller.ts'
import { statefulSetBehavior } from './workloads/stateful-set.ts'

const NO_BEHAVIOR: KindBehavior = {}

/** By `group/Kind`, the core group being empty. */
const BEHAVIORS: ReadonlyMap<string, KindBehavior> = new Map([
  ['/ComponentStatus', defineKind(componentStatusBehavior)],
  ['/ConfigMap', defineKind(configMapBehavior)],
  ['/Endpoints', defineKind(endpointsBehavior)],
  ['/Event', defineKind(eventBehavior)],
  ['/LimitRange', defineKind(limitRangeBehavior)],
  ['/Namespace', defineKind(namespaceBehavior)],
  ['/Node', defineKind(nodeBehavior)],
  ['/PersistentVolume', defineKind(persistentVolumeBehavior)],
  ['/PersistentVolumeClaim', defineKind(persistentVolumeClaimBehavior)],
  ['/Pod', defineKind(podBehavior)],
  ['/PodTemplate', defineKind(podTemplateBehavior)],
  ['/ReplicationController', defineKind(replicationControllerBehavior)],
  ['/ResourceQuota', defineKind(resourceQuotaBehavior)],
  ['/Secret', defineKind(secretBehavior)],
  ['/Service', defineKind(serviceBehavior)],
  ['/ServiceAccount', defineKind(serviceAccountBehavior)],
  ['admissionregistration.k8s.io/MutatingAdmissionPolicy', defineKind(mutatingAdmissionPolicyBehavior)],
  ['admissionregistration.k8s.io/MutatingAdmissionPolicyBinding', defineKind(mutatingAdmissionPolicyBindingBehavior)],
  ['admissionregistration.k8s.io/MutatingWebhookConfiguration', defineKind(mutatingWebhookConfigurationBehavior)],
  ['admissionregistration.k8s.io/ValidatingAdmissionPolicy', defineKind(validatingAdmissionPolicyBehavior)],
  [
    'admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding',
    defineKind(validatingAdmissionPolicyBindingBehavior),
  ],
  ['admissionregistration.k8s.io/ValidatingWebhookConfiguration', defineKind(validatingWebhookConfigurationBehavior)],
  ['apiextensions.k8s.io/CustomResourceDefinition', defineKind(customResourceDefinitionBehavior)],
  ['apiregistration.k8s.io/APIService', defineKind(apiServiceBehavior)],
  ['apps/ControllerRevision', defineKind(controllerRevisionBehavior)],
  ['apps/DaemonSet', defineKind(daemonSetBehavior)],
  ['apps/Deployment', defineKind(deploymentBehavior)],
  ['apps/ReplicaSet', defineKind(replicaSetBehavior)],
  ['apps/StatefulSet', defineKind(statefulSetBehavior)],
  ['autoscaling/HorizontalPodAutoscaler', defineKind(horizontalPodAutoscalerBehavior)],
  ['autoscaling/Scale', defineKind(scaleBehavior)],
  ['batch/CronJob', defineKind(cronJobBehavior)],
  ['batch/Job', defineKind(jobBehavior)],
  ['centaurus.io/Queue', defineKind(queueBehavior)],
  ['centaurus.io/QueuedWorkload', defineKind(queuedWorkloadBehavior)],
  ['centaurus.io/TrainingJob', defineKind(trainingJobBehavior)],
  ['centaurus.io/Vpc', defineKind(vpcBehavior)],
  ['certificates.k8s.io/CertificateSigningRequest', defineKind(certificateSigningRequestBehavior)],
  ['certificates.k8s.io/ClusterTrustBundle', defineKind(clusterTrustBundleBehavior)],
  ['certificates.k8s.io/PodCertificateRequest', defineKind(podCertificateRequestBehavior)],
  ['coordination.k8s.io/Lease', defineKind(leaseBehavior)],
  ['coordination.k8s.io/LeaseCandidate', defineKind(leaseCandidateBehavior)],
  ['discovery.k8s.io/EndpointSlice', defineKind(endpointSliceBehavior)],
  ['events.k8s.io/Event', defineKind(eventV1Behavior)],
  ['flowcontrol.apiserver.k8s.io/FlowSchema', defineKind(flowSchemaBehavior)],
  ['flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration', defineKind(priorityLevelConfigurationBehavior)],
  ['internal.apiserver.k8s.io/StorageVersion', defineKind(storageVersionBehavior)],
  ['lifecycle.k8s.io/Eviction', defineKind(evictionBehavior)],
  ['lifecycle.k8s.io/EvictionRequest', defineKind(evictionRequestBehavior)],
  ['networking.k8s.io/IPAddress', defineKind(ipAddressBehavior)],
  ['networking.k8s.io/Ingress', defineKind(ingressBehavior)],
  ['networking.k8s.io/IngressClass', defineKind(ingressClassBehavior)],
  ['networking.k8s.io/NetworkPolicy', defineKind(networkPolicyBehavior)],
  ['networking.k8s.io/ServiceCIDR', defineKind(serviceCIDRBehavior)],
  ['node.k8s.io/RuntimeClass', defineKind(runtimeClassBehavior)],
  ['policy/PodDisruptionBudget', defineKind(podDisruptionBudgetBehavior)],
  ['policy.networking.k8s.io/ClusterNetworkPolicy', defineKind(clusterNetworkPolicyBehavior)],
  ['rbac.authorization.k8s.io/ClusterRole', defineKind(clusterRoleBehavior)],
  ['rbac.authorization.k8s.io/ClusterRoleBinding', defineKind(clusterRoleBindingBehavior)],
  ['rbac.authorization.k8s.io/Role', defineKind(roleBehavior)],
  ['rbac.authorization.k8s.io/RoleBinding', defineKind(roleBindingBehavior)],
  ['resource.k8s.io/DeviceClass', defineKind(deviceClassBehavior)],
  ['resource.k8s.io/DeviceTaintRule', defineKind(deviceTaintRuleBehavior)],
  ['resource.k8s.io/ResourceClaim', defineKind(resourceClaimBehavior)],
  ['resource.k8s.io/ResourceClaimTemplate', defineKind(resourceClaimTemplateBehavior)],
  ['resource.k8s.io/ResourcePoolStatusRequest', defineKind(resourcePoolStatusRequestBehavior)],
  ['resource.k8s.io/ResourceSlice', defineKind(resourceSliceBehavior)],
  ['scheduling.k8s.io/CompositePodGroup', defineKind(compositePodGroupBehavior)],
  ['scheduling.k8s.io/PodGroup', defineKind(podGroupBehavior)],
  ['scheduling.k8s.io/PriorityClass', defineKind(priorityClassBehavior)],
  ['scheduling.k8s.io/Workload', defineKind(workloadBehavior)],
  ['storage.k8s.io/CSIDriver', defineKind(csiDriverBehavior)],
  ['storage.k8s.io/CSINode', defineKind(csiNodeBehavior)],
  ['storage.k8s.io/CSIStorageCapacity', defineKind(csiStorageCapacityBehavior)],
  ['storage.k8s.io/StorageClass', defineKind(storageClassBehavior)],
  ['storage.k8s.io/VolumeAttachment', defineKind(volumeAttachmentBehavior)],
  ['storage.k8s.io/VolumeAttributesClass', defineKind(volumeAttributesClassBehavior)],
  ['storagemigration.k8s.io/StorageVersionMigration', defineKind(storageVersionMigrationBehavior)],
])

/**
 * What is particular to a kind, in all of its versions: defaults, validation, table columns and the like. A kind without
 * particulars has an empty behaviour. Pass it objects in the storage version where versions differ in shape.
 */
export function behaviorOf(group: string, kind: string): KindBehavior {
  return BEHAVIORS.get(`${group}/${kind}`) ?? NO_BEHAVIOR
}
