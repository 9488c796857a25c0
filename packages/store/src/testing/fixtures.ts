import assert from 'node:assert/strict'
import { decodeText, encodeText } from '@centaurus/base'
import type { KeyValue, Store, StoreEvent, StoreWatch, WatchOptions } from '../store.ts'

/** How long a test waits for a state that must come, milliseconds. */
const STATE_TIMEOUT_MS = 10_000

/** Runs `body` on a new store, and closes it. */
export function withStore(open: () => Promise<Store>, body: (store: Store) => Promise<void>): () => Promise<void> {
  return async () => {
    const store = await open()
    try {
      await body(store)
    } finally {
      await store.close()
    }
  }
}

/** Puts one key and returns the revision. */
export async function put(store: Store, key: string, value: string): Promise<number> {
  const result = await store.commit({ changes: [{ type: 'put', key, value: encodeText(value) }] })
  assert(result.committed)
  return result.revision
}

/** Deletes one key and returns the revision. */
export async function remove(store: Store, key: string): Promise<number> {
  const result = await store.commit({ changes: [{ type: 'delete', key }] })
  assert(result.committed)
  return result.revision
}

/** `key=value@modRevision` with `+createRevision#version`: easy to compare and to read. */
export function show(entry: KeyValue | undefined): string {
  if (entry === undefined) return 'nothing'
  return `${entry.key}=${decodeText(entry.value)}@${entry.modRevision}+${entry.createRevision}#${entry.version}`
}

/** `put ENTRY (PREVIOUS)` or `delete KEY@REVISION (PREVIOUS)`. */
export function showEvent(event: StoreEvent): string {
  const before = show(event.previous)
  return event.type === 'put'
    ? `put ${show(event.entry)} (${before})`
    : `delete ${event.key}@${event.modRevision} (${before})`
}

/** What a watch has said so far. */
export interface WatchRecord {
  readonly watch: StoreWatch
  /** One item a call: revision, then the events. */
  readonly calls: { readonly revision: number; readonly events: readonly string[] }[]
  readonly progress: number[]
  /** Set once the watch ended. */
  ended: { readonly error: Error | undefined } | undefined
  /** Resolves when `reached` holds; rejects after ten seconds. */
  until(reached: (record: WatchRecord) => boolean): Promise<void>
  /** Resolves when the watch has been given everything up to `revision`. */
  untilRevision(revision: number): Promise<void>
}

/** Starts a watch and records it. `react` is called inside `onEvents`, after recording. */
export function recordWatch(
  store: Store,
  prefix: string,
  options: { readonly from?: number; readonly react?: WatchOptions['onEvents']; readonly omitPrevious?: boolean } = {},
): WatchRecord {
  const waiters = new Set<() => void>()
  const changed = (): void => waiters.forEach((check) => check())
  const watch = store.watch(prefix, {
    fromRevision: options.from,
    omitPrevious: options.omitPrevious,
    onEvents(events, revision) {
      assert.equal(record.ended, undefined, 'onEvents came after onEnd')
      record.calls.push({ revision, events: events.map(showEvent) })
      changed()
      options.react?.(events, revision)
    },
    onProgress(revision) {
      assert.equal(record.ended, undefined, 'onProgress came after onEnd')
      record.progress.push(revision)
      changed()
    },
    onEnd(error) {
      assert.equal(record.ended, undefined, 'onEnd came twice')
      record.ended = { error }
      changed()
    },
  })
  const record: WatchRecord = {
    watch,
    calls: [],
    progress: [],
    ended: undefined,
    until: (reached) => waitUntil(() => reached(record), waiters),
    async untilRevision(revision) {
      watch.requestProgress()
      await record.until(({ progress, ended }) => ended !== undefined || (progress.at(-1) ?? 0) >= revision)
    },
  }
  return record
}

function waitUntil(reached: () => boolean, waiters: Set<() => void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error('The state that the test waits for did not come')),
      STATE_TIMEOUT_MS,
    )
    const check = (): void => {
      if (!reached()) return
      clearTimeout(timer)
      waiters.delete(check)
      resolve()
    }
    waiters.add(check)
    check()
  })
}
