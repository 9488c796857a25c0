/** Bindings of cluster roles, each `kind:role -> subjects`. Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy (v1.37). */
export const CLUSTER_BINDINGS: Readonly<Record<string, string>> = {
  'cluster-admin': 'ClusterRole:cluster-admin -> Group:system:masters',
  // kubeadm's, of cmd/kubeadm/app/phases/bootstraptoken/node: a machine with a bootstrap token becomes a node, and renews its certificate
  'kubeadm:kubelet-bootstrap':
    'ClusterRole:system:node-bootstrapper -> Group:system:bootstrappers:kubeadm:default-node-token',
  'kubeadm:node-autoapprove-bootstrap':
    'ClusterRole:system:certificates.k8s.io:certificatesigningrequests:nodeclient -> Group:system:bootstrappers:kubeadm:default-node-token',
  'kubeadm:node-autoapprove-certificate-rotation':
    'ClusterRole:system:certificates.k8s.io:certificatesigningrequests:selfnodeclient -> Group:system:nodes',
  'system:basic-user': 'ClusterRole:system:basic-user -> Group:system:authenticated',
  'system:cluster-trust-bundle-discovery':
    'ClusterRole:system:cluster-trust-bundle-discovery -> Group:system:serviceaccounts',
  'system:discovery': 'ClusterRole:system:discovery -> Group:system:authenticated',
  'system:gateway': 'ClusterRole:system:gateway -> Group:system:gateways',
  'system:kube-controller-manager': 'ClusterRole:system:kube-controller-manager -> User:system:kube-controller-manager',
  'system:kube-dns': 'ClusterRole:system:kube-dns -> ServiceAccount:kube-system:kube-dns',
  'system:kube-scheduler': 'ClusterRole:system:kube-scheduler -> User:system:kube-scheduler',
  'system:monitoring': 'ClusterRole:system:monitoring -> Group:system:monitoring',
  'system:node': 'ClusterRole:system:node -> ',
  'system:node-dns': 'ClusterRole:system:node-dns -> User:system:kube-proxy Group:system:nodes',
  'system:node-proxier': 'ClusterRole:system:node-proxier -> User:system:kube-proxy',
  'system:public-info-viewer':
    'ClusterRole:system:public-info-viewer -> Group:system:authenticated Group:system:unauthenticated',
  'system:service-account-issuer-discovery':
    'ClusterRole:system:service-account-issuer-discovery -> Group:system:serviceaccounts',
  'system:volume-scheduler': 'ClusterRole:system:volume-scheduler -> User:system:kube-scheduler',
}

/** Bindings of roles, named `namespace/name`. */
export const NAMESPACE_BINDINGS: Readonly<Record<string, string>> = {
  'kube-public/system:controller:bootstrap-signer':
    'Role:system:controller:bootstrap-signer -> ServiceAccount:kube-system:bootstrap-signer',
  'kube-system/system::extension-apiserver-authentication-reader':
    'Role:extension-apiserver-authentication-reader -> User:system:kube-controller-manager User:system:kube-scheduler',
  'kube-system/system::leader-locking-kube-controller-manager':
    'Role:system::leader-locking-kube-controller-manager -> User:system:kube-controller-manager ServiceAccount:kube-system:kube-controller-manager ServiceAccount:kube-system:leader-election-controller',
  'kube-system/system::leader-locking-kube-scheduler':
    'Role:system::leader-locking-kube-scheduler -> User:system:kube-scheduler ServiceAccount:kube-system:kube-scheduler',
  'kube-system/system:controller:bootstrap-signer':
    'Role:system:controller:bootstrap-signer -> ServiceAccount:kube-system:bootstrap-signer',
  'kube-system/system:controller:cloud-provider':
    'Role:system:controller:cloud-provider -> ServiceAccount:kube-system:cloud-provider',
  'kube-system/system:controller:token-cleaner':
    'Role:system:controller:token-cleaner -> ServiceAccount:kube-system:token-cleaner',
}
