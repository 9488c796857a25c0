import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
} from '../../generated/types/certificates/v1.ts'
import { FieldPath, forbiddenField, type FieldError } from '../../status/field-error.ts'
import { semanticEqual } from '../shared/deep-equal.ts'

const KEPT = ['Approved', 'Denied', 'Failed']
const APPROVALS = ['Approved', 'Denied']
const conditionsPath = new FieldPath('status.conditions')
const certificatePath = new FieldPath('status.certificate')

/** Checks what an update of the `approval` subresource may not do. Source: pkg/apis/certificates/validation v1.37. */
export function validateCertificateApproval(
  now: Readonly<CertificateSigningRequest>,
  old: Readonly<CertificateSigningRequest>,
): FieldError[] {
  const changed = (now.status?.certificate ?? '') !== (old.status?.certificate ?? '')
  return [
    ...checkRemovedConditions(now, old),
    ...(changed ? [forbiddenField(certificatePath, 'updates may not set certificate content')] : []),
  ]
}

/** Checks what an update of `status` may not do. */
export function validateIssue(
  now: Readonly<CertificateSigningRequest>,
  old: Readonly<CertificateSigningRequest>,
): FieldError[] {
  const before = old.status?.certificate ?? ''
  const errors = [...checkRemovedConditions(now, old), ...checkApprovalKept(now, old)]
  if (before !== '' && now.status?.certificate !== before) {
    errors.push(forbiddenField(certificatePath, 'updates may not modify existing certificate content'))
  }
  return errors
}

function checkRemovedConditions(
  now: Readonly<CertificateSigningRequest>,
  old: Readonly<CertificateSigningRequest>,
): FieldError[] {
  const removed = KEPT.filter((type) => conditionsOf(now, type).length < conditionsOf(old, type).length)
  return removed.map((type) => forbiddenField(conditionsPath, `updates may not remove a condition of type "${type}"`))
}

function checkApprovalKept(
  now: Readonly<CertificateSigningRequest>,
  old: Readonly<CertificateSigningRequest>,
): FieldError[] {
  const errors: FieldError[] = []
  for (const type of APPROVALS) {
    const after = conditionsOf(now, type)
    const before = conditionsOf(old, type)
    if (after.length > before.length) {
      errors.push(forbiddenField(conditionsPath, `updates may not add a condition of type "${type}"`))
    } else if (after.length === before.length && !semanticEqual(after, before)) {
      errors.push(forbiddenField(conditionsPath, `updates may not modify a condition of type "${type}"`))
    }
  }
  return errors
}

function conditionsOf(
  { status }: Readonly<CertificateSigningRequest>,
  type: string,
): CertificateSigningRequestCondition[] {
  return (status?.conditions ?? []).filter((condition) => condition.type === type)
}
