import type { Lease } from '../../generated/types/coordination/v1.ts'
import type { LeaseCandidate } from '../../generated/types/coordination/v1beta1.ts'
import { FieldPath, forbiddenField, invalid, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkImmutable, checkRequired, describeConfigKey } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const spec = new FieldPath('spec')

/** Leases. Source: pkg/registry/coordination/lease, pkg/apis/coordination/validation v1.37. */
export const leaseBehavior: KindBehavior<Lease> = {
  hasGeneration: false,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate: validateLease,
  columns: [nameColumn, column('Holder', 'Who holds the lease'), ageColumn],
  row: (lease, nowMs) => [
    lease.metadata.name,
    lease.spec?.holderIdentity ?? '',
    formatAge(lease.metadata.creationTimestamp, nowMs),
  ],
}

/** Candidates for a lease that the server hands out. Source: pkg/registry/coordination/leasecandidate v1.37. */
export const leaseCandidateBehavior: KindBehavior<LeaseCandidate> = {
  nameRule: describeConfigKey,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate: (candidate) => [
    ...checkRequired(candidate.spec.leaseName, spec.child('leaseName')),
    ...checkRequired(candidate.spec.binaryVersion, spec.child('binaryVersion')),
    ...checkRequired(candidate.spec.strategy, spec.child('strategy')),
  ],
  validateUpdate: (now, old) => checkImmutable(now.spec.leaseName, old.spec.leaseName, spec.child('leaseName')),
  selectableFields: (candidate) => ({ 'spec.leaseName': candidate.spec.leaseName ?? '' }),
  selectableFieldNames: ['spec.leaseName'],
  columns: [
    nameColumn,
    column('LeaseName', 'Lease that the candidate wants'),
    column('BinaryVersion', 'Version that the candidate is'),
    column('EmulationVersion', 'Version that the candidate acts as'),
    ageColumn,
  ],
  row: (candidate, nowMs) => [
    candidate.metadata.name,
    candidate.spec.leaseName,
    candidate.spec.binaryVersion,
    candidate.spec.emulationVersion ?? '',
    formatAge(candidate.metadata.creationTimestamp, nowMs),
  ],
}

function validateLease({ spec: own = {} }: Readonly<Lease>): FieldError[] {
  const errors: FieldError[] = []
  const { leaseDurationSeconds: seconds, leaseTransitions: transitions } = own
  if (seconds !== undefined && seconds <= 0) {
    errors.push(invalid(spec.child('leaseDurationSeconds'), seconds, 'must be greater than 0'))
  }
  if (transitions !== undefined && transitions < 0) {
    errors.push(invalid(spec.child('leaseTransitions'), transitions, 'must be greater than or equal to 0'))
  }
  if (own.preferredHolder && !own.strategy) {
    errors.push(forbiddenField(spec.child('preferredHolder'), 'may only be specified if `strategy` is defined'))
  }
  return errors
}
