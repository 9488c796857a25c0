import { createHash } from 'node:crypto'
import { formatTime, isStatus, type Stored } from '@centaurus/api'
import { events, type ConfigMap, type Event } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'

const COMPONENT = 'centaurus-dns'
const REASON = 'InvalidDNSSettings'
/** Source: kubernetes pkg/apis/core/validation/events.go NoteLengthLimit. */
const MESSAGE_LENGTH_MAX = 1_024

export interface ReportDeps {
  readonly client: Client
  readonly clock: Pick<Clock, 'now'>
  readonly logger: Logger
}

/**
 * Writes one Event about a ConfigMap. Every node reads the ConfigMap and finds the same, so the Event's name is made of what it says, and whoever comes
 * first writes it. Never throws.
 */
export async function reportProblems(
  configMap: Stored<ConfigMap>,
  problems: readonly string[],
  { client, clock, logger }: ReportDeps,
): Promise<void> {
  const event = eventOf(configMap, problems, formatTime(clock.now()))
  try {
    await client.create(events, event)
  } catch (error) {
    if (isStatus(error, 'AlreadyExists')) return
    logger.warn('Could not write an Event', { namespace: configMap.metadata.namespace, reason: REASON, error })
  }
}

function eventOf({ metadata }: Stored<ConfigMap>, problems: readonly string[], now: string): Event {
  const { name, namespace, uid, resourceVersion } = metadata
  const whole = `Left out what is wrong: ${problems.join('; ')}`
  const message = whole.length > MESSAGE_LENGTH_MAX ? `${whole.slice(0, MESSAGE_LENGTH_MAX - 1)}…` : whole
  const hash = createHash('sha256').update(`${uid} ${message}`).digest('hex').slice(0, 16)
  return {
    metadata: { name: `${name}.${hash}`, namespace },
    involvedObject: { apiVersion: 'v1', kind: 'ConfigMap', name, namespace, uid, resourceVersion },
    type: 'Warning',
    reason: REASON,
    message,
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
    source: { component: COMPONENT },
    reportingComponent: COMPONENT,
    reportingInstance: '',
  }
}
