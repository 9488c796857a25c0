import type { RoleData } from './role-data.ts'

/** Cluster roles that people are given: cluster-admin, admin, edit, view and what they are made of. Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy (v1.37). */
export const USER_ROLES: Readonly<Record<string, RoleData>> = {
  admin: {
    aggregates: 'admin',
  },
  'cluster-admin': {
    rules: ['* | * | *', '* | *'],
  },
  edit: {
    aggregates: 'edit',
    aggregateTo: 'admin',
  },
  'system:aggregate-to-admin': {
    aggregateTo: 'admin',
    rules: [
      'create | authorization.k8s.io | localsubjectaccessreviews',
      'get list watch create update patch delete deletecollection | rbac.authorization.k8s.io | rolebindings roles',
    ],
  },
  'system:aggregate-to-edit': {
    aggregateTo: 'edit',
    rules: [
      'get list watch | core | pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy',
      'impersonate | core | serviceaccounts',
      'create update patch delete deletecollection | core | pods pods/attach pods/exec pods/portforward pods/proxy configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy',
      'create | core | pods/eviction serviceaccounts/token',
      'create update patch delete deletecollection | core events.k8s.io | events',
      'create update patch delete deletecollection | apps | daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale',
      'create update patch delete deletecollection | autoscaling | horizontalpodautoscalers',
      'create update patch delete deletecollection | batch | cronjobs jobs',
      'create update patch delete deletecollection | extensions | daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale',
      'create update patch delete deletecollection | policy | poddisruptionbudgets',
      'create update patch delete deletecollection | networking.k8s.io | ingresses networkpolicies',
      'get list watch create update patch delete deletecollection | coordination.k8s.io | leases',
      'create update patch delete deletecollection | resource.k8s.io | resourceclaims resourceclaimtemplates',
      'create update patch delete deletecollection | scheduling.k8s.io | podgroups workloads compositepodgroups',
      'create update patch delete deletecollection | lifecycle.k8s.io | evictionrequests',
    ],
  },
  'system:aggregate-to-view': {
    aggregateTo: 'view',
    rules: [
      'get list watch | core | configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status namespaces',
      'get list watch | core events.k8s.io | events',
      'get list watch | discovery.k8s.io | endpointslices',
      'get list watch | apps | controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status',
      'get list watch | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status',
      'get list watch | batch | cronjobs cronjobs/status jobs jobs/status',
      'get list watch | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale',
      'get list watch | policy | poddisruptionbudgets poddisruptionbudgets/status',
      'get list watch | networking.k8s.io | ingresses ingresses/status networkpolicies',
      'get list watch | resource.k8s.io | resourceclaims resourceclaims/status resourceclaimtemplates',
      'get list watch | scheduling.k8s.io | podgroups podgroups/status workloads compositepodgroups compositepodgroups/status',
      'get list watch | lifecycle.k8s.io | evictionrequests evictions',
    ],
  },
  // Source: metrics-server manifests/base/rbac.yaml, v0.8; edit and admin have it from view
  'system:aggregated-metrics-reader': {
    aggregateTo: 'view',
    rules: ['get list watch | metrics.k8s.io | nodes pods'],
  },
  // ours: what is in the way of a packet; who makes and changes it is an administrator of the whole tenant
  'system:aggregated-network-reader': {
    aggregateTo: 'view',
    rules: [
      'get list watch | centaurus.io | networkidentities subnets vpcs networkpolicystatuses clusternetworkpolicystatuses',
      'get list watch | policy.networking.k8s.io | clusternetworkpolicies',
    ],
  },
  // ours: what waits for quota, and why
  'system:aggregated-queue-reader': {
    aggregateTo: 'view',
    rules: ['get list watch | centaurus.io | queues queuedworkloads trainingjobs trainingreports'],
  },
  'system:aggregated-training-editor': {
    aggregateTo: 'edit',
    rules: [
      'create update patch delete deletecollection | centaurus.io | trainingjobs',
      'update patch | centaurus.io | trainingreports',
    ],
  },
  view: {
    aggregates: 'view',
    aggregateTo: 'edit',
  },
}
