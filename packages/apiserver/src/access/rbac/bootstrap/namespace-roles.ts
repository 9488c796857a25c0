import type { RoleData } from './role-data.ts'

/** Roles in kube-system and kube-public, named `namespace/name`. Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy (v1.37). */
export const NAMESPACE_ROLES: Readonly<Record<string, RoleData>> = {
  'kube-public/system:controller:bootstrap-signer': {
    rules: [
      'get list watch | core | configmaps',
      'update | core | configmaps | cluster-info',
      'create update patch | core events.k8s.io | events',
    ],
  },
  'kube-system/extension-apiserver-authentication-reader': {
    rules: ['get list watch | core | configmaps | extension-apiserver-authentication'],
  },
  'kube-system/system::leader-locking-kube-controller-manager': {
    rules: ['get list watch create update | coordination.k8s.io | leases leasecandidates'],
  },
  'kube-system/system::leader-locking-kube-scheduler': {
    rules: ['get list watch create update | coordination.k8s.io | leases leasecandidates'],
  },
  'kube-system/system:controller:bootstrap-signer': {
    rules: ['get list watch | core | secrets'],
  },
  'kube-system/system:controller:cloud-provider': {
    rules: ['get list watch create | core | configmaps'],
  },
  'kube-system/system:controller:token-cleaner': {
    rules: ['get list watch delete | core | secrets', 'create update patch | core events.k8s.io | events'],
  },
}
