import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createSeededRandom } from '@centaurus/base'
import { openEmbeddedStore } from '@centaurus/store'
import { checkStoredClaims } from './testing/check-claims.ts'
import { CRASH_CAPACITY } from './testing/crash-world.ts'

const ROUNDS = 3
/** Answered batches after which the process is killed, at most; it is somewhere in the next ones then. */
const BATCHES_MAX = 20

/** What the process had answered, whole lines only, when it was killed. */
async function claimAndKill(path: string, run: string, afterBatches: number): Promise<[string, string | null][][]> {
  const script = fileURLToPath(new URL('./testing/crash-claimer.ts', import.meta.url))
  const child = spawn(process.execPath, [script, path, run, String(afterBatches)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  const exited = new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_code, signal) => resolve(signal)))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (output.split('\n').length > afterBatches + 1) child.kill('SIGKILL')
  })
  assert.equal(await exited, 'SIGKILL', 'the process ended by itself')
  const lines = output.split('\n').slice(1, -1) // `ready` first; the last one may be cut
  return lines.map((line) => JSON.parse(line) as [string, string | null][])
}

describe('claims of an API server that is killed', () => {
  it('are as it answered: none lost, none come back, no node overcommitted', { timeout: 60_000 }, async () => {
    const path = mkdtempSync(join(tmpdir(), 'claims-crash-'))
    const random = createSeededRandom(11)
    const answered = new Map<string, string | null>()
    for (let round = 0; round < ROUNDS; round++) {
      const batches = await claimAndKill(path, `r${round}`, 1 + random.integer(BATCHES_MAX))
      assert.ok(batches.length > 0)
      for (const [uid, node] of batches.flat()) answered.set(uid, node)
      const store = await openEmbeddedStore({ path })
      const stored = new Map((await checkStoredClaims(store, CRASH_CAPACITY)).map(({ uid, node }) => [uid, node]))
      await store.close()
      // The batches under way may have happened without an answer: releases of what was answered may show, claims of the same.
      const missing = [...answered].filter(([uid, node]) => node !== null && stored.get(uid) !== node)
      const underWay = missing.filter(([uid]) => uid.startsWith(`r${round}-`))
      assert.equal(missing.length, underWay.length, 'claims of earlier rounds stay')
      assert.ok(underWay.length <= 4 * 80, `${underWay.length} claims are missing`)
      for (const [uid] of underWay) answered.set(uid, null)
      const back = [...answered].filter(([uid, node]) => node === null && stored.has(uid))
      assert.deepEqual(back, [], 'what was released stays so')
    }
    rmSync(path, { recursive: true })
  })
})
