import type { Deployment } from '@centaurus/api/apps/v1'
import { scaledValue } from '../frame/rounding.ts'

/** Source: the API's "no deadline": MaxInt32. */
const NO_DEADLINE_SECONDS = 2 ** 31 - 1

export interface RolloutLimits {
  readonly replicas: number
  readonly maxSurge: number
  readonly maxUnavailable: number
}

/** Surge is rounded up and unavailable down; both zero would never move, so then one may be unavailable. Source: ResolveFenceposts. */
export function rolloutLimits({ spec }: Deployment): RolloutLimits {
  const replicas = spec.replicas ?? 1
  if (spec.strategy?.type === 'Recreate') return { replicas, maxSurge: 0, maxUnavailable: 0 }
  const rolling = spec.strategy?.rollingUpdate
  const maxSurge = scaledValue(rolling?.maxSurge ?? '25%', replicas, { round: 'up' })
  const maxUnavailable = scaledValue(rolling?.maxUnavailable ?? '25%', replicas, { round: 'down' })
  const atLeastOne = maxSurge === 0 && maxUnavailable === 0 ? 1 : maxUnavailable
  return { replicas, maxSurge, maxUnavailable: Math.min(atLeastOne, replicas) }
}

/** Undefined when the Deployment may take for ever. */
export function progressDeadlineSeconds({ spec }: Deployment): number | undefined {
  const seconds = spec.progressDeadlineSeconds
  return seconds === undefined || seconds === NO_DEADLINE_SECONDS ? undefined : seconds
}
