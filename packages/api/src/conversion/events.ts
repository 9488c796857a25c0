import type { Event as CoreEvent } from '../generated/types/core/v1.ts'
import type { Event as EventV1 } from '../generated/types/events/v1.ts'
import { dropAbsent } from './drop-absent.ts'

/** Fields that have the same name in both groups. */
const SHARED = ['metadata', 'eventTime', 'series', 'reason', 'action', 'type', 'related', 'reportingInstance'] as const

/** An `events.k8s.io/v1` Event as the core group has it. The parts are shared with `event`. Source: pkg/apis/events/v1/conversion.go v1.37. */
export function coreEventFromV1(event: Readonly<EventV1>): CoreEvent {
  return dropAbsent<CoreEvent>({
    apiVersion: 'v1',
    kind: 'Event',
    ...sharedFields(event),
    involvedObject: event.regarding ?? {},
    message: event.note,
    source: event.deprecatedSource ?? {},
    firstTimestamp: event.deprecatedFirstTimestamp,
    lastTimestamp: event.deprecatedLastTimestamp,
    count: event.deprecatedCount,
    reportingComponent: event.reportingController ?? '',
    reportingInstance: event.reportingInstance ?? '',
  })
}

/** Inverse of {@link coreEventFromV1}. */
export function v1EventFromCore(event: Readonly<CoreEvent>): EventV1 {
  return dropAbsent<EventV1>({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    ...sharedFields(event),
    // Required in this version; null is how upstream writes no time.
    eventTime: (event.eventTime ?? null) as string,
    regarding: event.involvedObject,
    note: event.message,
    deprecatedSource: event.source,
    deprecatedFirstTimestamp: event.firstTimestamp,
    deprecatedLastTimestamp: event.lastTimestamp,
    deprecatedCount: event.count,
    reportingController: event.reportingComponent,
  })
}

type Shared = Pick<CoreEvent, (typeof SHARED)[number]> & Pick<EventV1, 'series' | 'eventTime'>

function sharedFields(event: Readonly<CoreEvent> | Readonly<EventV1>): Shared {
  const fields: Partial<Record<(typeof SHARED)[number], unknown>> = {}
  for (const name of SHARED) fields[name] = event[name]
  // The two types differ only in what they call required.
  return fields as Shared
}
