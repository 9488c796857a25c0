import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { runCrashRounds } from '../testing/crash.ts'

const ROUNDS = 10

describe('The embedded store, killed while it writes', () => {
  for (const isTimed of [false, true]) {
    const numbers = isTimed ? 'timed' : 'counted'
    it(
      `keeps all it acknowledged and nothing half-written, with ${numbers} revisions`,
      { timeout: 120_000 },
      async (test) => {
        const path = mkdtempSync(join(tmpdir(), 'centaurus-crash-'))
        const seed = Number(process.env['CRASH_SEED'] ?? Date.now() % 2 ** 31)
        test.diagnostic(`CRASH_SEED=${seed}`)
        try {
          await runCrashRounds({ target: { engine: 'embedded', path, isTimed }, rounds: ROUNDS, seed })
        } finally {
          rmSync(path, { recursive: true, force: true })
        }
      },
    )
  }
})
