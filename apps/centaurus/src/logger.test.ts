import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { describe, it } from 'node:test'

const LOGGER = new URL('logger.ts', import.meta.url).href
const SCRIPT = `
const { createLogger } = await import('${LOGGER}')
for (let each = 0; each < 3; each++) createLogger().info('Said', { each, error: new Error('why') })
process.stderr.write('went on')`
const TIMEOUT_MS = 60_000

function log(stdout: 'pipe' | number): { readonly out: string; readonly errors: string } {
  const args = ['--input-type=module', '-e', SCRIPT]
  const ended = spawnSync(process.execPath, args, { stdio: ['ignore', stdout, 'pipe'], timeout: TIMEOUT_MS })
  return { out: String(ended.stdout), errors: String(ended.stderr) }
}

describe('the log', () => {
  it('has a line of JSON for each message', () => {
    const lines = log('pipe').out.trim().split('\n')
    const [first] = lines.map((line) => JSON.parse(line) as { msg: string; each: number; error: { message: string } })
    assert.equal(lines.length, 3)
    assert.deepEqual([first!.msg, first!.each, first!.error.message], ['Said', 0, 'why'])
  })

  it('does not stop who writes it when the disk is full', () => {
    const full = openSync('/dev/full', 'w')
    assert.equal(log(full).errors, 'went on')
    closeSync(full)
  })
})
