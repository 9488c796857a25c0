import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runCommand } from './run.ts'

describe('running a command', () => {
  it('returns what it printed, and rejects with what it said when it fails', async () => {
    assert.equal((await runCommand(['sh', '-c', 'echo out'], 5_000)).output, 'out\n')
    await assert.rejects(runCommand(['sh', '-c', 'echo why >&2; exit 3'], 5_000), /ended with status 3: why/)
  })

  it('does not wait for what a late command left running with its output', async () => {
    const started = performance.now()
    await assert.rejects(runCommand(['sh', '-c', 'setsid sleep 4 & sleep 30'], 300), /not done after 300 ms/)
    assert(performance.now() - started < 3_000)
  })
})
