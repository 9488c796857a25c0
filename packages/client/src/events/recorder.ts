import { formatKey, isStatus, StatusError, type KubeObject } from '@centaurus/api'
import { events, type Event, type ObjectReference } from '@centaurus/api/core/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client } from '../client.ts'
import { createEventCorrelator, type CorrelatedEvent } from './correlator.ts'

/** Source of the numbers: client-go tools/record/event.go v0.37. What does not fit into the queue is dropped. */
const QUEUE_EVENTS_MAX = 1000
const TRIES_MAX = 12
const RETRY_MS = 10_000
const NANOS_PER_MS = 1_000_000n

export interface EventInit {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
  readonly annotations?: Record<string, string> | undefined
  /** Part of the object that is meant, such as `spec.containers{web}`. */
  readonly fieldPath?: string | undefined
  /** Where to tell of an object without a namespace; default `default`, which in a view over all tenants is the operators'. */
  readonly namespace?: string | undefined
}

export interface EventRecorder {
  /** Writes an event about `object` (its apiVersion and kind must be set) in the background. Never throws. */
  record(object: KubeObject, init: EventInit): void
  /** Resolves when everything recorded so far was written or given up. */
  flush(): Promise<void>
  /** Drops what is not yet written. */
  close(): Promise<void>
}

export interface EventRecorderOptions {
  readonly client: Client
  /** Goes into `source.component` and `reportingComponent`, such as `deployment-controller`. */
  readonly component: string
  readonly host?: string | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** Writes core/v1 events, with client-go's counting of repeats, aggregation and spam filter. */
export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const correlator = createEventCorrelator()
  const abort = new AbortController()
  const queue: Event[] = []
  // Two recorders may tell of one object in the same millisecond; names must differ all the same.
  const offsetNanos = BigInt(Math.floor(options.random.next() * Number(NANOS_PER_MS)))
  let lastNanos = 0n
  let draining: Promise<void> | undefined
  const drain = async (): Promise<void> => {
    await Promise.resolve() // so that it never ends before `draining` holds it
    for (let next = queue.shift(); next !== undefined && !abort.signal.aborted; next = queue.shift()) {
      const correlated = correlator.correlate(next, options.clock.now())
      if (correlated !== undefined)
        await writeWithRetries(options, correlated, { signal: abort.signal, onRenew: correlator.forget })
    }
    draining = undefined
  }
  return {
    record(object, init) {
      if (abort.signal.aborted) return
      if (queue.length >= QUEUE_EVENTS_MAX) {
        options.logger.debug('Dropped an event: too many wait', { reason: init.reason })
        return
      }
      const nanos = BigInt(options.clock.now()) * NANOS_PER_MS + offsetNanos
      lastNanos = nanos > lastNanos ? nanos : lastNanos + 1n // names stay unique within a millisecond
      queue.push(buildEvent(options, object, { ...init, nanos: lastNanos }))
      draining ??= drain()
    },
    async flush() {
      await draining
    },
    async close() {
      queue.length = 0
      abort.abort(new Error('Event recorder closed'))
      await draining
    },
  }
}

function buildEvent(
  { component, host, clock }: EventRecorderOptions,
  object: KubeObject,
  init: EventInit & { readonly nanos: bigint },
): Event {
  const { metadata } = object
  const reference: ObjectReference = {
    kind: object.kind,
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    apiVersion: object.apiVersion,
    resourceVersion: metadata.resourceVersion,
    ...(init.fieldPath === undefined ? {} : { fieldPath: init.fieldPath }),
  }
  const now = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: {
      name: `${metadata.name ?? ''}.${init.nanos.toString(16)}`,
      namespace: metadata.namespace || init.namespace || 'default',
      ...(init.annotations === undefined ? {} : { annotations: init.annotations }),
    },
    involvedObject: reference,
    reason: init.reason,
    message: init.message,
    type: init.type,
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
    source: { component, ...(host === undefined ? {} : { host }) },
    reportingComponent: component,
    reportingInstance: host ?? '',
  }
}

interface WriteContext {
  readonly signal: AbortSignal
  readonly onRenew: (event: Event) => void
}

async function writeWithRetries(
  options: EventRecorderOptions,
  correlated: CorrelatedEvent,
  context: WriteContext,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await write(options.client, correlated, context)
    } catch (error) {
      if (context.signal.aborted) return
      // The server answered: asking again gives the same answer. Else it is away: wait, with jitter the first time.
      if (error instanceof StatusError && error.code < 500) {
        const { namespace = '', name = '' } = correlated.event.involvedObject
        return options.logger.debug('Event was refused', {
          object: formatKey(namespace, name),
          reason: correlated.event.reason,
          error,
        })
      }
      if (attempt >= TRIES_MAX) return options.logger.warn('Could not write an event', { attempt, error })
      const delayMs = attempt === 1 ? RETRY_MS * options.random.next() : RETRY_MS
      await options.clock.sleep(delayMs, { signal: context.signal }).catch(() => {})
    }
  }
}

async function write(
  client: Client,
  { event, isRepeat }: CorrelatedEvent,
  { signal, onRenew }: WriteContext,
): Promise<void> {
  if (!isRepeat) return void (await client.create(events, event, { signal }))
  const name = { namespace: event.metadata.namespace, name: event.metadata.name! }
  const body = { count: event.count, message: event.message, lastTimestamp: event.lastTimestamp }
  try {
    await client.patch(events, name, { type: 'merge', body }, { signal })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error // events expire
    const renewed = {
      ...event,
      metadata: {
        ...event.metadata,
        name: `${event.involvedObject.name ?? ''}.${Date.parse(event.lastTimestamp!).toString(16)}${event.count}`,
      },
    }
    onRenew(renewed)
    await client.create(events, renewed, { signal })
  }
}
