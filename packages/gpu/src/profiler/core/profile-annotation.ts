/** What a Pod says of its containers' use of GPUs. Pure. */
import { isRecord } from '@centaurus/api'
import { kindOf, type JobProfile } from './job-profile.ts'
import { recommend, type Recommendation } from './recommend.ts'
import type { JobKind } from './classify-use.ts'

/** Of a Pod: JSON by container name, see {@link ContainerProfile}. Written by the profiler, for people and schedulers; nothing depends on it. */
export const GPU_PROFILE_ANNOTATION = 'centaurus.io/gpu-profile'

export interface ContainerProfile extends Recommendation {
  readonly kind: JobKind
  /** Of training. */
  readonly periodSeconds?: number | undefined
}

const PERIOD_CHANGE = 0.2
const MEMORY_CHANGE = 0.1
const COMPUTE_CHANGE_PERCENT = 10

/** Undefined: its kind is not known yet. */
export function describeProfile(profile: JobProfile): ContainerProfile | undefined {
  const kind = kindOf(profile)
  if (kind === undefined) return undefined
  const period = kind === 'training' ? profile.periodSeconds : undefined
  return {
    kind,
    ...(period === undefined ? {} : { periodSeconds: Math.round(period * 10) / 10 }),
    ...recommend(profile),
  }
}

/** The text that the annotation should have after `text`, with what is known of a container now; undefined: that it has says as much. */
export function planAnnotation(text: string | undefined, container: string, now: ContainerProfile): string | undefined {
  const said = parse(text)
  const before = said[container]
  if (isRecord(before) && !isNotable(before, now)) return undefined
  return JSON.stringify({ ...said, [container]: now })
}

/** What is no JSON was written by nobody we know. */
function parse(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text ?? '{}')
    return isRecord(value) ? value : {}
  } catch {
    return {}
  }
}

function isNotable(before: Readonly<Record<string, unknown>>, now: ContainerProfile): boolean {
  const differs = (name: keyof ContainerProfile, isLarge: (was: number, is: number) => boolean): boolean => {
    const [was, is] = [before[name], now[name]]
    return typeof was === 'number' && typeof is === 'number' ? isLarge(was, is) : was !== is
  }
  return (
    before['kind'] !== now.kind ||
    differs('periodSeconds', (was, is) => Math.abs(is - was) > was * PERIOD_CHANGE) ||
    differs('memoryMiB', (was, is) => Math.abs(is - was) > was * MEMORY_CHANGE) ||
    differs('compute', (was, is) => Math.abs(is - was) >= COMPUTE_CHANGE_PERCENT)
  )
}
