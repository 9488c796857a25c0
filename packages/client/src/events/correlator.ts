import type { Event } from '@centaurus/api/core/v1'
import { LruMap } from './lru.ts'

/** Source of all numbers: client-go tools/record/events_cache.go v0.37. */
const CACHE_ENTRIES_MAX = 4096
/** From this many different messages of one reason in the interval on, they are combined into one event. */
const AGGREGATE_MESSAGES_MAX = 10
const AGGREGATE_INTERVAL_MS = 600_000
/** A source may send a burst about an object, then one event each five minutes. */
const SPAM_BURST = 25
const SPAM_REFILL_MS = 300_000

/** What to write: a new event, or a count on one that the server has. */
export interface CorrelatedEvent {
  readonly event: Event
  /** True when the event was written before: only count, message and last time change. */
  readonly isRepeat: boolean
}

/** Turns a stream of events into few writes: repeats are counted, many messages of one reason are combined, floods are dropped. */
export interface EventCorrelator {
  /** Undefined: drop it. */
  correlate(event: Event, nowMs: number): CorrelatedEvent | undefined
  /** The server no longer has the event under that name, so that the next one starts anew. */
  forget(event: Event): void
}

export function createEventCorrelator(): EventCorrelator {
  const aggregates = new LruMap<string, { messages: Set<string>; lastMs: number }>(CACHE_ENTRIES_MAX)
  const observed = new LruMap<string, Observation>(CACHE_ENTRIES_MAX)
  const buckets = new LruMap<string, { tokens: number; atMs: number }>(CACHE_ENTRIES_MAX)
  return {
    correlate(event, nowMs) {
      const aggregateKey = formatAggregateKey(event)
      const isCombined =
        countMessages(aggregates, { key: aggregateKey, message: event.message ?? '', nowMs }) >= AGGREGATE_MESSAGES_MAX
      const key = isCombined ? aggregateKey : formatEventKey(event)
      const subject = isCombined
        ? { ...event, message: `(combined from similar events): ${event.message ?? ''}` }
        : event
      const last = observed.get(key)
      const counted = last === undefined ? subject : repeatEvent(subject, last)
      observed.set(key, {
        name: counted.metadata.name!,
        firstTimestamp: counted.firstTimestamp,
        count: counted.count ?? 1,
      })
      if (!takeToken(buckets, formatSpamKey(event), nowMs)) return undefined
      return { event: counted, isRepeat: last !== undefined }
    },
    forget(event) {
      observed.set(formatEventKey(event), {
        name: event.metadata.name!,
        firstTimestamp: event.firstTimestamp,
        count: event.count ?? 1,
      })
    },
  }
}

interface Observation {
  readonly name: string
  readonly firstTimestamp: string | undefined
  readonly count: number
}

function repeatEvent(event: Event, last: Observation): Event {
  return {
    ...event,
    metadata: { ...event.metadata, name: last.name },
    firstTimestamp: last.firstTimestamp,
    count: last.count + 1,
  }
}

function countMessages(
  aggregates: LruMap<string, { messages: Set<string>; lastMs: number }>,
  { key, message, nowMs }: { readonly key: string; readonly message: string; readonly nowMs: number },
): number {
  const known = aggregates.get(key)
  const record =
    known === undefined || nowMs - known.lastMs > AGGREGATE_INTERVAL_MS
      ? { messages: new Set<string>(), lastMs: nowMs }
      : known
  record.messages.add(message)
  record.lastMs = nowMs
  aggregates.set(key, record)
  const count = record.messages.size
  if (count >= AGGREGATE_MESSAGES_MAX) record.messages.delete(record.messages.values().next().value!) // stays bounded
  return count
}

function takeToken(buckets: LruMap<string, { tokens: number; atMs: number }>, key: string, nowMs: number): boolean {
  const bucket = buckets.get(key) ?? { tokens: SPAM_BURST, atMs: nowMs }
  bucket.tokens = Math.min(SPAM_BURST, bucket.tokens + (nowMs - bucket.atMs) / SPAM_REFILL_MS)
  bucket.atMs = nowMs
  buckets.set(key, bucket)
  if (bucket.tokens < 1) return false
  bucket.tokens--
  return true
}

function sourceAndObject({ source, involvedObject: object }: Event): (string | undefined)[] {
  return [source?.component, source?.host, object.kind, object.namespace, object.name, object.uid, object.apiVersion]
}

function formatSpamKey(event: Event): string {
  return JSON.stringify(sourceAndObject(event))
}

function formatAggregateKey(event: Event): string {
  return JSON.stringify([...sourceAndObject(event), event.type, event.reason])
}

function formatEventKey(event: Event): string {
  return JSON.stringify([
    ...sourceAndObject(event),
    event.involvedObject.fieldPath,
    event.type,
    event.reason,
    event.message,
  ])
}
