import { isDeepStrictEqual } from 'node:util'

import { isStatus } from '@centaurus/api'
import { pods, type Pod, type PodStatus } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import { compareResourceVersions, type Client } from '@centaurus/client'

import { RESIZE_CONDITIONS } from '../pod/conditions.ts'
import { podKey } from '../pod/runtime-state.ts'

const RETRY_MS_MIN = 500
const RETRY_MS_MAX = 10_000

export interface StatusWriter {
  /** Newest status, written or not; undefined when this process has not made one. */
  latest(podUid: string): PodStatus | undefined
  /** Writes in the background when it differs from what the API has, also when somebody else changed it there; a newer status replaces one that waits. */
  set(pod: Pod, status: PodStatus): void
  /** Resolves when the API has the newest status of the pod, or the pod is gone there. */
  flushed(podUid: string): Promise<void>
  /** Tries again what had nowhere to go: the API has the pod now. */
  retry(podUid: string): void
  forget(podUid: string): void
  close(): void
}

interface Entry {
  pod: Pod
  status: PodStatus
  written: PodStatus | undefined
  /** resourceVersion of the pod with that status. */
  writtenVersion: string
  writing: Promise<void> | undefined
}

/** Sends pod statuses as small patches: only what changed, guarded by the pod's uid. Source of the form: kubelet status manager, v1.37. */
export function createStatusWriter(options: {
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
  /** The object that shows the pod in the API, when that is another: a static pod's mirror. Undefined: there is none. */
  readonly targetOf?: (pod: Pod) => Pod | undefined
}): StatusWriter {
  const { client, clock, logger, targetOf = (pod) => pod } = options
  const entries = new Map<string, Entry>()
  const abort = new AbortController()
  const write = async (entry: Entry): Promise<void> => {
    let retryMs = RETRY_MS_MIN
    while (!abort.signal.aborted && entries.get(entry.pod.metadata.uid ?? '') === entry) {
      const { pod, status } = entry
      const target = targetOf(pod)
      if (target === undefined) return
      const diff = diffStatus(knownStatus(entry, target), status)
      if (Object.keys(diff).length === 0) return
      try {
        const body = { metadata: { uid: target.metadata.uid }, status: diff }
        const patched = await client.patch(
          pods,
          { namespace: target.metadata.namespace, name: target.metadata.name ?? '' },
          { type: 'strategic', body },
          { subresource: 'status' },
        )
        entry.written = status
        entry.writtenVersion = patched.metadata.resourceVersion
        retryMs = RETRY_MS_MIN
      } catch (error) {
        // Gone, or replaced by another pod of the same name: nobody wants this status.
        if (isStatus(error, 'NotFound') || isStatus(error, 'Conflict')) return
        logger.warn('Could not write status of Pod', { pod: podKey(pod), error })
        await clock.sleep(retryMs, { signal: abort.signal }).catch(() => undefined)
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX)
      }
    }
  }
  return {
    latest: (podUid) => entries.get(podUid)?.status,
    set(pod, status) {
      const uid = pod.metadata.uid ?? ''
      const entry: Entry = entries.get(uid) ?? {
        pod,
        status: {},
        written: undefined,
        writtenVersion: '',
        writing: undefined,
      }
      entries.set(uid, entry)
      entry.pod = pod
      entry.status = plain(status)
      entry.writing ??= write(entry).finally(() => (entry.writing = undefined))
    },
    retry(podUid) {
      const entry = entries.get(podUid)
      if (entry !== undefined) entry.writing ??= write(entry).finally(() => (entry.writing = undefined))
    },
    flushed: async (podUid) => entries.get(podUid)?.writing,
    forget: (podUid) => void entries.delete(podUid),
    close: () => abort.abort(new Error('The node agent was closed')),
  }
}

/** What the API has: what was written last, unless the pod was seen after that. Source: needsReconcile of kubelet's status manager, v1.37. */
function knownStatus({ written, writtenVersion }: Entry, target: Pod): PodStatus {
  const seen = target.metadata.resourceVersion ?? ''
  return written === undefined || compareResourceVersions(seen, writtenVersion) > 0
    ? plain(target.status ?? {})
    : written
}

/**
 * Top-level fields of `after` that differ; null for those that went. Conditions merge by type on the server, so only those that changed go,
 * with null for what they no longer say; addresses would merge too, and are replaced. Pure.
 */
export function diffStatus(before: PodStatus, after: PodStatus): Record<string, unknown> {
  const old = before as Record<string, unknown>
  const next = after as Record<string, unknown>
  const diff: Record<string, unknown> = {}
  for (const key of Object.keys(old)) if (next[key] === undefined) diff[key] = null
  for (const [key, value] of Object.entries(next)) if (!isDeepStrictEqual(old[key], value)) diff[key] = value
  if (Array.isArray(diff['conditions'])) {
    const conditions = diffConditions(before.conditions ?? [], after.conditions ?? [])
    if (conditions.length === 0) delete diff['conditions']
    else diff['conditions'] = conditions
  }
  for (const key of MERGED_LISTS)
    if (Array.isArray(diff[key]) && old[key] !== undefined) diff[key] = [{ $patch: 'replace' }, ...diff[key]]
  return diff
}

/** Lists that the strategic merge patch would merge by `ip`. */
const MERGED_LISTS = ['podIPs', 'hostIPs'] as const

type Condition = NonNullable<PodStatus['conditions']>[number]

function diffConditions(before: readonly Condition[], after: readonly Condition[]): object[] {
  const dropped = before
    .filter(({ type }) => RESIZE_CONDITIONS.has(type) && !after.some((condition) => condition.type === type))
    .map(({ type }) => ({ $patch: 'delete', type }))
  const changed = after.flatMap((condition) => {
    const old = before.find(({ type }) => type === condition.type)
    if (isDeepStrictEqual(old, condition)) return []
    const gone = Object.keys(old ?? {}).filter((key) => !(key in condition))
    return [{ ...condition, ...Object.fromEntries(gone.map((key) => [key, null])) }]
  })
  return [...dropped, ...changed]
}

/** As JSON would carry it: no undefined fields. */
function plain(status: PodStatus): PodStatus {
  return JSON.parse(JSON.stringify(status)) as PodStatus
}
