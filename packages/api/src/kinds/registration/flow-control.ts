import type {
  FlowSchema,
  LimitResponse,
  PolicyRulesWithSubjects,
  PriorityLevelConfiguration,
  PriorityLevelConfigurationSpec,
} from '../../generated/types/flowcontrol/v1.ts'
import { checkDnsSubdomain } from '../../meta/names.ts'
import { FieldPath, forbiddenField, invalid, required, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkOneOf, checkRange, checkRequiredOneOf, invalidFor } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const MATCHING_PRECEDENCE = 1000
const MATCHING_PRECEDENCE_MAX = 10_000
const SHARES = 30
const QUEUING = { handSize: 8, queues: 64, queueLengthLimit: 50 }
const PERCENT = { min: 0, max: 100 }
const EXEMPT = 'exempt'
const NONE = '<none>'
const path = new FieldPath('spec')

/** Source of this file: pkg/apis/flowcontrol/{v1/defaults.go,validation/validation.go} v1.37. */
export const flowSchemaBehavior: KindBehavior<FlowSchema> = {
  setDefaults: ({ spec }) => {
    spec.matchingPrecedence ||= MATCHING_PRECEDENCE
  },
  validate: validateFlowSchema,
  columns: [
    nameColumn,
    column('PriorityLevel', 'Priority level of the requests that match'),
    column('MatchingPrecedence', 'Which of several schemas wins: the least'),
    column('DistinguisherMethod', 'What tells flows apart'),
    ageColumn,
    column('MissingPL', 'Whether the priority level is missing'),
  ],
  row: ({ metadata, spec, status }, nowMs) => [
    metadata.name,
    spec.priorityLevelConfiguration.name,
    spec.matchingPrecedence ?? 0,
    spec.distinguisherMethod?.type ?? NONE,
    formatAge(metadata.creationTimestamp, nowMs),
    (status?.conditions ?? []).find((condition) => condition.type === 'Dangling')?.status ?? '?',
  ],
}

export const priorityLevelConfigurationBehavior: KindBehavior<PriorityLevelConfiguration> = {
  setDefaults: setPriorityLevelDefaults,
  validate: ({ metadata, spec }) => {
    const { type } = spec
    const mismatch = (metadata.name === EXEMPT) !== (type === 'Exempt')
    const detail = "must be 'Exempt' if and only if `name` is 'exempt'"
    return [...(mismatch ? [invalid(path.child('type'), type, detail)] : []), ...validatePriorityLevel(spec)]
  },
  columns: [
    nameColumn,
    column('Type', 'Whether requests are limited'),
    column('NominalConcurrencyShares', 'Share of the concurrency'),
    column('Queues', 'Number of queues'),
    column('HandSize', 'Queues that one flow may use'),
    column('QueueLengthLimit', 'Requests that wait in one queue at most'),
    ageColumn,
  ],
  row: ({ metadata, spec }, nowMs) => {
    const queuing = spec.limited?.limitResponse.queuing
    return [
      metadata.name,
      spec.type,
      spec.limited?.nominalConcurrencyShares ?? NONE,
      queuing?.queues ?? NONE,
      queuing?.handSize ?? NONE,
      queuing?.queueLengthLimit ?? NONE,
      formatAge(metadata.creationTimestamp, nowMs),
    ]
  },
}

function setPriorityLevelDefaults({ spec: { exempt, limited } }: PriorityLevelConfiguration): void {
  if (exempt !== undefined) {
    exempt.nominalConcurrencyShares ??= 0
    exempt.lendablePercent ??= 0
  }
  if (limited === undefined) return
  limited.nominalConcurrencyShares ??= SHARES
  limited.lendablePercent ??= 0
  const queuing = limited.limitResponse?.queuing
  if (queuing === undefined) return
  queuing.handSize ||= QUEUING.handSize
  queuing.queues ||= QUEUING.queues
  queuing.queueLengthLimit ||= QUEUING.queueLengthLimit
}

function validateFlowSchema({ metadata, spec }: Readonly<FlowSchema>): FieldError[] {
  const { matchingPrecedence: precedence = 0, distinguisherMethod, rules = [] } = spec
  const at = path.child('matchingPrecedence')
  const level = spec.priorityLevelConfiguration?.name
  const levelPath = path.child('priorityLevelConfiguration').child('name')
  const errors: FieldError[] = []
  if (precedence <= 0) errors.push(invalid(at, precedence, 'must be a positive value'))
  if (precedence > MATCHING_PRECEDENCE_MAX) {
    errors.push(invalid(at, precedence, `must not be greater than ${MATCHING_PRECEDENCE_MAX}`))
  }
  if (precedence === 1 && metadata.name !== EXEMPT) {
    errors.push(invalid(at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
  }
  const methodPath = path.child('distinguisherMethod').child('type')
  errors.push(...checkOneOf(distinguisherMethod?.type, methodPath, ['ByNamespace', 'ByUser']))
  if (level) errors.push(...invalidFor(levelPath, level, checkDnsSubdomain(level)))
  else errors.push(required(levelPath, 'must reference a priority level'))
  return [...errors, ...rules.flatMap((rule, i) => validateRules(rule, path.child('rules').index(i)))]
}

function validateRules(rule: Readonly<PolicyRulesWithSubjects>, at: FieldPath): FieldError[] {
  const { resourceRules = [], nonResourceRules = [] } = rule
  const subjects = rule.subjects ?? []
  const errors: FieldError[] = []
  if (subjects.length === 0) errors.push(required(at.child('subjects'), 'subjects must contain at least one value'))
  for (const [i, subject] of subjects.entries()) {
    const subjectPath = at.child('subjects').index(i)
    const kinds = ['Group', 'ServiceAccount', 'User']
    errors.push(...checkOneOf(subject.kind ?? '', subjectPath.child('kind'), kinds))
    for (const [kind, field] of [
      ['ServiceAccount', 'serviceAccount'],
      ['User', 'user'],
      ['Group', 'group'],
    ] as const) {
      const present = subject[field] !== undefined
      const detail = `${field} is ${present ? 'forbidden when subject kind is not' : 'required when subject kind is'} '${kind}'`
      if (subject.kind === kind && !present) errors.push(required(subjectPath.child(field), detail))
      if (subject.kind !== kind && present && kinds.includes(subject.kind)) {
        errors.push(forbiddenField(subjectPath.child(field), detail))
      }
    }
  }
  if (resourceRules.length + nonResourceRules.length === 0) {
    errors.push(required(at, 'at least one of resourceRules and nonResourceRules has to be non-empty'))
  }
  return errors
}

function validatePriorityLevel(spec: Readonly<PriorityLevelConfigurationSpec>): FieldError[] {
  const { type, limited, exempt } = spec
  const errors = checkRequiredOneOf(type, path.child('type'), ['Exempt', 'Limited'])
  const limitedPath = path.child('limited')
  const exemptPath = path.child('exempt')
  if (type === 'Exempt') {
    if (limited !== undefined) errors.push(forbiddenField(limitedPath, 'must be nil if the type is not Limited'))
    errors.push(...validateShares(exempt ?? {}, exemptPath))
  }
  if (type !== 'Limited') return errors
  if (exempt !== undefined) errors.push(forbiddenField(exemptPath, 'must be nil if the type is Limited'))
  if (limited === undefined) return [...errors, required(limitedPath, 'must not be empty when type is Limited')]
  const { borrowingLimitPercent: borrowing } = limited
  errors.push(...validateShares(limited, limitedPath))
  errors.push(...validateLimitResponse(limited.limitResponse ?? {}, limitedPath.child('limitResponse')))
  if (borrowing !== undefined && borrowing < 0) {
    const detail = 'if specified, must be a non-negative integer'
    errors.push(invalid(limitedPath.child('borrowingLimitPercent'), borrowing, detail))
  }
  return errors
}

function validateShares(
  {
    nominalConcurrencyShares: shares = 0,
    lendablePercent,
  }: { nominalConcurrencyShares?: number | undefined; lendablePercent?: number | undefined },
  at: FieldPath,
): FieldError[] {
  return [
    ...(shares < 0 ? [invalid(at.child('nominalConcurrencyShares'), shares, 'must be a non-negative integer')] : []),
    ...checkRange(lendablePercent, at.child('lendablePercent'), PERCENT),
  ]
}

function validateLimitResponse({ type, queuing }: Partial<LimitResponse>, at: FieldPath): FieldError[] {
  const errors = checkRequiredOneOf(type, at.child('type'), ['Queue', 'Reject'])
  const queuingPath = at.child('queuing')
  if (type === 'Reject' && queuing !== undefined) {
    errors.push(forbiddenField(queuingPath, 'must be nil if limited.limitResponse.type is not Limited'))
  }
  if (type !== 'Queue') return errors
  if (queuing === undefined) {
    return [...errors, required(queuingPath, 'must not be empty if limited.limitResponse.type is Limited')]
  }
  for (const field of ['queueLengthLimit', 'queues', 'handSize'] as const) {
    const value = queuing[field] ?? 0
    if (value <= 0) errors.push(invalid(queuingPath.child(field), value, 'must be positive'))
  }
  const { handSize = 0, queues = 0 } = queuing
  if (handSize > queues) {
    const detail = `should not be greater than queues (${queues})`
    errors.push(invalid(queuingPath.child('handSize'), handSize, detail))
  }
  return errors
}
