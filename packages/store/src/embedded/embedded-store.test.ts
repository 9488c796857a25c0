import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { createManualClock, encodeText } from '@centaurus/base'
import * as fc from 'fast-check'
import { timedRevisions, type RevisionNumbers } from '../mvcc/revision-numbers.ts'
import type { Store } from '../store.ts'
import { describeStoreContract } from '../testing/contract.ts'
import { runCommands, storeCommands } from '../testing/equivalence.ts'
import { put, recordWatch, remove, show } from '../testing/fixtures.ts'
import { closeGaps, sparseRevisions } from '../testing/sparse-revisions.ts'
import { openDatabase } from './database.ts'
import { openEmbeddedStore } from './embedded-store.ts'
import { StoreFileError, StoreLockedError } from './errors.ts'
import { META_SLOTS, RECORD_KINDS, recordKey } from './record.ts'

const directories: string[] = []

after(() => directories.forEach((path) => rmSync(path, { recursive: true, force: true })))

function newPath(): string {
  const path = mkdtempSync(join(tmpdir(), 'centaurus-store-'))
  directories.push(path)
  return path
}

describeStoreContract('The embedded store', () => openEmbeddedStore({ path: newPath() }), { randomRuns: 15 })

describeStoreContract(
  'The embedded store, with gaps between its revisions,',
  async () => closeGaps(await openEmbeddedStore({ path: newPath(), revisions: sparseRevisions })),
  { randomRuns: 15 },
)

const PAGE_BYTES = 4096
/** LMDB's two headers. */
const HEADER_BYTES = 2 * PAGE_BYTES

describe('The embedded store, opened again', () => {
  it('has every key, with its revisions, and goes on numbering', async () => {
    const path = newPath()
    const first = await openEmbeddedStore({ path })
    await put(first, 'a', '1')
    await put(first, 'b', '1')
    await put(first, 'a', '2')
    await remove(first, 'b')
    await first.close()
    await using(path, async (store) => {
      assert.equal(await store.currentRevision(), 5)
      assert.deepEqual((await store.range('')).entries.map(show), ['a=2@4+2#2'])
      assert.deepEqual((await store.range('', { atRevision: 3 })).entries.map(show), ['a=1@2+2#1', 'b=1@3+3#1'])
      assert.equal(await put(store, 'b', '2'), 6)
      assert.equal(show((await store.get('b')).entry), 'b=2@6+6#1')
    })
  })

  it('delivers the past to a watch, back to the compacted revision', async () => {
    const path = newPath()
    const first = await openEmbeddedStore({ path })
    for (let i = 0; i < 10; i++) await put(first, `k${i % 2}`, `${i}`) // revisions 2 to 11
    await first.compact(5)
    await first.close()
    await using(path, async (store) => {
      const record = recordWatch(store, '', { from: 5 })
      await put(store, 'k0', 'new')
      await record.untilRevision(12)
      assert.deepEqual(
        record.calls.map(({ revision }) => revision),
        [5, 6, 7, 8, 9, 10, 11, 12],
      )
      assert.deepEqual(record.calls[1]!.events, ['put k0=4@6+2#3 (k0=2@4+2#2)'])
      await assert.rejects(store.get('k0', { atRevision: 4 }), /has been compacted/)
    })
  })

  it('equals the model after random commands', async () => {
    const property = fc.asyncProperty(storeCommands, async (commands) => {
      const path = newPath()
      const first = await openEmbeddedStore({ path })
      const model = await runCommands(first, commands)
      await first.close()
      await using(path, async (store) => {
        assert.equal(await store.currentRevision(), model.revision)
        for (let at = Math.max(1, model.compacted); at <= model.revision; at++) {
          assert.deepEqual((await store.range('', { atRevision: at })).entries.map(show), model.range('', at))
        }
        const record = recordWatch(store, '', { from: Math.max(1, model.compacted) })
        await record.untilRevision(model.revision)
        const wanted = model.history().filter(({ revision }) => revision > model.compacted)
        assert.deepEqual(
          record.calls.filter(({ revision }) => revision > model.compacted),
          wanted,
        )
      })
    })
    await fc.assert(property, { numRuns: 10 })
  })

  it('finishes a compaction that was cut short', async () => {
    const path = newPath()
    const first = await openEmbeddedStore({ path })
    for (let i = 0; i < 500; i++) await put(first, 'a', `${i}`)
    void first.compact(501).catch(() => {}) // close comes first, and leaves records behind
    await first.close()
    await using(path, async (store) => {
      assert.deepEqual((await store.range('')).entries.map(show), ['a=499@501+2#500'])
      if ((await store.currentRevision()) > 0) await store.compact(501).catch(() => {})
    })
    const database = openDatabase(join(path, 'store.mdb'))
    const commits = database.getKeysCount({ start: recordKey({ kind: RECORD_KINDS.change, revision: 0, slot: 0 }) })
    await database.close()
    assert(commits <= 1_000)
  })

  it('keeps its file small when a few keys are overwritten for long', async () => {
    const path = newPath()
    await using(path, async (store) => {
      const value = new Uint8Array(3_000).fill(7)
      const sizes: number[] = []
      for (let round = 0; round < 12; round++) {
        const commits = Array.from({ length: 500 }, (_, i) =>
          store.commit({ changes: [{ type: 'put', key: `k${i % 20}`, value }] }),
        )
        await Promise.all(commits)
        await store.compact(await store.currentRevision())
        sizes.push(statSync(join(path, 'store.mdb')).size)
      }
      assert(sizes.at(-1)! <= sizes[3]! * 1.5, `the file grew: ${sizes.join(', ')} bytes`)
    })
  })
})

describe('The embedded store, asked to open what it must not', () => {
  it('names the process that has it open', async () => {
    const path = newPath()
    await using(path, async () => {
      const error = await openEmbeddedStore({ path }).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      assert(error instanceof StoreLockedError)
      assert.equal(error.pid, process.pid)
      assert.match(error.message, new RegExp(`pid ${process.pid}.*store\\.pid.*stop it first`))
    })
  })

  it('takes over from a process that is gone, or whose pid is another process now', async () => {
    const path = newPath()
    for (const owner of ['4194999 123\n', `${process.pid} 1\n`, '', 'garbage']) {
      writeFileSync(join(path, 'store.pid'), owner)
      await using(path, async (store) => void (await put(store, 'a', '1')))
      assert(!existsSync(join(path, 'store.pid')))
    }
  })

  it('takes over from a process that was killed and waits to be reaped', async () => {
    // The shell becomes a program that never asks after the child it had.
    const parent = spawn('sh', ['-c', 'sleep 0.01 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [pid] = (await once(parent.stdout.setEncoding('utf8'), 'data')) as [string]
      const stat = (): string[] => readFileSync(`/proc/${pid.trim()}/stat`, 'utf8').split(' ')
      while (stat()[2] !== 'Z') await new Promise((resolve) => setImmediate(resolve))
      const path = newPath()
      writeFileSync(join(path, 'store.pid'), `${pid.trim()} ${stat()[21]}\n`)
      await using(path, async (store) => void (await put(store, 'a', '1')))
    } finally {
      parent.kill('SIGKILL')
    }
  })

  it('says which format a file has that it does not know', async () => {
    const path = newPath()
    await using(path, async (store) => void (await put(store, 'a', '1')))
    const database = openDatabase(join(path, 'store.mdb'))
    const key = recordKey({ kind: RECORD_KINDS.meta, revision: 0, slot: META_SLOTS.format })
    database.transactionSync(() => database.putSync(key, Buffer.from('centaurus-store 99')))
    await database.close()
    await assert.rejects(openEmbeddedStore({ path }), (error: unknown) => {
      assert(error instanceof StoreFileError)
      assert.match(error.message, /store\.mdb: its format is "centaurus-store 99".*run the version/)
      return true
    })
    assert(!existsSync(join(path, 'store.pid')), 'the lock is released')
  })

  it('refuses a file that is not a store, or was cut short, and leaves it as it is', async () => {
    const path = newPath()
    const file = join(path, 'store.mdb')
    await using(path, async (store) => {
      for (let i = 0; i < 50; i++) await put(store, `k${i}`, 'v'.repeat(3_000))
    })
    const whole = readFileSync(file)
    for (const bytes of [whole.length - 65_536, Math.floor(whole.length / 2), 8192, 5000, 100]) {
      writeFileSync(file, whole)
      truncateSync(file, bytes)
      await assert.rejects(openEmbeddedStore({ path }), (error: unknown) => {
        assert(error instanceof StoreFileError, String(error))
        assert.match(error.message, /Cannot read store file .*store\.mdb: .*; restore the directory from a backup/)
        return true
      })
      assert.equal(statSync(file).size, bytes)
    }
    writeFileSync(file, 'this is not a database, but it is long enough to hold a header of one'.repeat(200))
    await assert.rejects(openEmbeddedStore({ path }), /it is not a store; restore/)
    writeFileSync(file, whole)
    await using(path, async (store) => assert.equal((await store.range('')).count, 50))
  })

  it('refuses a file whose pages were changed, never dies of it, and never takes it for empty', async () => {
    const path = newPath()
    const file = join(path, 'store.mdb')
    await using(path, async (store) => {
      for (let i = 0; i < 600; i++) await put(store, `k${i}`, 'v'.repeat(200 + (i % 50) * 90))
    })
    const whole = readFileSync(file)
    // Within the head of each page, and where its first nodes are. LMDB finds some of them wrong, takes others for empty pages, and dies of one.
    const changes = [18, 20, 30].flatMap((offset) => [2, 0x7f7f].map((value) => ({ offset, value })))
    for (const { offset, value } of changes) {
      const changed = Buffer.from(whole)
      for (let page = HEADER_BYTES; page < whole.length; page += PAGE_BYTES) changed.writeUInt16LE(value, page + offset)
      writeFileSync(file, changed)
      await assert.rejects(openEmbeddedStore({ path, verify: true }), (error: unknown) => {
        assert(error instanceof StoreFileError, `${offset} ${value} ${String(error)}`)
        assert.match(error.message, /Cannot read store file .*store\.mdb: .*; restore the directory from a backup/)
        return true
      })
    }
    writeFileSync(file, whole)
    const store = await openEmbeddedStore({ path, verify: true })
    assert.equal((await store.range('')).count, 600)
    await store.close()
  })

  it('notices a value that changed on disk', async () => {
    const path = newPath()
    const file = join(path, 'store.mdb')
    const marker = 'find-this-value-in-the-file'
    await using(path, async (store) => {
      await store.commit({ changes: [{ type: 'put', key: 'a', value: encodeText(marker.repeat(200)) }] })
      await put(store, 'b', '1')
    })
    const bytes = readFileSync(file)
    bytes[bytes.indexOf(marker) + 3]! ^= 1
    writeFileSync(file, bytes)
    await using(path, async (store) => {
      await assert.rejects(store.get('a'), /store\.mdb: the value of a at revision 2 is damaged/)
      const stale = store.commit({ compare: [{ key: 'a', modRevision: 0 }], changes: [] })
      await assert.rejects(stale, StoreFileError)
      assert.equal(show((await store.get('b')).entry), 'b=1@3+3#1')
      assert.equal(await put(store, 'a', 'repaired'), 4)
    })
  })
})

describe('The embedded store, with timed revisions', () => {
  /** A process of its own: its monotonic clock begins at 0 again. */
  const start = (ranMs: number): RevisionNumbers => {
    const clock = createManualClock()
    const numbers = timedRevisions(clock)
    void clock.advance(ranMs)
    return numbers
  }

  it('goes on from the newest commit, whatever the clock says', async () => {
    const path = newPath()
    const revisions: number[] = []
    for (const ranMs of [60_000, 0, 5]) {
      await using(
        path,
        async (store) => {
          for (const value of ['1', '2']) revisions.push(await put(store, 'a', value))
          assert.equal(await store.currentRevision(), revisions.at(-1))
        },
        start(ranMs),
      )
    }
    assert.deepEqual(revisions, [600_001, 600_002, 600_003, 600_004, 600_054, 600_055])
    await using(path, async (store) => {
      const record = recordWatch(store, '', { from: 2 })
      await record.untilRevision(600_055)
      assert.deepEqual(
        record.calls.map(({ revision }) => revision),
        revisions,
      )
    })
  })

  it('notices a commit that is missing', async () => {
    const path = newPath()
    const revisions: number[] = []
    await using(
      path,
      async (store) => {
        for (let i = 0; i < 4; i++) revisions.push(await put(store, `k${i}`, '1'))
        await store.compact(revisions[1]!)
      },
      sparseRevisions,
    )
    const missing = revisions[2]!
    const database = openDatabase(join(path, 'store.mdb'))
    database.transactionSync(() =>
      database.removeSync(recordKey({ kind: RECORD_KINDS.change, revision: missing, slot: 0 })),
    )
    await database.close()
    await assert.rejects(openEmbeddedStore({ path }), new RegExp(`revision ${missing} is missing`))
  })

  it('goes on with the file of a version that counted', async () => {
    const path = newPath()
    await using(path, async (store) => void (await put(store, 'a', '1')))
    const stamp = recordKey({ kind: RECORD_KINDS.meta, revision: 0, slot: META_SLOTS.format })
    const database = openDatabase(join(path, 'store.mdb'))
    database.transactionSync(() => database.putSync(stamp, Buffer.from('centaurus-store 1')))
    await database.close()
    await using(path, async (store) => void (await put(store, 'a', '2')), start(10))
    await using(path, async (store) => assert.equal(show((await store.get('a')).entry), 'a=2@102+2#2'))
    const after = openDatabase(join(path, 'store.mdb'))
    assert.equal(after.get(stamp)?.toString(), 'centaurus-store 2')
    await after.close()
  })
})

async function using(path: string, body: (store: Store) => Promise<void>, revisions?: RevisionNumbers): Promise<void> {
  const store = await openEmbeddedStore({ path, revisions })
  try {
    await body(store)
  } finally {
    await store.close()
  }
}
