import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { StoreFullError, type Store } from '../store.ts'
import { put, recordWatch, show } from '../testing/fixtures.ts'
import { openEmbeddedStore } from './embedded-store.ts'

const DISK_MEGABYTES = 8
const FILLER_BYTES = 2 * 2 ** 20
const VALUE = 'v'.repeat(3_000)

describe('The embedded store on a full disk', () => {
  it('says so, changes nothing, and goes on when there is room again', async () => {
    await withSmallDisk(async (disk) => {
      writeFileSync(join(disk, 'filler'), new Uint8Array(FILLER_BYTES))
      const path = join(disk, 'store')
      const store = await openEmbeddedStore({ path })
      const record = recordWatch(store, '')
      await fillUp(store, { together: 8, keyOf: (i) => `k${i}` })
      const revision = await fillUp(store, { together: 1, keyOf: (i) => `l${i}` })
      assert.equal(await store.currentRevision(), revision)
      const before = (await store.range('')).entries.map(show)

      const stale = await store.commit({ compare: [{ key: 'k0', modRevision: 9 }], changes: [] })
      assert(!stale.committed && stale.found[0]?.key === 'k0')
      await assert.rejects(put(store, 'k0', VALUE.repeat(10)), isFull)
      assert.deepEqual((await store.range('')).entries.map(show), before)

      rmSync(join(disk, 'filler'))
      assert.equal(await put(store, 'k0', 'after'), revision + 1)
      await record.untilRevision(revision + 1)
      assert.deepEqual(
        record.calls.map((call) => call.revision),
        Array.from({ length: revision }, (_, i) => i + 2),
      )
      await store.close()

      const again = await openEmbeddedStore({ path })
      assert.equal(show((await again.get('k0')).entry), `k0=after@${revision + 1}+2#2`)
      assert.equal((await again.range('')).entries.length, before.length)
      await again.close()
    })
  })

  it('gets room by compaction alone', async () => {
    await withSmallDisk(async (disk) => {
      const store = await openEmbeddedStore({ path: join(disk, 'store') })
      const revision = await fillUp(store, { together: 8, keyOf: (i) => `k${i % 10}` })
      await store.compact(revision)
      for (let i = 0; i < 50; i++) assert.equal(await putWithRetry(store, `k${i % 10}`), revision + 1 + i)
      await store.close()
    })
  })
})

/** Commits until the disk is full, several together. Returns the newest revision. */
async function fillUp(
  store: Store,
  options: { readonly together: number; readonly keyOf: (i: number) => string },
): Promise<number> {
  for (let i = 0; ; i += options.together) {
    const commits = Array.from({ length: options.together }, (_, n) => put(store, options.keyOf(i + n), VALUE))
    const results = await Promise.allSettled(commits)
    const refused = results.filter((result) => result.status === 'rejected')
    for (const { reason } of refused) assert(isFull(reason), String(reason))
    if (refused.length > 0) return store.currentRevision()
  }
}

/** Deletions go on in the background after `compact`: a commit may still find the disk full. */
async function putWithRetry(store: Store, key: string): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await put(store, key, VALUE)
    } catch (error) {
      assert(isFull(error) && attempt < 100, String(error))
    }
  }
}

function isFull(error: unknown): boolean {
  return error instanceof StoreFullError && /its disk is full, free some space/.test(error.message)
}

async function withSmallDisk(body: (disk: string) => Promise<void>): Promise<void> {
  const disk = mkdtempSync(join(tmpdir(), 'centaurus-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MEGABYTES}m`, 'tmpfs', disk])
  try {
    await body(disk)
  } finally {
    execFileSync('umount', ['--lazy', disk])
    rmSync(disk, { recursive: true })
  }
}
