import { keepVersion } from '@centaurus/apiserver'
import type { Clock, Timer } from '@centaurus/base'
import type { KeyValue, Store, StoreEvent } from '@centaurus/store'

/** Keys read at once while the snapshot is sent. */
const PAGE_ENTRIES = 500
/** An importer that falls so far behind is dropped; it begins again. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024
/** How often the reader learns up to which revision it has everything: a move waits for one of these while writes are stopped. */
const PROGRESS_INTERVAL_MS = 20

/** Where the lines go: an HTTP answer, or a function in tests. */
export interface ExportSink {
  /** One JSON text, without the line feed. */
  write(line: string): void
  /** Bytes written that the network has not taken. */
  readonly queuedBytes: number
  /** Resolves when little is queued, or the reader is gone. */
  drained(): Promise<void>
  readonly closed: boolean
}

/**
 * One line of an export. `SNAPSHOT` lines hold the tenant's keys at one revision, in order; `SYNCED` ends them. `COMMIT` lines are what
 * happened since, one a revision. `PROGRESS`: nothing else happened up to the revision. Values are stored JSON with the resourceVersion that clients know.
 */
export type ExportLine =
  | { readonly type: 'SNAPSHOT'; readonly entries: readonly ExportEntry[] }
  | { readonly type: 'SYNCED'; readonly revision: number }
  | {
      readonly type: 'COMMIT'
      readonly revision: number
      readonly puts: readonly ExportEntry[]
      readonly deletes: readonly string[]
    }
  | { readonly type: 'PROGRESS'; readonly revision: number }

/** Key below the tenant's prefix, and the stored text. */
export type ExportEntry = readonly [key: string, value: string]

/** Prefix of everything that belongs to a tenant. */
export function tenantPrefix(tenant: string): string {
  return `/registry/${tenant}/`
}

/**
 * Sends everything of a tenant and then each change, until the sink closes or `signal` aborts. Rejects when the store ends the watch or
 * the reader is too slow; the importer begins again then.
 */
export async function exportTenant(
  store: Store,
  tenant: string,
  { sink, clock, signal }: { readonly sink: ExportSink; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  const prefix = tenantPrefix(tenant)
  const send = (line: ExportLine): void => sink.write(JSON.stringify(line))
  const entry = (keyValue: KeyValue): ExportEntry => toEntry(keyValue, prefix)
  const revision = await sendSnapshot(store, prefix, { send, entry, sink, signal })
  if (signal.aborted || sink.closed) return
  send({ type: 'SYNCED', revision })
  await new Promise<void>((resolve, reject) => {
    let timer: Timer | undefined
    const finish = (error?: Error): void => {
      signal.removeEventListener('abort', stop)
      timer?.cancel()
      watch.close()
      if (error === undefined) resolve()
      else reject(error)
    }
    const stop = (): void => finish()
    const watch = store.watch(prefix, {
      omitPrevious: true,
      fromRevision: revision + 1,
      onEvents(events, at) {
        if (sink.closed) return finish()
        if (sink.queuedBytes > QUEUE_BYTES_MAX) return finish(new Error(`The reader of tenant ${tenant} is too slow`))
        send(toCommit(events, at, prefix))
      },
      onProgress: (at) => send({ type: 'PROGRESS', revision: at }),
      onEnd: (error) => finish(error),
    })
    const tick = (): void => {
      if (sink.closed) return finish()
      watch.requestProgress()
      timer = clock.setTimer(PROGRESS_INTERVAL_MS, tick)
    }
    tick()
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
  })
}

interface SnapshotDeps {
  readonly send: (line: ExportLine) => void
  readonly entry: (entry: KeyValue) => ExportEntry
  readonly sink: ExportSink
  readonly signal: AbortSignal
}

async function sendSnapshot(
  store: Store,
  prefix: string,
  { send, entry, sink, signal }: SnapshotDeps,
): Promise<number> {
  let page = await store.range(prefix, { limit: PAGE_ENTRIES })
  const { revision } = page
  for (;;) {
    if (page.entries.length > 0) send({ type: 'SNAPSHOT', entries: page.entries.map(entry) })
    if (!page.more || sink.closed || signal.aborted) return revision
    await sink.drained()
    const from = `${page.entries.at(-1)!.key}\0`
    page = await store.range(prefix, { atRevision: revision, from, limit: PAGE_ENTRIES })
  }
}

function toCommit(events: readonly StoreEvent[], revision: number, prefix: string): ExportLine {
  const puts: ExportEntry[] = []
  const deletes: string[] = []
  for (const event of events) {
    if (event.type === 'put') puts.push(toEntry(event.entry, prefix))
    else deletes.push(event.key.slice(prefix.length))
  }
  return { type: 'COMMIT', revision, puts, deletes }
}

function toEntry({ key, value, modRevision }: KeyValue, prefix: string): ExportEntry {
  return [key.slice(prefix.length), decode(keepVersion(value, modRevision))]
}

function decode(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')
}
