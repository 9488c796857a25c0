import assert from 'node:assert/strict'
import { type Guest, GUEST_NODE_FLAGS } from '../guest.ts'

/** The machine is emulated: what takes a second here takes up to ten in it, and more when this machine is busy. */
const TIMEOUT_MS = 600_000

/** Runs tests inside; none of them may fail, and none may be left out. What they wrote. */
export async function runGuestTests(args: readonly string[], guest: Guest): Promise<string> {
  const command = [
    process.execPath,
    ...GUEST_NODE_FLAGS,
    '--disable-warning=ExperimentalWarning',
    '--test-reporter=spec',
    ...args,
  ]
  const { code, stdout, stderr } = await guest.run(command, { timeoutMs: TIMEOUT_MS })
  assert.equal(code, 0, `${stdout}\n${stderr}`)
  assert.match(stdout, /pass [1-9]\d*\n.*fail 0\n.*cancelled 0\n.*skipped 0/)
  return stdout
}
