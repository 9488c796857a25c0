import type { CertificateSigningRequest } from '../../generated/types/certificates/v1.ts'
import { duplicate, FieldPath, invalid, notSupported, required, type FieldError } from '../../status/field-error.ts'
import { checkRequired } from '../shared/check.ts'
import { checkSignerName } from './signer-name.ts'

const EXPIRATION_SECONDS_MIN = 600
const LEGACY_SIGNER_NAME = 'kubernetes.io/legacy-unknown'
const PEM_START = '-----BEGIN CERTIFICATE REQUEST-----'
const ALWAYS_TRUE = ['Approved', 'Denied', 'Failed']
const USAGES = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
]
const spec = new FieldPath('spec')

/**
 * Rules that hold on every write. Weaker than upstream: the request must look like PEM, but what it holds is not parsed.
 * Source: pkg/apis/certificates/validation v1.37.
 */
export function validateSigningRequest(object: Readonly<CertificateSigningRequest>): FieldError[] {
  const { request, usages = [], signerName, expirationSeconds } = object.spec
  const errors: FieldError[] = []
  if (!startsAsRequest(request ?? '')) {
    errors.push(invalid(spec.child('request'), request ?? '', 'PEM block type must be CERTIFICATE REQUEST'))
  }
  if (usages.length === 0) errors.push(required(spec.child('usages')))
  for (const [i, usage] of usages.entries()) {
    const at = spec.child('usages').index(i)
    if (!USAGES.includes(usage)) errors.push(notSupported(at, usage, USAGES))
    if (usages.indexOf(usage) < i) errors.push(duplicate(at, usage))
  }
  const signerPath = spec.child('signerName')
  if (signerName === LEGACY_SIGNER_NAME) {
    errors.push(invalid(signerPath, signerName, 'the legacy signerName is not allowed via this API version'))
  } else errors.push(...checkSignerName(signerName, signerPath))
  if (expirationSeconds !== undefined && expirationSeconds < EXPIRATION_SECONDS_MIN) {
    const detail = 'may not specify a duration less than 600 seconds (10 minutes)'
    errors.push(invalid(spec.child('expirationSeconds'), expirationSeconds, detail))
  }
  return [...errors, ...validateConditions(object)]
}

function validateConditions({ status }: Readonly<CertificateSigningRequest>): FieldError[] {
  const conditions = status?.conditions ?? []
  const path = new FieldPath('status.conditions')
  const types = conditions.map((condition) => condition.type)
  const errors: FieldError[] = []
  for (const [i, { type, status: state }] of conditions.entries()) {
    const at = path.index(i)
    const allowed = ALWAYS_TRUE.includes(type) ? ['True'] : ['False', 'True', 'Unknown']
    const opposite = type === 'Approved' ? 'Denied' : type === 'Denied' ? 'Approved' : ''
    errors.push(...checkRequired(type, at.child('type')))
    if (!state) errors.push(required(at.child('status')))
    else if (!allowed.includes(state)) errors.push(notSupported(at.child('status'), state, allowed))
    if (opposite !== '' && types.slice(0, i).includes(opposite)) {
      errors.push(invalid(path, type, 'Approved and Denied conditions are mutually exclusive'))
    }
    if (types.indexOf(type) < i) errors.push(duplicate(at.child('type'), type))
  }
  return errors
}

/** `request` is base64 of PEM. */
function startsAsRequest(request: string): boolean {
  try {
    return atob(request).trimStart().startsWith(PEM_START)
  } catch {
    return false
  }
}
