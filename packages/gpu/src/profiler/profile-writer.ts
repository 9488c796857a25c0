import { pods } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { KnownContainer } from '../containers/shares-of-pods.ts'
import { GPU_PROFILE_ANNOTATION, planAnnotation, type ContainerProfile } from './core/profile-annotation.ts'

/** A container's part of the annotation is not written again before. */
const REWRITE_MS = 600_000
/** Of which it is remembered when they were written. */
const CONTAINERS_MAX = 1_000

export interface ProfileWriterOptions {
  /** As the node's agent, which may annotate its pods together with their status. */
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
}

/** Returns what has a Pod say what is known of its container, when that is notably more than it says, and not too often. It never rejects. */
export function createProfileWriter({ client, clock, logger }: ProfileWriterOptions) {
  /** Monotonic milliseconds, oldest first. */
  const written = new Map<string, number>()
  return async ({ pod, container }: KnownContainer, profile: ContainerProfile): Promise<void> => {
    const { uid = '', namespace = '', name = '', annotations } = pod.metadata
    const key = `${uid} ${container}`
    const text = planAnnotation(annotations?.[GPU_PROFILE_ANNOTATION], container, profile)
    const last = written.get(key)
    if (text === undefined || (last !== undefined && clock.monotonicMs() - last < REWRITE_MS)) return
    written.delete(key)
    written.set(key, clock.monotonicMs())
    const [oldest] = written.keys()
    if (written.size > CONTAINERS_MAX && oldest !== undefined) written.delete(oldest)
    const body = { metadata: { uid, annotations: { [GPU_PROFILE_ANNOTATION]: text } } }
    try {
      await client.patch(pods, { namespace, name }, { type: 'merge', body }, { subresource: 'status' })
    } catch (error) {
      logger.warn('Could not write the profile of a pod', { pod: `${namespace}/${name}`, error })
    }
  }
}
