import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { before, describe, it, type TestContext } from 'node:test'
import { buildTestPrograms } from '@centaurus/network/testing'
import { commandHere, type Kernel, MissingError, prepareKernel, runInVm, type VmOptions } from './index.ts'

/** The machine is emulated: what takes a second here takes up to ten in it, and more when this machine is busy. */
const TIMEOUT_MS = 280_000

describe('a virtual machine with another kernel', () => {
  let kernel: Kernel | undefined
  let missing = ''
  before(async () => {
    try {
      kernel = await prepareKernel('6.12', () => undefined)
    } catch (error) {
      if (!(error instanceof MissingError)) throw error
      missing = error.message
    }
  })

  /** Skips only when the kernel or a program can't be had. */
  async function run(
    t: TestContext,
    args: readonly string[],
    options: Partial<VmOptions> = {},
  ): Promise<Outcome | undefined> {
    if (kernel === undefined) {
      t.skip(missing)
      return undefined
    }
    try {
      return await runHere(args, { kernel, ...options })
    } catch (error) {
      if (!(error instanceof MissingError)) throw error
      t.skip(error.message)
      return undefined
    }
  }

  it('runs a command with this machine’s files, and hands on its output and exit code', async (t) => {
    const script = `uname -r; cat "$1"; echo gone > "$1"; echo "it's wrong" >&2; sleep 1000 & exit 7`
    const outcome = await run(t, ['sh', '-c', script, 'sh', import.meta.filename])
    if (outcome === undefined) return
    const { code, output, complaints } = outcome
    assert.equal(code, 7)
    assert.equal(output.split('\n')[0], kernel!.release)
    assert.match(output, /a virtual machine with another kernel/)
    assert.equal(complaints, "it's wrong\n")
    assert.deepEqual(leftBehind(), [])
  })

  it('carries pod networks: programs, native XDP, and the kernel’s own GENEVE device at the other end', async (t) => {
    const programs = await buildTestPrograms()
    const guest = join(import.meta.dirname, 'testing/guest-network.ts')
    const outcome = await run(t, [process.execPath, '--test-reporter=spec', guest, programs], { nics: 3 })
    if (outcome === undefined) return
    assert.equal(outcome.code, 0, `${outcome.output}\n${outcome.complaints}`)
    assert.match(outcome.output, /pass 6\n.*fail 0\n.*cancelled 0\n.*skipped 0/)
  })
})

interface Outcome {
  readonly code: number
  readonly output: string
  readonly complaints: string
}

async function runHere(
  args: readonly string[],
  options: Partial<VmOptions> & { readonly kernel: Kernel },
): Promise<Outcome> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const texts = Promise.all([text(stdout), text(stderr)])
  try {
    const code = await runInVm({ timeoutMs: TIMEOUT_MS, ...options, command: commandHere(args), stdout, stderr })
    stdout.end()
    stderr.end()
    const [output, complaints] = await texts
    return { code, output, complaints }
  } finally {
    stdout.end()
    stderr.end()
  }
}

function leftBehind(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('centaurus-vm-'))
}
