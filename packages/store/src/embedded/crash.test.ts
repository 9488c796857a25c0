import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { runCrashRounds } from '../testing/crash.ts'

const ROUNDS = 20

describe('The embedded store, killed while it writes', () => {
  it('keeps all it acknowledged and nothing half-written', { timeout: 120_000 }, async (test) => {
    const path = mkdtempSync(join(tmpdir(), 'centaurus-crash-'))
    const seed = Number(process.env['CRASH_SEED'] ?? Date.now() % 2 ** 31)
    test.diagnostic(`CRASH_SEED=${seed}`)
    try {
      await runCrashRounds({ target: { engine: 'embedded', path }, rounds: ROUNDS, seed })
    } finally {
      rmSync(path, { recursive: true, force: true })
    }
  })
})
