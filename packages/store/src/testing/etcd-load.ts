/** Writers that know what they were told, and a check of the truth afterwards. */
import assert from 'node:assert/strict'
import { decodeText, encodeText } from '@centaurus/base'
import { CommitUnknownError, StoreUnavailableError, type Store } from '../store.ts'
import { recordWatch, type WatchRecord } from './fixtures.ts'

/** What the writers were told so far. */
export interface Load {
  /** Revisions of acknowledged commits, with the writer's key. */
  readonly acknowledged: Map<number, string>
  /** How many commits were refused, or of unknown outcome. */
  readonly failed: { refused: number; unknown: number; unavailable: number }
  /** Resolves when so many more commits were acknowledged. */
  more(commits: number): Promise<void>
  /** Stops the writers. */
  stop(): Promise<void>
}

/**
 * Starts writers, each of which counts up a key of its own and, every other time, one that all share: read, add one, write if nobody
 * else did. So each acknowledged commit is one more in what is stored, unless one was lost or made twice.
 */
export function startLoad(store: Store, writers: number): Load {
  const acknowledged = new Map<number, string>()
  const failed = { refused: 0, unknown: 0, unavailable: 0 }
  const stopping = new AbortController()
  let onAcknowledged = (): void => {}
  const add = async (key: string): Promise<void> => {
    const { entry } = await store.get(key)
    const count = entry === undefined ? 0 : Number(decodeText(entry.value))
    const result = await store.commit({
      compare: [{ key, modRevision: entry?.modRevision ?? 0 }],
      changes: [{ type: 'put', key, value: encodeText(`${count + 1}`) }],
    })
    if (!result.committed) return void failed.refused++
    assert(!acknowledged.has(result.revision), `revision ${result.revision} was acknowledged twice`)
    acknowledged.set(result.revision, key)
    onAcknowledged()
  }
  const write = async (writer: number): Promise<void> => {
    for (let i = 0; !stopping.signal.aborted; i++) {
      try {
        await add(i % 2 === 0 ? `w/${writer}` : 'w/shared')
      } catch (error) {
        if (error instanceof CommitUnknownError) failed.unknown++
        else if (error instanceof StoreUnavailableError) failed.unavailable++
        else throw error
      }
    }
  }
  const running = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
  return {
    acknowledged,
    failed,
    async more(commits) {
      const wanted = acknowledged.size + commits
      const reached = new Promise<void>((resolve) => {
        onAcknowledged = () => {
          if (acknowledged.size >= wanted) resolve()
        }
      })
      await Promise.race([reached, running])
    },
    async stop() {
      stopping.abort()
      await running
    },
  }
}

/** Checks that what is stored is what was acknowledged, no more and no less, and that each watch saw each commit once, in order. */
export async function checkLoad(store: Store, load: Load, watches: readonly WatchRecord[]): Promise<void> {
  assert.equal(load.failed.unknown, 0, 'every outcome was found out')
  const entries = (await store.range('w/')).entries
  const counts = new Map<string, number>()
  for (const key of load.acknowledged.values()) counts.set(key, (counts.get(key) ?? 0) + 1)
  for (const { key, value, version } of entries) {
    assert.equal(Number(decodeText(value)), counts.get(key), `the count of ${key} is that of its acknowledged commits`)
    assert.equal(version, counts.get(key), `${key} was changed by acknowledged commits only`)
  }
  assert.deepEqual(new Set(entries.map(({ key }) => key)), new Set(counts.keys()))
  const revision = await store.currentRevision()
  const wanted = Array.from(load.acknowledged.keys()).toSorted((a, b) => a - b)
  for (const watch of watches) {
    await watch.untilRevision(revision)
    assert.deepEqual(watch.ended, undefined)
    assert.deepEqual(
      watch.calls.map((call) => call.revision),
      wanted,
      'a watch sees each commit once, in order',
    )
  }
}

/** A watch of what the load writes, from its start on. */
export function watchLoad(store: Store, from: number): WatchRecord {
  return recordWatch(store, 'w/', { from })
}
