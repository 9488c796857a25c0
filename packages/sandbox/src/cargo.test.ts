import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { buildQuark } from './build-quark.ts'
import { findCargo, isAtLeast, requiredRust, runCargo } from './cargo.ts'

const dir = mkdtempSync(join(tmpdir(), 'centaurus-cargo-'))
after(() => rmSync(dir, { recursive: true, force: true }))

/** A program that says so of itself, and nothing else. */
function writeProgram(folder: string, script: string): string {
  const path = join(mkdtempSync(join(dir, folder)), 'cargo')
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return path
}

/** False also for one that has ended and waits to be reaped. */
function isRunning(pid: string): boolean {
  try {
    return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

describe('cargo', () => {
  it('compares versions by their numbers', () => {
    assert.ok(isAtLeast('1.96.0+dfsg1-1~deb12u2', '1.95'))
    assert.ok(isAtLeast('1.95.0', '1.95'))
    assert.ok(isAtLeast('2.0', '1.95'))
    assert.ok(!isAtLeast('1.9.9', '1.95'))
    assert.ok(!isAtLeast('0.66.0', '1.0'))
  })

  it('passes over a cargo that is too old', async () => {
    const old = writeProgram('old', 'echo cargo 1.63.0')
    const young = writeProgram('new', 'echo cargo 1.999.0')
    const [oldDir, newDir] = [join(old, '..'), join(young, '..')]
    const found = await findCargo({ PATH: `${oldDir}:${newDir}`, HOME: dir })
    assert.deepEqual(found, { path: young, version: '1.999.0' })
  })

  it('says which version is needed when the only cargo does not answer', async () => {
    const broken = writeProgram('broken', 'exit 1')
    const found = await findCargo({ PATH: join(broken, '..'), HOME: dir, CARGO_HOME: dir })
    if (found.path !== undefined) return // the system's own
    assert.match(found.why, new RegExp(`no cargo that answers; Rust ${requiredRust()} or newer`))
  })

  it('quotes a cargo that says why it can not answer', async () => {
    const lost = writeProgram('lost', 'echo "error: no default is configured" >&2; exit 1')
    const found = await findCargo({ PATH: join(lost, '..'), HOME: dir, CARGO_HOME: dir })
    if (found.path !== undefined) return // the system's own
    assert.match(found.why, /no cargo that answers \(error: no default is configured\)/)
  })

  it('passes over a cargo that never answers', async () => {
    const hanging = writeProgram('hanging', 'exec /bin/sleep 1000')
    const env = { PATH: join(hanging, '..'), HOME: dir, CARGO_HOME: dir }
    const found = await findCargo(env, { answerTimeoutMs: 200 })
    if (found.path !== undefined) return // the system's own
    assert.match(found.why, /no cargo that answers within 0\.2 s/)
  })

  it('ends with its compilers when this process is told to', async () => {
    const cargo = writeProgram('long', 'sleep 1000 & echo compiler $!; wait')
    const build = `import { runCargo } from '${join(import.meta.dirname, 'cargo.ts')}'
      await runCargo(['build'], { cargo: '${cargo}', report: console.log }).catch((error) => console.log(error.message))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', build], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let compiler: string | undefined
    let said = ''
    for await (const chunk of child.stdout.setEncoding('utf8')) {
      said += chunk
      compiler ??= /compiler (\d+)/.exec(said)?.[1]
      if (compiler !== undefined) child.kill('SIGTERM')
    }
    assert.match(said, /cargo build was stopped by SIGTERM/)
    assert.ok(!isRunning(compiler!))
  })

  it('quotes the end of what cargo said when it fails', async () => {
    const cargo = writeProgram('failing', 'for i in $(seq 100); do echo line $i; done; echo the reason >&2; exit 101')
    await assert.rejects(runCargo(['build'], { cargo, report: () => {} }), (error: Error) => {
      assert.match(error.message, /^cargo build failed:/)
      assert.match(error.message, /the reason/)
      assert.doesNotMatch(error.message, /line 1\n/)
      return true
    })
  })

  it('asks for the network when crates can not be fetched', async () => {
    const cargo = writeProgram('offline', 'echo "  Could not resolve host: index.crates.io" >&2; exit 101')
    await assert.rejects(runCargo(['build'], { cargo, report: () => {} }), /Is the network up\?/)
  })

  it('says what to install when there is no cargo', async () => {
    const cargo = { path: undefined, why: 'cargo is not installed' }
    await assert.rejects(
      buildQuark({ outDir: dir, cargo, report: () => {} }),
      /Cannot build quark: cargo is not installed/,
    )
  })
})
