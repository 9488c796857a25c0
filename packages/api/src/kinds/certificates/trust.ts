import type { ClusterTrustBundle, PodCertificateRequest } from '../../generated/types/certificates/v1.ts'
import { checkDnsSubdomain } from '../../meta/names.ts'
import { FieldPath, invalid, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkImmutable, checkRequired } from '../shared/check.ts'
import { column, formatLabels, nameColumn } from '../shared/table.ts'
import { checkSignerName } from './signer-name.ts'

const spec = new FieldPath('spec')
const OUTCOMES = ['Denied', 'Failed', 'Issued']

/** Source: pkg/apis/certificates/validation v1.37. What the bundle holds is not parsed. */
export const clusterTrustBundleBehavior: KindBehavior<ClusterTrustBundle> = {
  // With a signer, the name has colons.
  nameRule: (name) => checkDnsSubdomain(name.slice(name.lastIndexOf(':') + 1)),
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: (bundle) => [
    ...checkBundleName(bundle),
    ...(bundle.spec.signerName ? checkSignerName(bundle.spec.signerName, spec.child('signerName')) : []),
    ...checkTrustBundle(bundle),
  ],
  validateUpdate: (now, old) => checkImmutable(now.spec.signerName, old.spec.signerName, spec.child('signerName')),
  selectableFields: (bundle) => ({ 'spec.signerName': bundle.spec.signerName ?? '' }),
  selectableFieldNames: ['spec.signerName'],
  columns: [nameColumn, column('SignerName', 'Whose certificates the bundle trusts')],
  row: ({ metadata, spec: own }) => [metadata.name, own.signerName || '<none>'],
}

/** Source: pkg/registry/certificates/podcertificaterequest v1.37. */
export const podCertificateRequestBehavior: KindBehavior<PodCertificateRequest> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: ({ spec: own }) => [
    ...checkSignerName(own.signerName, spec.child('signerName')),
    ...(['podName', 'podUID', 'serviceAccountName', 'serviceAccountUID', 'nodeName', 'nodeUID'] as const).flatMap(
      (field) => checkRequired(own[field], spec.child(field)),
    ),
  ],
  validateUpdate: (now, old) => checkImmutable(now.spec, old.spec, spec),
  selectableFields: ({ spec: own }) => ({
    'spec.signerName': own.signerName ?? '',
    'spec.podName': own.podName ?? '',
    'spec.nodeName': own.nodeName ?? '',
  }),
  selectableFieldNames: ['spec.signerName', 'spec.podName', 'spec.nodeName'],
  columns: [
    nameColumn,
    column('PodName', 'Pod that asks'),
    column('ServiceAccountName', 'Account of the pod'),
    column('NodeName', 'Node of the pod'),
    column('SignerName', 'Who is asked to sign'),
    column('State', 'How far the request is'),
    column('UnverifiedUserAnnotations', 'What the pod asks the signer for', { wide: true }),
  ],
  row: ({ metadata, spec: own, status }) => [
    metadata.name,
    own.podName,
    own.serviceAccountName,
    own.nodeName,
    own.signerName,
    (status?.conditions ?? []).findLast((condition) => OUTCOMES.includes(condition.type))?.type ?? 'Pending',
    formatLabels(own.unverifiedUserAnnotations),
  ],
}

/** The signer's name, with a colon for each slash, must start the name. Source: ValidateClusterTrustBundleName, pkg/apis/core/validation v1.37. */
function checkBundleName({ metadata, spec: own }: Readonly<ClusterTrustBundle>): FieldError[] {
  const name = metadata.name ?? ''
  const path = new FieldPath('metadata.name')
  const prefix = own.signerName ? `${own.signerName.replace('/', ':')}:` : ''
  if (prefix === '' && name.includes(':')) {
    return [invalid(path, name, 'ClusterTrustBundle without signer name must not have ":" in its name')]
  }
  if (name.startsWith(prefix)) return []
  return [
    invalid(path, name, `ClusterTrustBundle for signerName ${own.signerName} must be named with prefix ${prefix}`),
  ]
}

function checkTrustBundle({ spec: own }: Readonly<ClusterTrustBundle>): FieldError[] {
  const path = spec.child('trustBundle')
  if ((own.trustBundle ?? '').includes('-----BEGIN CERTIFICATE-----')) return []
  return [invalid(path, '<value omitted>', 'at least one trust anchor must be provided')]
}
