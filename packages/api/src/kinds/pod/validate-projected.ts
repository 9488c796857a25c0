import type { ProjectedVolumeSource, VolumeProjection } from '../../generated/types/core/v1.ts'
import { forbiddenField, invalid, required, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { checkId, checkOneOf, checkRequired } from '../shared/check.ts'
import { validateLabelSelector } from '../shared/selector.ts'
import { checkFileMode, checkLocalPath } from './paths.ts'
import { validateDownwardFile, validateKeyToPath } from './validate-files.ts'

const TOKEN_SECONDS_MIN = 600
const TOKEN_SECONDS_MAX = 2 ** 32
const CERTIFICATE_SECONDS_MIN = 3_600
const CERTIFICATE_SECONDS_MAX = 91 * 86_400
const KEY_TYPES = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519']

/** A volume made of several sources, no two of which write the same file. Source: validateProjectionSources, pkg/apis/core/validation v1.37. */
export function validateProjected(source: ProjectedVolumeSource, path: FieldPath): FieldError[] {
  const errors = [
    ...checkFileMode(source.defaultMode, path.child('defaultMode')),
    ...checkId(source.defaultUser, path.child('defaultUser')),
  ]
  const seen = new Set<string>()
  for (const [i, projection] of (source.sources ?? []).entries()) {
    const at = path.child('sources').index(i)
    errors.push(...validateProjection(projection, at, path))
    for (const { file, value } of filesOf(projection)) {
      if (seen.has(file)) errors.push(invalid(path, value, 'conflicting duplicate paths'))
      seen.add(file)
    }
    if (Object.values(projection).filter((part) => part !== undefined).length > 1) {
      errors.push(forbiddenField(at, 'may not specify more than 1 volume type per source'))
    }
  }
  return errors
}

function validateProjection(projection: VolumeProjection, path: FieldPath, volumePath: FieldPath): FieldError[] {
  const { secret, configMap, downwardAPI, serviceAccountToken } = projection
  const errors: FieldError[] = []
  for (const [name, part] of Object.entries({ secret, configMap })) {
    if (part === undefined) continue
    const at = path.child(name)
    errors.push(...checkRequired(part.name, at.child('name')))
    errors.push(...(part.items ?? []).flatMap((item, i) => validateKeyToPath(item, at.child('items').index(i))))
  }
  errors.push(...(downwardAPI?.items ?? []).flatMap((file) => validateDownwardFile(file, path.child('downwardAPI'))))
  if (serviceAccountToken !== undefined)
    errors.push(...validateToken(serviceAccountToken, path.child('serviceAccountToken'), volumePath))
  return [...errors, ...validateTrustBundle(projection, path), ...validatePodCertificate(projection, path)]
}

/** Like upstream it reports the token's path at the volume. */
function validateToken(
  token: NonNullable<VolumeProjection['serviceAccountToken']>,
  path: FieldPath,
  volumePath: FieldPath,
): FieldError[] {
  const errors: FieldError[] = []
  const at = path.child('expirationSeconds')
  const seconds = token.expirationSeconds
  if (seconds === undefined) errors.push(required(at))
  else if (seconds < TOKEN_SECONDS_MIN)
    errors.push(invalid(at, seconds, 'may not specify a duration less than 10 minutes'))
  else if (seconds > TOKEN_SECONDS_MAX)
    errors.push(invalid(at, seconds, 'may not specify a duration larger than 2^32 seconds'))
  errors.push(
    ...(token.path ? checkLocalPath(token.path, volumePath.child('path')) : [required(volumePath.child('path'))]),
  )
  return [...errors, ...checkId(token.user, path.child('user'))]
}

function validateTrustBundle({ clusterTrustBundle: bundle }: VolumeProjection, parent: FieldPath): FieldError[] {
  if (bundle === undefined) return []
  const path = parent.child('clusterTrustBundle')
  const errors: FieldError[] = []
  if (bundle.name !== undefined && bundle.signerName !== undefined) {
    errors.push(invalid(path, bundle, 'only one of name and signerName may be used'))
  } else if (bundle.name !== undefined) {
    errors.push(...checkRequired(bundle.name, path.child('name'), 'must be a valid object name'))
    if (bundle.labelSelector !== undefined) {
      errors.push(
        invalid(path.child('labelSelector'), bundle.labelSelector, 'labelSelector must be unset if name is specified'),
      )
    }
  } else if (bundle.signerName !== undefined) {
    errors.push(...checkRequired(bundle.signerName, path.child('signerName'), 'must be a valid signer name'))
    errors.push(...validateLabelSelector(bundle.labelSelector, path.child('labelSelector')))
  } else {
    errors.push(required(path, 'either name or signerName must be specified'))
  }
  errors.push(...checkRequired(bundle.path, path.child('path')), ...checkId(bundle.user, path.child('user')))
  return [...errors, ...checkLocalPath(bundle.path ?? '', path.child('path'))]
}

function validatePodCertificate({ podCertificate: certificate }: VolumeProjection, parent: FieldPath): FieldError[] {
  if (certificate === undefined) return []
  const path = parent.child('podCertificate')
  const errors = [
    ...checkRequired(certificate.signerName, path.child('signerName')),
    ...checkOneOf(certificate.keyType ?? '', path.child('keyType'), KEY_TYPES),
    ...checkId(certificate.user, path.child('user')),
  ]
  const seconds = certificate.maxExpirationSeconds
  const at = path.child('maxExpirationSeconds')
  const max = certificate.signerName?.startsWith('kubernetes.io/') ? 86_400 : CERTIFICATE_SECONDS_MAX
  if (seconds !== undefined && seconds < CERTIFICATE_SECONDS_MIN) {
    errors.push(invalid(at, seconds, `if provided, maxExpirationSeconds must be >= ${CERTIFICATE_SECONDS_MIN}`))
  }
  if (seconds !== undefined && seconds > max)
    errors.push(invalid(at, seconds, `if provided, maxExpirationSeconds must be <= ${max}`))
  const files = ['credentialBundlePath', 'keyPath', 'certificateChainPath'] as const
  const used = files.filter((name) => certificate[name])
  errors.push(...used.flatMap((name) => checkLocalPath(certificate[name]!, path.child(name))))
  if (used.length === 0) {
    errors.push(required(path, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath'))
  }
  return errors
}

/** Files that a source writes, with the value that upstream names when one is written twice. */
function filesOf(projection: VolumeProjection): { file: string; value: string }[] {
  const { secret, configMap, downwardAPI, clusterTrustBundle, podCertificate } = projection
  const files: { file: string; value: string }[] = []
  for (const part of [secret, configMap]) {
    for (const item of part?.items ?? []) files.push({ file: item.path, value: part?.name ?? '' })
  }
  const plain = [
    ...(downwardAPI?.items ?? []).map((item) => item.path),
    clusterTrustBundle?.path,
    podCertificate?.credentialBundlePath,
    podCertificate?.keyPath,
    podCertificate?.certificateChainPath,
  ]
  for (const file of plain) if (file) files.push({ file, value: file })
  return files
}
