import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildTestPrograms, buildTracedPrograms } from '@centaurus/network/testing'
import { type Guest, startGuest } from './guest.ts'
import { runGuestTests } from './testing/run-guest-tests.ts'
import { openTestKernel, type TestKernel } from './testing/test-kernel.ts'

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
    await runGuestTests(['--test', '--test-isolation=none', ...FRAME_TESTS], guest)
  })

  it('carry traffic: programs, native XDP, and the kernel’s own GENEVE device at the other end', async (t) => {
    if (found.kernel === undefined) return t.skip(found.why)
    await runGuestTests([join(import.meta.dirname, 'testing/guest-network.ts'), await buildTestPrograms()], guest)
  })
})
