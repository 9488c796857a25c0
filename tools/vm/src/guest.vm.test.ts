import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { type Guest, startGuest } from './guest.ts'
import { openTestKernel, type TestKernel } from './testing/test-kernel.ts'

describe('a guest with another kernel', () => {
  let found: TestKernel
  let guest: Guest
  before(async () => {
    found = await openTestKernel()
    if (found.kernel !== undefined) guest = await startGuest({ kernel: found.kernel })
  })
  after(() => guest?.close())

  it('runs commands with this machine’s files, and hands on their output and exit codes', async (t) => {
    if (found.kernel === undefined) return t.skip(found.why)
    const script = `uname -r; cat "$1"; echo gone > "$1"; echo "it's wrong" >&2; sleep 1000 & exit 7`
    const { code, stdout, stderr } = await guest.run(['sh', '-c', script, 'sh', import.meta.filename])
    assert.equal(code, 7)
    assert.equal(stdout.split('\n')[0], found.kernel.release)
    assert.match(stdout, /a guest with another kernel/)
    assert.equal(stderr, "it's wrong\n")
    const next = await guest.run(['sh', '-c', 'cat "$1"; pgrep sleep', 'sh', import.meta.filename])
    assert.equal(next.stdout, 'gone\n', 'a file stays changed in the guest, a process does not stay')
  })

  it('ends what takes too long, says what it wrote, and goes on', async (t) => {
    if (found.kernel === undefined) return t.skip(found.why)
    const args = ['sh', '-c', 'echo so far; sleep 1000']
    await assert.rejects(guest.run(args, { timeoutMs: 1000 }), /did not end within 1 s[^]*so far/)
    assert.equal((await guest.run(['sh', '-c', 'echo $MORE'], { env: { MORE: 'ok' } })).stdout, 'ok\n')
  })

  it('knows the time, has random numbers of its own, and leaves nothing behind', async (t) => {
    if (found.kernel === undefined) return t.skip(found.why)
    const random = ['sh', '-c', 'head -c 16 /dev/urandom | od -An -tx1; date +%s']
    const here = (await guest.run(random)).stdout.split('\n')
    const before = leftBehind().length
    await using other = await startGuest({ kernel: found.kernel })
    const there = (await other.run(random)).stdout.split('\n')
    assert.notEqual(here[0], there[0])
    const late = Date.now() / 1000 - Number(there[1])
    assert.ok(late > -2 && late < 60, `its clock is ${late} s late`)
    await other.close()
    assert.equal(leftBehind().length, before)
  })

  it('fails with its console when its kernel does', async (t) => {
    if (found.kernel === undefined) return t.skip(found.why)
    await using other = await startGuest({ kernel: found.kernel })
    await assert.rejects(other.run(['sh', '-c', 'echo c > /proc/sysrq-trigger']), /ended by itself[^]*sysrq/)
  })
})

function leftBehind(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('centaurus-vm-'))
}
