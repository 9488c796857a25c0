import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
} from '../../generated/types/certificates/v1.ts'
import { formatTime } from '../../meta/time.ts'
import type { BehaviorContext, KindBehavior } from '../behavior.ts'
import { formatAge, formatDuration } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { validateSigningRequest } from './validate.ts'
import { validateIssue } from './validate-update.ts'

/**
 * Requests for certificates. The `approval` subresource differs from `status`:
 * use {@link prepareCertificateApproval} and {@link validateCertificateApproval} for it.
 * Source: pkg/registry/certificates/certificates/strategy.go v1.37.
 */
export const certificateSigningRequestBehavior: KindBehavior<CertificateSigningRequest> = {
  // Any name will do.
  nameRule: () => [],
  hasGeneration: false,
  prepareForCreate: (draft, { user, groups }) => {
    delete draft.spec.uid
    delete draft.spec.extra
    draft.spec.username = user
    draft.spec.groups = [...groups]
    draft.status = {}
  },
  prepareForUpdate: (draft, old) => {
    draft.spec = old.spec
  },
  prepareForStatusUpdate: (draft, old, { nowMs }) => {
    keepConditions(draft, old, 'Approved')
    keepConditions(draft, old, 'Denied')
    setConditionTimes(draft, old, nowMs)
  },
  validate: validateSigningRequest,
  validateStatusUpdate: validateIssue,
  selectableFields: ({ spec }) => ({ 'spec.signerName': spec.signerName ?? '' }),
  selectableFieldNames: ['spec.signerName'],
  columns: [
    nameColumn,
    ageColumn,
    column('SignerName', 'Who is asked to sign'),
    column('Requestor', 'Who asks'),
    column('RequestedDuration', 'How long the certificate should be valid'),
    column('Condition', 'How far the request is'),
  ],
  row: (request, nowMs) => {
    const { metadata, spec } = request
    const seconds = spec.expirationSeconds
    return [
      metadata.name,
      formatAge(metadata.creationTimestamp, nowMs),
      spec.signerName || '<none>',
      spec.username ?? '',
      seconds === undefined ? '<none>' : formatDuration(seconds * 1000),
      formatStatus(request),
    ]
  },
}

/** Leaves to an update of `approval` nothing but the conditions. */
export function prepareCertificateApproval(
  draft: CertificateSigningRequest,
  old: Readonly<CertificateSigningRequest>,
  { nowMs }: Pick<BehaviorContext, 'nowMs'>,
): void {
  setConditionTimes(draft, old, nowMs)
  const conditions = draft.status?.conditions
  draft.spec = old.spec
  draft.status = { ...old.status }
  if (conditions === undefined) delete draft.status.conditions
  else draft.status.conditions = conditions
}

/** A change in the number of conditions is left for validation to refuse. */
function keepConditions(
  draft: CertificateSigningRequest,
  old: Readonly<CertificateSigningRequest>,
  type: string,
): void {
  const conditions = draft.status?.conditions ?? []
  const before = (old.status?.conditions ?? []).filter((condition) => condition.type === type)
  const places = [...conditions.keys()].filter((i) => conditions[i]!.type === type)
  if (before.length !== places.length) return
  for (const [i, place] of places.entries()) conditions[place] = before[i]!
}

function setConditionTimes(
  draft: CertificateSigningRequest,
  old: Readonly<CertificateSigningRequest>,
  nowMs: number,
): void {
  const now = formatTime(nowMs)
  const isSame = (a: CertificateSigningRequestCondition, b: CertificateSigningRequestCondition): boolean =>
    a.type === b.type && a.status === b.status && Boolean(b.lastTransitionTime)
  for (const condition of draft.status?.conditions ?? []) {
    const before = (old.status?.conditions ?? []).find((other) => isSame(condition, other))
    condition.lastUpdateTime ??= now
    condition.lastTransitionTime ??= before?.lastTransitionTime ?? now
  }
}

/** Source: extractCSRStatus, pkg/printers/internalversion v1.37. */
function formatStatus({ status }: Readonly<CertificateSigningRequest>): string {
  const types = new Set((status?.conditions ?? []).map((condition) => condition.type))
  const words = [types.has('Denied') ? 'Denied' : types.has('Approved') ? 'Approved' : 'Pending']
  if (types.has('Failed')) words.push('Failed')
  if (status?.certificate) words.push('Issued')
  return words.join(',')
}
