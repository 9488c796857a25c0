import { DNS_SETTINGS_NAME } from '@centaurus/api'
import type { RoleData } from './role-data.ts'

/** Ours: what a node must know of its pods' networks, and of who may send to whom. */
const NETWORK_READS = [
  'get list watch | core | namespaces',
  'get list watch | networking.k8s.io | networkpolicies',
  'get list watch | policy.networking.k8s.io | clusternetworkpolicies',
  'get list watch | centaurus.io | networkidentities partitions remotenodes subnets vpcs',
]

/** Cluster roles of the components and of everybody who is logged in. Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy (v1.37). */
export const SYSTEM_ROLES: Readonly<Record<string, RoleData>> = {
  'system:auth-delegator': {
    rules: ['create | authentication.k8s.io | tokenreviews', 'create | authorization.k8s.io | subjectaccessreviews'],
  },
  'system:basic-user': {
    rules: [
      'create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews',
      'create | authentication.k8s.io | selfsubjectreviews',
    ],
  },
  'system:certificates.k8s.io:certificatesigningrequests:nodeclient': {
    rules: ['create | certificates.k8s.io | certificatesigningrequests/nodeclient'],
  },
  'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient': {
    rules: ['create | certificates.k8s.io | certificatesigningrequests/selfnodeclient'],
  },
  'system:certificates.k8s.io:kube-apiserver-client-approver': {
    rules: ['approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client'],
  },
  'system:certificates.k8s.io:kube-apiserver-client-kubelet-approver': {
    rules: ['approve | certificates.k8s.io | signers | kubernetes.io/kube-apiserver-client-kubelet'],
  },
  'system:certificates.k8s.io:kubelet-serving-approver': {
    rules: ['approve | certificates.k8s.io | signers | kubernetes.io/kubelet-serving'],
  },
  'system:certificates.k8s.io:legacy-unknown-approver': {
    rules: ['approve | certificates.k8s.io | signers | kubernetes.io/legacy-unknown'],
  },
  'system:cluster-trust-bundle-discovery': {
    rules: ['get list watch | certificates.k8s.io | clustertrustbundles'],
  },
  'system:discovery': {
    rules: ['get | /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/'],
  },
  // ours: the gateway reads who is in the cluster, and looks for which partition has an object of a node
  'system:gateway': {
    rules: [
      'get list watch | centaurus.io | partitions tenants',
      'get | core events.k8s.io | events nodes',
      'get | storage.k8s.io | csinodes',
      'get | certificates.k8s.io | certificatesigningrequests',
      'get | centaurus.io | networkreports nodeallocations remotenodes',
      'get | coordination.k8s.io | leases',
      'get | metrics.k8s.io | nodes',
    ],
  },
  'system:heapster': {
    rules: ['get list watch | core | events namespaces nodes pods', 'get list watch | extensions | deployments'],
  },
  'system:kube-aggregator': {
    rules: ['get list watch | core | endpoints services'],
  },
  'system:kube-controller-manager': {
    rules: [
      'create update patch | core events.k8s.io | events',
      'create | coordination.k8s.io | leases',
      'get update | coordination.k8s.io | leases | kube-controller-manager',
      'create | core | secrets serviceaccounts serviceaccounts/token',
      'delete | core | secrets',
      'get | core | configmaps namespaces secrets serviceaccounts',
      'update | core | secrets serviceaccounts',
      'create | authentication.k8s.io | tokenreviews',
      'create | authorization.k8s.io | subjectaccessreviews',
      'list watch | * | *',
    ],
  },
  'system:kube-dns': {
    rules: ['list watch | core | endpoints services'],
  },
  'system:kube-scheduler': {
    rules: [
      'create update patch | core events.k8s.io | events',
      'create | coordination.k8s.io | leases',
      'get list watch update | coordination.k8s.io | leases | kube-scheduler',
      'get list watch create update patch delete deletecollection | coordination.k8s.io | leasecandidates',
      'get list watch | core | nodes replicationcontrollers services persistentvolumeclaims persistentvolumes namespaces',
      'get list watch delete | core | pods',
      'create | core | bindings pods/binding',
      'update patch | core | pods/status',
      'get list watch | apps extensions | replicasets',
      'get list watch | apps | statefulsets',
      'get list watch | policy | poddisruptionbudgets',
      'create | authentication.k8s.io | tokenreviews',
      'create | authorization.k8s.io | subjectaccessreviews',
      'get list watch | storage.k8s.io | csinodes volumeattachments csidrivers csistoragecapacities',
      'get list watch | resource.k8s.io | deviceclasses resourceslices devicetaintrules',
      'get list watch update patch | resource.k8s.io | resourceclaims resourceclaims/status',
      'update | core | pods/finalizers',
      'create delete | resource.k8s.io | resourceclaims',
      'update patch | resource.k8s.io | resourceclaims/binding',
      'get list watch | scheduling.k8s.io | podgroups compositepodgroups',
      'update patch | scheduling.k8s.io | podgroups/status compositepodgroups/status',
    ],
  },
  'system:kubelet-api-admin': {
    rules: [
      'get list watch | core | nodes',
      'proxy | core | nodes',
      '* | core | nodes/log nodes/metrics nodes/proxy nodes/stats nodes/configz nodes/healthz nodes/pods',
    ],
  },
  'system:monitoring': {
    rules: [
      'get | /flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz',
      'get | core | nodes/metrics',
    ],
  },
  'system:node': {
    rules: [
      'create | authentication.k8s.io | tokenreviews',
      'create | authorization.k8s.io | localsubjectaccessreviews subjectaccessreviews',
      'get list watch | core | services pods configmaps secrets',
      'get list watch create | core | nodes',
      'update patch | core | nodes/status nodes pods/status',
      'create update patch | core events.k8s.io | events',
      'create delete | core | pods',
      'create | core | pods/eviction serviceaccounts/token',
      'get | core | persistentvolumeclaims persistentvolumes endpoints serviceaccounts',
      'get list watch create | certificates.k8s.io | certificatesigningrequests podcertificaterequests',
      'get create update patch delete | coordination.k8s.io | leases',
      'get | storage.k8s.io | volumeattachments',
      'get update patch | core | persistentvolumeclaims/status',
      'get list watch | storage.k8s.io | csidrivers',
      'get create update patch delete | storage.k8s.io | csinodes',
      'get update patch | storage.k8s.io | csinodes/status',
      'get list watch | node.k8s.io | runtimeclasses',
      'get | resource.k8s.io | resourceclaims',
      'deletecollection | resource.k8s.io | resourceslices',
      'get list watch | certificates.k8s.io | clustertrustbundles',
      'get create update | centaurus.io | networkreports',
      ...NETWORK_READS,
    ],
  },
  'system:node-bootstrapper': {
    rules: ['get list watch create | certificates.k8s.io | certificatesigningrequests'],
  },
  // ours: what tenants, and the operators for all, say of names outside of the cluster
  'system:node-dns': {
    rules: [`get list watch | core | configmaps | ${DNS_SETTINGS_NAME}`],
  },
  'system:node-problem-detector': {
    rules: ['get | core | nodes', 'patch | core | nodes/status', 'create update patch | core events.k8s.io | events'],
  },
  'system:node-proxier': {
    rules: [
      'list watch | core | endpoints services',
      'get list watch | core | nodes',
      'create update patch | core events.k8s.io | events',
      'list watch | networking.k8s.io | servicecidrs',
      'list watch | discovery.k8s.io | endpointslices',
      ...NETWORK_READS,
    ],
  },
  'system:persistent-volume-provisioner': {
    rules: [
      'get list watch create delete | core | persistentvolumes',
      'get list watch update | core | persistentvolumeclaims',
      'get list watch | storage.k8s.io | storageclasses',
      'watch | core | events',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'system:public-info-viewer': {
    rules: ['get | /healthz /livez /readyz /version /version/'],
  },
  'system:service-account-issuer-discovery': {
    rules: [
      'get | /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/',
    ],
  },
  'system:volume-scheduler': {
    rules: [
      'get list watch update patch | core | persistentvolumes persistentvolumeclaims',
      'get list watch | storage.k8s.io | storageclasses',
    ],
  },
}
