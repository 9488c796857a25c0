import type { RoleData } from './role-data.ts'

/** Cluster roles of the controllers, each bound to the service account of the same name in kube-system. Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy (v1.37). */
export const CONTROLLER_ROLES: Readonly<Record<string, RoleData>> = {
  'system:controller:attachdetach-controller': {
    rules: [
      'list watch | core | persistentvolumeclaims persistentvolumes pods',
      'get list watch | core | nodes',
      'update patch | core | nodes/status',
      'create update patch | core events.k8s.io | events',
      'get list watch create delete | storage.k8s.io | volumeattachments',
      'get list watch | storage.k8s.io | csidrivers csinodes',
    ],
  },
  'system:controller:certificate-controller': {
    rules: [
      'get list watch delete | certificates.k8s.io | certificatesigningrequests',
      'update | certificates.k8s.io | certificatesigningrequests/approval certificatesigningrequests/status',
      'approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet',
      'sign | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown',
      'create | authorization.k8s.io | subjectaccessreviews',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:clusterrole-aggregation-controller': {
    rules: ['get list watch update patch escalate | rbac.authorization.k8s.io | clusterroles'],
  },
  'system:controller:cronjob-controller': {
    rules: [
      'get list watch update | batch | cronjobs',
      'get list watch create update patch delete | batch | jobs',
      'update | batch | cronjobs/status cronjobs/finalizers',
      'list watch delete | core | pods',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:daemon-set-controller': {
    rules: [
      'get list watch | apps extensions | daemonsets',
      'update | apps extensions | daemonsets/status daemonsets/finalizers',
      'list watch | core | nodes',
      'list watch create patch delete | core | pods',
      'create | core | pods/binding',
      'get list watch create update patch delete | apps | controllerrevisions',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:deployment-controller': {
    rules: [
      'get list watch update | apps extensions | deployments',
      'update | apps extensions | deployments/status deployments/finalizers',
      'get list watch create update patch delete | apps extensions | replicasets',
      'get list watch update | core | pods',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:device-taint-eviction-controller': {
    rules: [
      'get list watch delete | core | pods',
      'update patch | core | pods/status',
      'get list watch | resource.k8s.io | resourceclaims resourceslices deviceclasses devicetaintrules',
      'create update patch | core events.k8s.io | events',
      'update patch | resource.k8s.io | devicetaintrules/status',
    ],
  },
  'system:controller:disruption-controller': {
    rules: [
      'get list watch | apps extensions | deployments replicasets',
      'get list watch | core | replicationcontrollers',
      'get list watch | policy | poddisruptionbudgets',
      'get list watch | apps | statefulsets',
      'update | policy | poddisruptionbudgets/status',
      'update patch | core | pods/status',
      'get | * | */scale',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:endpoint-controller': {
    rules: [
      'get list watch | core | pods services',
      'get list watch create update delete | core | endpoints',
      'create | core | endpoints/restricted',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:endpointslice-controller': {
    rules: [
      'get list watch | core | nodes pods services',
      'update | core | services/finalizers',
      'get list watch create update delete | discovery.k8s.io | endpointslices',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:endpointslicemirroring-controller': {
    rules: [
      'get list watch | core | endpoints services',
      'update | core | services/finalizers endpoints/finalizers',
      'get list watch create update delete | discovery.k8s.io | endpointslices',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:ephemeral-volume-controller': {
    rules: [
      'get list watch | core | pods',
      'update | core | pods/finalizers',
      'get list watch create | core | persistentvolumeclaims',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:expand-controller': {
    rules: [
      'get list watch update patch | core | persistentvolumes',
      'update patch | core | persistentvolumeclaims/status',
      'get list watch | core | persistentvolumeclaims',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:generic-garbage-collector': {
    rules: ['get list watch update patch delete | * | *', 'create update patch | core events.k8s.io | events'],
  },
  'system:controller:horizontal-pod-autoscaler': {
    rules: [
      'get list watch | autoscaling | horizontalpodautoscalers',
      'update | autoscaling | horizontalpodautoscalers/status',
      'get update | * | */scale',
      'list watch | core | pods',
      'list watch | metrics.k8s.io | pods',
      'get list watch | custom.metrics.k8s.io | *',
      'get list watch | external.metrics.k8s.io | *',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:job-controller': {
    rules: [
      'get list watch update patch | batch | jobs',
      'update | batch | jobs/status jobs/finalizers',
      'list watch create patch delete | core | pods',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:kube-apiserver-serving-clustertrustbundle-publisher': {
    rules: [
      'attest | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-serving',
      'list watch create update delete | certificates.k8s.io | clustertrustbundles',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:legacy-service-account-token-cleaner': {
    rules: [
      'get | core | configmaps | kube-apiserver-legacy-service-account-token-tracking',
      'patch delete | core | secrets',
    ],
  },
  'system:controller:namespace-controller': {
    rules: [
      'get list watch delete | core | namespaces',
      'update | core | namespaces/finalize namespaces/status',
      'get list watch delete deletecollection | * | *',
    ],
  },
  'system:controller:node-controller': {
    rules: [
      'get list watch update patch delete | core | nodes',
      'update patch | core | nodes/status pods/status',
      'get list watch delete | core | pods',
      'get list watch | coordination.k8s.io | leases',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:persistent-volume-binder': {
    rules: [
      'get list watch create update delete | core | persistentvolumes',
      'update | core | persistentvolumes/status persistentvolumeclaims/status',
      'get list watch update | core | persistentvolumeclaims',
      'get list watch create delete | core | pods',
      'get list watch | storage.k8s.io | storageclasses',
      'list watch | core | nodes',
      'create update patch | core events.k8s.io | events',
      'watch | core | events',
    ],
  },
  'system:controller:pod-garbage-collector': {
    rules: ['list watch delete | core | pods', 'get list watch | core | nodes', 'patch | core | pods/status'],
  },
  'system:controller:podcertificaterequestcleaner': {
    rules: ['get list watch delete | certificates.k8s.io | podcertificaterequests'],
  },
  'system:controller:pv-protection-controller': {
    rules: ['get list watch update | core | persistentvolumes', 'create update patch | core events.k8s.io | events'],
  },
  'system:controller:pvc-protection-controller': {
    rules: [
      'get list watch update | core | persistentvolumeclaims',
      'update | core | persistentvolumeclaims/status',
      'get list watch | core | pods',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:replicaset-controller': {
    rules: [
      'get list watch update | apps extensions | replicasets',
      'update | apps extensions | replicasets/status replicasets/finalizers',
      'list watch create patch delete | core | pods',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:replication-controller': {
    rules: [
      'get list watch update | core | replicationcontrollers',
      'update | core | replicationcontrollers/status replicationcontrollers/finalizers',
      'list watch create patch delete | core | pods',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:resource-claim-controller': {
    rules: [
      'get list watch | core | pods',
      'update | core | pods/finalizers',
      'get list watch create delete | resource.k8s.io | resourceclaims',
      'update patch | resource.k8s.io | resourceclaims resourceclaims/status resourceclaims/binding',
      'update patch | core | pods/status',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:resourcequota-controller': {
    rules: [
      'list watch | * | *',
      'update | core | resourcequotas/status',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:root-ca-cert-publisher': {
    rules: ['create update | core | configmaps', 'create update patch | core events.k8s.io | events'],
  },
  'system:controller:route-controller': {
    rules: [
      'list watch | core | nodes',
      'patch | core | nodes/status',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:selinux-warning-controller': {
    rules: [
      'create update patch | core events.k8s.io | events',
      'get list watch | core | persistentvolumes persistentvolumeclaims pods',
      'get list watch | storage.k8s.io | csidrivers',
    ],
  },
  'system:controller:service-account-controller': {
    rules: ['create | core | serviceaccounts', 'create update patch | core events.k8s.io | events'],
  },
  'system:controller:service-cidrs-controller': {
    rules: [
      'get list watch update patch | networking.k8s.io | servicecidrs',
      'update patch | networking.k8s.io | servicecidrs/finalizers servicecidrs/status',
      'get list watch | networking.k8s.io | ipaddresses',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:service-controller': {
    rules: [
      'get list watch | core | services',
      'update patch | core | services/status',
      'list watch | core | nodes',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:statefulset-controller': {
    rules: [
      'list watch | core | pods',
      'get list watch | apps | statefulsets',
      'update | apps | statefulsets/status statefulsets/finalizers',
      'get create update patch delete | core | pods',
      'get list watch create update patch delete | apps | controllerrevisions',
      'get list watch create | core | persistentvolumeclaims',
      'update delete | core | persistentvolumeclaims',
      'update | core | pods/finalizers',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:storage-version-migrator-controller': {
    rules: [
      'list patch | * | *',
      'get | apiextensions.k8s.io | customresourcedefinitions',
      'patch | apiextensions.k8s.io | customresourcedefinitions/status',
      'update | storagemigration.k8s.io | storageversionmigrations/status',
    ],
  },
  'system:controller:ttl-after-finished-controller': {
    rules: ['get list watch delete | batch | jobs', 'create update patch | core events.k8s.io | events'],
  },
  'system:controller:ttl-controller': {
    rules: ['list watch update patch | core | nodes', 'create update patch | core events.k8s.io | events'],
  },
  'system:controller:validatingadmissionpolicy-status-controller': {
    rules: [
      'get list watch | admissionregistration.k8s.io | validatingadmissionpolicies',
      'get update patch | admissionregistration.k8s.io | validatingadmissionpolicies/status',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:controller:volumeattributesclass-protection-controller': {
    rules: [
      'get list watch | core | persistentvolumeclaims persistentvolumes',
      'get list watch update | storage.k8s.io | volumeattributesclasses',
      'create update patch | core events.k8s.io | events',
    ],
  },
}
