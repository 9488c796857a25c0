import type { Clock, Random } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import type { Target } from '../resource/target.ts'
import type { Selection } from '../watch-cache/selection.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import type { Watcher, WatchSink } from '../watch-cache/watcher.ts'
import { resumeAt, waitSeen } from './arrived.ts'
import { parseRevision } from './list.ts'

/** Watches without a timeout end after this, and up to as much again. Source: apiserver's MinRequestTimeout (30 min). */
const WATCH_TIMEOUT_MIN_MS = 30 * 60_000
const BOOKMARK_INTERVAL_MS = 60_000

export interface WatchRequest {
  readonly target: Target
  readonly selection: Selection
  readonly sink: WatchSink
  readonly resourceVersion: string
  readonly bookmarks: boolean
  /** Send what is there first, then a bookmark that says so (watch-list). */
  readonly sendInitialEvents: boolean
  /** 0: the server chooses. */
  readonly timeoutSeconds: number
}

export interface WatchDeps {
  readonly store: Store
  readonly cache: WatchCache
  readonly clock: Clock
  readonly random: Random
}

/**
 * Opens a watch with upstream's meaning of resourceVersion: absent or `0` starts with what is there, a number with what came after
 * it. Throws Expired when the history is gone.
 */
export async function startWatch(deps: WatchDeps, request: WatchRequest): Promise<Watcher> {
  const { cache, clock, random } = deps
  const { tenant } = request.target
  const asked = parseRevision(request.resourceVersion)
  const startsWithState = request.sendInitialEvents || asked === 0
  if (request.resourceVersion === '') await cache.waitCurrent()
  else if (request.sendInitialEvents) await waitSeen(deps, request.target, asked)
  const afterRevision = startsWithState ? undefined : await resumeAt(deps, request.target, asked)
  if (afterRevision !== undefined) cache.refuseForeign(afterRevision)
  const timeoutMs =
    request.timeoutSeconds > 0 ? request.timeoutSeconds * 1000 : WATCH_TIMEOUT_MIN_MS * (1 + random.next())
  const nowMs = clock.monotonicMs()
  const watcher = request.target.cache.watch({
    selection: request.selection,
    sink: request.sink,
    bookmarks: request.bookmarks,
    deadlineMs: nowMs + timeoutMs,
    afterRevision,
  })
  watcher.bookmarkDueMs = nowMs + BOOKMARK_INTERVAL_MS
  if (request.sendInitialEvents && request.bookmarks)
    watcher.bookmark(cache.revisionFor(tenant), { initialEventsEnd: true })
  cache.keepTime()
  return watcher
}
