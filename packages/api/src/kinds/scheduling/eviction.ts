import type {
  Eviction,
  EvictionRequest,
  ResponderStatus,
  TargetResponder,
} from '../../generated/types/lifecycle/v1alpha1.ts'
import type { Condition } from '../../generated/types/meta/v1.ts'
import { FieldPath, required, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkImmutable, checkRequired, checkRequiredOneOf } from '../shared/check.ts'
import { formatAge, formatDuration } from '../shared/duration.ts'
import { ageColumn, column, joinSome, nameColumn } from '../shared/table.ts'

const UNSET = '<unset>'
const FINISHED = ['Canceled', 'Interrupted', 'Completed']
const path = new FieldPath('spec')
const targetColumns = [
  nameColumn,
  column('Target', 'What should go'),
  column('Target Type', 'Kind of what should go'),
  column('Status', 'How far the eviction is'),
]

/** Source of this file: pkg/apis/lifecycle, pkg/registry/lifecycle, pkg/printers/internalversion v1.37. */
export const evictionRequestBehavior: KindBehavior<EvictionRequest> = {
  allowUnconditionalUpdate: false,
  validate: ({ spec }) => [
    ...validateTarget(spec.target),
    ...checkRequired(spec.requester, path.child('requester')),
    ...checkRequiredOneOf(spec.intent, path.child('intent'), ['Eviction', 'Withdrawn']),
  ],
  validateUpdate: (now, old) => [
    ...checkImmutable(now.spec.target, old.spec.target, path.child('target')),
    ...checkImmutable(now.spec.requester, old.spec.requester, path.child('requester')),
  ],
  columns: [...targetColumns, column('Requester', 'Who asks'), column('Intent', 'What is asked for'), ageColumn],
  row: ({ metadata, spec, status }, nowMs) => [
    metadata.name,
    ...formatTarget(spec.target),
    formatEvictionStatus(status?.observedGeneration, status?.conditions ?? []),
    spec.requester,
    spec.intent,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

export const evictionBehavior: KindBehavior<Eviction> = {
  allowUnconditionalUpdate: false,
  validate: ({ spec }) => validateTarget(spec.target),
  validateUpdate: (now, old) => checkImmutable(now.spec.target, old.spec.target, path.child('target')),
  columns: [
    ...targetColumns,
    column('Active Responder', 'Who is at it'),
    column('Responder Status', 'How far that one is'),
    column('Responder Expected Finish', 'When that one should be done'),
    column('Requesters', 'Who asked'),
    ageColumn,
    column('Responder Heartbeat', 'Time since the last sign of life', { wide: true }),
    column('Responder Status Message', 'What the responder says', { wide: true }),
  ],
  row: formatEviction,
}

function validateTarget(target: EvictionRequest['spec']['target'] | undefined): FieldError[] {
  const at = path.child('target')
  const pod = target?.pod
  if (pod === undefined) return [required(at, 'must specify one of: `pod`')]
  return [
    ...checkRequired(pod.name, at.child('pod').child('name')),
    ...checkRequired(pod.uid, at.child('pod').child('uid')),
  ]
}

function formatTarget(target: EvictionRequest['spec']['target']): [string, string] {
  return target?.pod === undefined ? [UNSET, UNSET] : [target.pod.name, 'Pod']
}

function formatEvictionStatus(observedGeneration: number | undefined, conditions: readonly Condition[]): string {
  for (const type of ['TargetEvicted', 'Failed']) {
    const condition = conditions.find((other) => other.type === type && other.status === 'True')
    if (condition !== undefined) return `${condition.type} (${condition.reason})`
  }
  return (observedGeneration ?? 0) > 0 ? 'Progressing' : 'Pending'
}

function formatEviction({ metadata, spec, status }: Readonly<Eviction>, nowMs: number): unknown[] {
  const targets = status?.targetResponders ?? []
  const begun = targets.filter(({ state }) => state === 'Active' || FINISHED.includes(state))
  const current = begun.findLast(({ state }) => state === 'Active') ?? begun.at(-1)
  const responder = (status?.responders ?? []).find((other) => other.name === current?.name)
  const [state, finish] = formatResponder(current, responder, nowMs)
  const requesters = status?.requesters ?? []
  const asking = requesters.filter((requester) => requester.intent !== 'Withdrawn').map((requester) => requester.name)
  const nobody = requesters.length > 0 ? '<withdrawn>' : '<none>'
  return [
    metadata.name,
    ...formatTarget(spec.target),
    formatEvictionStatus(status?.observedGeneration, status?.conditions ?? []),
    `${current?.name ?? UNSET} (${begun.length}/${targets.length})`,
    state,
    finish,
    asking.length > 0 ? joinSome(asking.toSorted(), 1) : nobody,
    formatAge(metadata.creationTimestamp, nowMs),
    responder?.heartbeatTime ? `${formatAge(responder.heartbeatTime, nowMs)} ago` : UNSET,
    responder?.message?.trim() || UNSET,
  ]
}

/** How far a responder is, and when it will be done. */
function formatResponder(
  current: TargetResponder | undefined,
  responder: ResponderStatus | undefined,
  nowMs: number,
): [string, string] {
  if (current === undefined || responder === undefined) return [UNSET, '<unknown>']
  const { state } = current
  if (state === 'Completed' && responder.completionTime) {
    return [`${state} (${formatAge(responder.completionTime, nowMs)} ago)`, '-']
  }
  if (state !== 'Active') return [state, '-']
  if (!responder.startTime) return [state, '<unknown>']
  const started = `Started (${formatAge(responder.startTime, nowMs)} ago)`
  const expected = responder.expectedCompletionTime
  if (!expected) return [started, '<unknown>']
  const leftMs = Date.parse(expected) - nowMs
  return [started, leftMs > 0 ? `in ${formatDuration(leftMs)}` : `${formatAge(expected, nowMs)} ago`]
}
