import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildTestPrograms } from '@centaurus/network/testing'
import { type Guest, startGuest } from './guest.ts'
import { runGuestTests } from './testing/run-guest-tests.ts'
import { openTestKernel, type TestKernel } from './testing/test-kernel.ts'

describe('classes and limits on Linux 6.12', () => {
  let found: TestKernel
  let guest: Guest
  let programs: string
  before(async () => {
    found = await openTestKernel()
    // compiled here: the guest has only this machine's files as they were
    programs = await buildTestPrograms()
    // one processor: where another one changes code that this one runs (the kernel's static keys), the emulator may run half of both
    if (found.kernel !== undefined) guest = await startGuest({ kernel: found.kernel })
  })
  after(() => guest?.close())

  it('hold for TCP and UDP, by departure times in fq', async (t) => {
    if (found.kernel === undefined) return t.skip(found.why)
    const output = await runGuestTests([join(import.meta.dirname, 'testing/guest-shaping.ts'), programs], guest)
    for (const line of output.split('\n')) if (line.startsWith('# ')) t.diagnostic(line.slice(2))
  })
})
