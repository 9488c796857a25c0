import type { Event } from '../../generated/types/core/v1.ts'
import type { Event as EventV1 } from '../../generated/types/events/v1.ts'
import { checkQualifiedName } from '../../meta/names.ts'
import { FieldPath, invalid, required, type FieldError } from '../../status/field-error.ts'
import { coreEventFromV1 } from '../../conversion/events.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkImmutable, invalidFor } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { column, nameColumn } from '../shared/table.ts'

const SHORT_TEXT_MAX = 128
const NOTE_MAX = 1_024
const SELECTABLE = [
  'involvedObject.apiVersion',
  'involvedObject.fieldPath',
  'involvedObject.kind',
  'involvedObject.name',
  'involvedObject.namespace',
  'involvedObject.resourceVersion',
  'involvedObject.uid',
  'reason',
  'reportingComponent',
  'source',
  'type',
] as const

const columns = [
  column('Last Seen', 'Time since it was last seen'),
  column('Type', 'Normal or Warning'),
  column('Reason', 'Why, in one word'),
  column('Object', 'What it is about'),
  column('Subobject', 'Which part of the object', { wide: true }),
  column('Source', 'Who says so', { wide: true }),
  column('Message', 'What happened'),
  column('First Seen', 'Time since it was first seen', { wide: true }),
  column('Count', 'How often it was seen', { wide: true }),
  { ...nameColumn, priority: 1 as const },
]

/** Events of the core group. Source: pkg/registry/core/event and pkg/apis/core/validation/events.go v1.37. */
export const eventBehavior: KindBehavior<Event> = {
  hasGeneration: false,
  allowCreateOnUpdate: true,
  validate: validateEvent,
  selectableFields: selectableFieldsOf,
  selectableFieldNames: SELECTABLE,
  columns,
  row: eventRow,
}

/** The same events by their newer name: stricter when made, and then fixed. Source: ValidateEventCreate, ValidateEventUpdate. */
export const eventV1Behavior: KindBehavior<EventV1> = {
  hasGeneration: false,
  allowCreateOnUpdate: true,
  validate: (event) => validateEvent(coreEventFromV1(event), 'reportingController'),
  validateCreate: validateEventV1Create,
  validateUpdate: validateEventV1Update,
  selectableFields: (event) => selectableFieldsOf(coreEventFromV1(event)),
  selectableFieldNames: SELECTABLE,
  columns,
  row: (event, nowMs) => eventRow(coreEventFromV1(event), nowMs),
}

function selectableFieldsOf(event: Readonly<Event>): Record<(typeof SELECTABLE)[number], string> {
  const object = event.involvedObject
  return {
    'involvedObject.apiVersion': object?.apiVersion ?? '',
    'involvedObject.fieldPath': object?.fieldPath ?? '',
    'involvedObject.kind': object?.kind ?? '',
    'involvedObject.name': object?.name ?? '',
    'involvedObject.namespace': object?.namespace ?? '',
    'involvedObject.resourceVersion': object?.resourceVersion ?? '',
    'involvedObject.uid': object?.uid ?? '',
    reason: event.reason ?? '',
    reportingComponent: event.reportingComponent ?? '',
    source: event.source?.component || (event.reportingComponent ?? ''),
    type: event.type ?? '',
  }
}

/** Source: printEvent, pkg/printers/internalversion/printers.go v1.37. */
function eventRow(event: Readonly<Event>, nowMs: number): unknown[] {
  const first = event.firstTimestamp
    ? formatAge(event.firstTimestamp, nowMs)
    : formatAge(event.eventTime ?? undefined, nowMs)
  const last = event.lastTimestamp ? formatAge(event.lastTimestamp, nowMs) : first
  const { kind = '', name, fieldPath = '' } = event.involvedObject
  const component = event.source?.component || (event.reportingComponent ?? '')
  const instance = event.source?.host || (event.reportingInstance ?? '')
  return [
    event.series === undefined ? last : formatAge(event.series.lastObservedTime, nowMs),
    event.type ?? '',
    event.reason ?? '',
    name ? `${kind.toLowerCase()}/${name}` : kind.toLowerCase(),
    fieldPath,
    instance === '' ? component : `${component}, ${instance}`,
    (event.message ?? '').trim(),
    first,
    event.series?.count ?? (event.count || 1),
    event.metadata.name,
  ]
}

/** Source: legacyValidateEvent. Events without `eventTime` come from old clients and are hardly checked. */
function validateEvent(event: Readonly<Event>, controllerField: string = 'reportingComponent'): FieldError[] {
  const namespace = event.metadata.namespace ?? ''
  const about = event.involvedObject?.namespace ?? ''
  const at = new FieldPath('involvedObject.namespace')
  const mismatch = invalid(at, about, 'does not match event.namespace')
  if (!event.eventTime) {
    const isFine = about === '' ? ['', 'default'].includes(namespace) : about === namespace
    return isFine ? [] : [mismatch]
  }
  const controller = new FieldPath(controllerField)
  const name = event.reportingComponent ?? ''
  const errors = about === '' && !['default', 'kube-system'].includes(namespace) ? [mismatch] : []
  if (name === '') errors.push(required(controller))
  errors.push(...invalidFor(controller, name, checkQualifiedName(name)))
  for (const field of ['reportingInstance', 'action', 'reason'] as const) {
    const text = event[field] ?? ''
    if (text === '') errors.push(required(new FieldPath(field)))
    if (text.length > SHORT_TEXT_MAX)
      errors.push(invalid(new FieldPath(field), '', `can have at most ${SHORT_TEXT_MAX} characters`))
  }
  if ((event.message ?? '').length > NOTE_MAX) {
    errors.push(invalid(new FieldPath('message'), '', `can have at most ${NOTE_MAX} characters`))
  }
  return errors
}

function validateSeries({ series }: Readonly<EventV1>): FieldError[] {
  if (series === undefined) return []
  const errors: FieldError[] = []
  if ((series.count ?? 0) < 2) errors.push(invalid(new FieldPath('series.count'), '', 'should be at least 2'))
  if (!series.lastObservedTime) errors.push(required(new FieldPath('series.lastObservedTime')))
  return errors
}

function validateEventV1Create(event: Readonly<EventV1>): FieldError[] {
  const errors = validateSeries(event)
  if (!event.eventTime) errors.push(required(new FieldPath('eventTime')))
  if (event.type !== 'Normal' && event.type !== 'Warning') {
    errors.push(invalid(new FieldPath('type'), '', `has invalid value: ${event.type ?? ''}`))
  }
  // Upstream reports these by their names in the core group.
  const unset = 'needs to be unset'
  if (event.deprecatedFirstTimestamp) errors.push(invalid(new FieldPath('firstTimestamp'), '', unset))
  if (event.deprecatedLastTimestamp) errors.push(invalid(new FieldPath('lastTimestamp'), '', unset))
  if (event.deprecatedCount) errors.push(invalid(new FieldPath('count'), '', unset))
  if (event.deprecatedSource?.component || event.deprecatedSource?.host)
    errors.push(invalid(new FieldPath('source'), '', unset))
  return errors
}

function validateEventV1Update(event: Readonly<EventV1>, old: Readonly<EventV1>): FieldError[] {
  const now = coreEventFromV1(event)
  const before = coreEventFromV1(old)
  const fields = [
    'involvedObject',
    'reason',
    'message',
    'source',
    'firstTimestamp',
    'lastTimestamp',
    'count',
    'type',
    'eventTime',
    'action',
    'related',
    'reportingInstance',
  ] as const
  return [
    ...validateSeries(event),
    ...fields.flatMap((field) => checkImmutable(now[field], before[field], new FieldPath(field))),
    ...checkImmutable(event.reportingController, old.reportingController, new FieldPath('reportingController')),
  ]
}
