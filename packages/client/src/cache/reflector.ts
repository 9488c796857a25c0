import { isStatus, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client, SelectOptions, WatchEventType } from '../client.ts'

/** Objects asked for at once in the first list. */
const LIST_PAGE_ITEMS = 1000
/** Back-off after a failure, doubled up to the maximum, with jitter. Source: client-go tools/cache/reflector.go uses 0.8 s to 30 s. */
const BACKOFF_BASE_MS = 200
const BACKOFF_MAX_MS = 30_000
/** A watch that lived this long was healthy: the next failure starts from the base again. */
const HEALTHY_WATCH_MS = 10_000

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: Pick<Client, 'list' | 'watch'>
  readonly type: ResourceType<T>
  readonly select: SelectOptions
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** The whole selection, as of `resourceVersion`. */
  readonly onList: (items: readonly Stored<T>[], resourceVersion: string) => void
  readonly onEvent: (type: WatchEventType, object: Stored<T>) => void
  readonly onBookmark: (resourceVersion: string) => void
}

/**
 * Mirrors one selection until `signal` aborts: lists, watches from there, resumes a watch that ended, and lists again only when the
 * server says that the version is too old. Never throws; failures are retried with back-off.
 */
export async function runReflector<T extends KubeObject>(
  options: ReflectorOptions<T>,
  signal: AbortSignal,
): Promise<void> {
  let version: string | undefined
  let failures = 0
  await Promise.resolve() // whoever asked for the informer adds its indexes and handlers first
  while (!signal.aborted) {
    const startedMs = options.clock.monotonicMs()
    try {
      version ??= await listAll(options, signal)
      version = await watchFrom(options, version, signal)
      if (options.clock.monotonicMs() - startedMs > HEALTHY_WATCH_MS) failures = 0
      failures++ // a server that closes at once must not be asked in a tight loop
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof WatchFailedError) version = error.resumeFrom
      else version = undefined
      if (options.clock.monotonicMs() - startedMs > HEALTHY_WATCH_MS) failures = 0
      failures++
      const { group, resource } = options.type
      const fields = { group, resource, attempt: failures, error }
      if (error instanceof WatchFailedError) options.logger.debug('Lost a watch', fields)
      else options.logger.warn('Could not list', fields)
    }
    await pause(options, failures, signal)
  }
}

/** The version to resume from, undefined when only a new list helps. */
class WatchFailedError extends Error {
  override readonly name = 'WatchFailedError'
  readonly resumeFrom: string | undefined

  constructor(cause: Error, resumeFrom: string) {
    super(cause.message, { cause })
    this.resumeFrom = isStatus(cause, 'Expired') || isStatus(cause, 'Gone') ? undefined : resumeFrom
  }
}

async function listAll<T extends KubeObject>(options: ReflectorOptions<T>, signal: AbortSignal): Promise<string> {
  const items: Stored<T>[] = []
  let token: string | undefined
  for (;;) {
    const page = await options.client.list(options.type, {
      ...options.select,
      limit: LIST_PAGE_ITEMS,
      continue: token,
      signal,
    })
    for (const item of page.items) items.push(item)
    token = page.continue
    if (token === undefined) {
      options.onList(items, page.resourceVersion)
      return page.resourceVersion
    }
  }
}

/** Resolves to the version to resume from when the watch ended in order. */
function watchFrom<T extends KubeObject>(
  options: ReflectorOptions<T>,
  from: string,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let version = from
    const watch = options.client.watch(options.type, {
      ...options.select,
      resourceVersion: from,
      onEvent(type, object) {
        if (signal.aborted) return
        version = object.metadata.resourceVersion
        options.onEvent(type, object)
      },
      onBookmark(resourceVersion) {
        if (signal.aborted) return
        version = resourceVersion
        options.onBookmark(resourceVersion)
      },
      onEnd(error) {
        signal.removeEventListener('abort', close)
        if (error === undefined) resolve(version)
        else reject(new WatchFailedError(error, version))
      },
    })
    const close = (): void => watch.close()
    signal.addEventListener('abort', close, { once: true })
    if (signal.aborted) close()
  })
}

async function pause<T extends KubeObject>(
  options: ReflectorOptions<T>,
  failures: number,
  signal: AbortSignal,
): Promise<void> {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.max(0, failures - 1))
  try {
    await options.clock.sleep(ceiling * (0.5 + options.random.next() / 2), { signal })
  } catch {
    // aborted: the loop ends
  }
}
