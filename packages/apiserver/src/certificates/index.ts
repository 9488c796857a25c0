export {
  certificateExpiryMs,
  createAuthority,
  issueCertificate,
  type CertificateIdentity,
  type ExtendedUsage,
  type IssueOptions,
} from './authority.ts'
export {
  createCertificateRequest,
  isSignedBy,
  KUBE_APISERVER_CLIENT_KUBELET_SIGNER,
  KUBE_APISERVER_CLIENT_SIGNER,
  KUBELET_SERVING_SIGNER,
  parseCertificateRequest,
  signCertificateRequest,
  type RequestedIdentity,
  type SigningRequest,
  type SigningResult,
} from './certificate-request.ts'
export {
  hostAlternativeNames,
  KUBELET_CLIENT_IDENTITY,
  openClusterCertificates,
  type ClusterCertificates,
  type ClusterCertificatesOptions,
} from './cluster-certificates.ts'
export { generateKeyPem, publicKeyPem, type CertificateAndKey } from './key-pair.ts'
export { createKubeconfig, type KubeconfigOptions } from './kubeconfig.ts'
