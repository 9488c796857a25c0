import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { quarkFolder } from '../binaries.ts'
import { buildQuark } from '../build-quark.ts'
import { findCargo } from '../cargo.ts'
import { APPLICATIONS, type Application } from './applications.ts'
import { runOnRoot } from './container.ts'

const TIMEOUT_MS = 60_000

describe('applications in quark', () => {
  let quark: string

  before(async () => {
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    quark = await buildQuark({ outDir: quarkFolder(), cargo: await findCargo(), report })
  })

  for (const application of APPLICATIONS) {
    const lacks = application.needs.filter((program) => !isInstalled(program))
    const skip = lacks.length > 0 && `not installed: ${lacks.join(', ')}`
    it(`do what they do on Linux: ${application.name}`, { skip }, () => compare(application, quark))
  }
})

async function compare({ prepare, script }: Application, quark: string): Promise<void> {
  const parent = mkdtempSync(join(tmpdir(), 'application-'))
  try {
    if (prepare !== undefined) execFileSync('sh', ['-c', prepare], { cwd: parent })
    const [native, sandboxed] = [join(parent, 'native'), join(parent, 'quark')]
    for (const folder of [native, sandboxed]) mkdirSync(folder)
    const args = ['sh', '-c', `exec 2>&1\n${script}`]
    const expected = await runOnRoot({ runtime: undefined, args, folder: native, timeoutMs: TIMEOUT_MS })
    assert.equal(expected.status, 0, expected.output)
    const seen = await runOnRoot({ runtime: quark, args, folder: sandboxed, timeoutMs: TIMEOUT_MS })
    assert.equal(seen.output, expected.output)
    assert.equal(seen.status, 0)
  } finally {
    rmSync(parent, { recursive: true, force: true })
  }
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
