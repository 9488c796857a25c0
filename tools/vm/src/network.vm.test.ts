import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildTestPrograms, buildTracedPrograms } from '@centaurus/network/testing'
import { type Guest, GUEST_NODE_FLAGS, startGuest } from './guest.ts'
import { openTestKernel, type TestKernel } from './testing/test-kernel.ts'

/** The machine is emulated: what takes a second here takes up to ten in it, and more when this machine is busy. */
const TIMEOUT_MS = 600_000
const DATAPLANE = join(import.meta.dirname, '../../../packages/network/src/dataplane')
/** They load all programs only once for many tests: the verifier takes seconds in the guest. */
const FRAME_TESTS = ['from-pod', 'from-uplink', 'conntrack', 'egress'].map((name) =>
  join(DATAPLANE, `${name}.root.test.ts`),
)

describe('pod networks on Linux 6.12', () => {
  let found: TestKernel
  let guest: Guest
  before(async () => {
    found = await openTestKernel()
    // compiled here: the guest has only this machine's files as they were
    await Promise.all([buildTestPrograms(), buildTracedPrograms()])
    if (found.kernel !== undefined) guest = await startGuest({ kernel: found.kernel, nics: 3 })
  })
  after(() => guest?.close())

  it('treat every frame as they do here', async (t) => {
    if (found.kernel === undefined) return t.skip(found.why)
    await runTests(['--test', '--test-isolation=none', ...FRAME_TESTS], guest)
  })

  it('carry traffic: programs, native XDP, and the kernel’s own GENEVE device at the other end', async (t) => {
    if (found.kernel === undefined) return t.skip(found.why)
    await runTests([join(import.meta.dirname, 'testing/guest-network.ts'), await buildTestPrograms()], guest)
  })
})

/** None of them may fail, and none may be left out. */
async function runTests(args: readonly string[], guest: Guest): Promise<void> {
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
}
