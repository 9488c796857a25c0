import type { ResourceInfo } from '@centaurus/api'
import { formatApiVersion } from './built-in.ts'

/** `group/version/Kind deprecated-in removed-in`, minors of version 1; the replacement, if upstream names one, comes last. */
const DEPRECATED = `
/v1/ComponentStatus 19 -
/v1/Endpoints 33 - discovery.k8s.io/v1 EndpointSlice
admissionregistration.k8s.io/v1alpha1/MutatingAdmissionPolicy 35 38
admissionregistration.k8s.io/v1alpha1/MutatingAdmissionPolicyBinding 35 38
admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy 37 40 admissionregistration.k8s.io/v1 MutatingAdmissionPolicy
admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicyBinding 37 40 admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding
certificates.k8s.io/v1beta1/ClusterTrustBundle 37 40 certificates.k8s.io/v1 ClusterTrustBundle
certificates.k8s.io/v1beta1/PodCertificateRequest 37 40 certificates.k8s.io/v1 PodCertificateRequest
coordination.k8s.io/v1alpha2/LeaseCandidate 35 38
coordination.k8s.io/v1beta1/LeaseCandidate 36 39
resource.k8s.io/v1alpha3/DeviceTaintRule 36 39
resource.k8s.io/v1beta1/DeviceClass 35 38
resource.k8s.io/v1beta1/ResourceClaim 35 38
resource.k8s.io/v1beta1/ResourceClaimTemplate 35 38
resource.k8s.io/v1beta1/ResourceSlice 35 38
resource.k8s.io/v1beta2/DeviceClass 36 39
resource.k8s.io/v1beta2/ResourceClaim 36 39
resource.k8s.io/v1beta2/ResourceClaimTemplate 36 39
resource.k8s.io/v1beta2/ResourceSlice 36 39
storagemigration.k8s.io/v1beta1/StorageVersionMigration 37 40 storagemigration.k8s.io/v1 StorageVersionMigration
`

let warnings: ReadonlyMap<string, string> | undefined

/**
 * What every request for this kind in this version is warned of; undefined: it is here to stay.
 * Source: k8s.io/api zz_generated.prerelease-lifecycle.go v0.37; wording of apiserver pkg/endpoints/deprecation.
 */
export function deprecationWarning(info: Pick<ResourceInfo, 'group' | 'version' | 'kind'>): string | undefined {
  warnings ??= new Map(DEPRECATED.trim().split('\n').map(parseLine))
  return warnings.get(`${info.group}/${info.version}/${info.kind}`)
}

function parseLine(line: string): [string, string] {
  const [key, deprecatedIn, removedIn, ...replacement] = line.split(' ') as [string, string, string, ...string[]]
  const [group, version, kind] = key.split('/') as [string, string, string]
  const removed = removedIn === '-' ? '' : `, unavailable in v1.${removedIn}+`
  const use = replacement.length === 0 ? '' : `; use ${replacement.join(' ')}`
  return [key, `${formatApiVersion({ group, version })} ${kind} is deprecated in v1.${deprecatedIn}+${removed}${use}`]
}
