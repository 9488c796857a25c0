import { StatusError } from '@centaurus/api'
import type { Clock } from '@centaurus/base'
import { RevisionWaiters } from './revision-waiters.ts'

/** How long a read waits for a revision. Source: apiserver's watch cache, blockTimeout (3 s). */
export const FRESHNESS_TIMEOUT_MS = 3_000

interface Progress {
  revision: number
  /** Made for the first who waits. */
  waiters: RevisionWaiters | undefined
}

/**
 * The newest revision of each tenant: that of the last change to anything it has, as if it had a store of its own. It is never beyond the
 * cache's, and between the two nothing of the tenant changed: a list at one is a list at the other.
 */
export class TenantRevisions {
  readonly #clock: Clock
  readonly #tenants = new Map<string, Progress>()
  /** What was deleted before the cache was filled left no trace there. */
  #loadedAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The cache was filled at this revision. */
  load(revision: number): void {
    this.#loadedAt = revision
    for (const { waiters } of this.#tenants.values()) waiters?.advance(revision)
  }

  /** Runs for each event. */
  advance(tenant: string, revision: number): void {
    const progress = this.#progress(tenant)
    progress.revision = revision
    progress.waiters?.advance(revision)
  }

  of(tenant: string): number {
    return Math.max(this.#tenants.get(tenant)?.revision ?? 0, this.#loadedAt)
  }

  /** Resolves when the tenant has come to `revision`; throws Timeout when that is in the future for too long. */
  async wait(tenant: string, revision: number): Promise<void> {
    if (this.of(tenant) >= revision) return
    const progress = this.#progress(tenant)
    progress.waiters ??= new RevisionWaiters(this.#clock)
    const fail = (): Error => tooLargeRevision(revision, this.of(tenant))
    await progress.waiters.wait(revision, { timeoutMs: FRESHNESS_TIMEOUT_MS, fail })
  }

  #progress(tenant: string): Progress {
    let progress = this.#tenants.get(tenant)
    if (progress === undefined) {
      progress = { revision: 0, waiters: undefined }
      this.#tenants.set(tenant, progress)
    }
    return progress
  }
}

/** Source: apiserver pkg/storage/errors.go NewTooLargeResourceVersionError. */
export function tooLargeRevision(requested: number, current: number): StatusError {
  return new StatusError({
    reason: 'Timeout',
    message: `Timeout: Too large resource version: ${requested}, current: ${current}`,
    details: {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    },
  })
}
