import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
    const found = await findCargo({ PATH: join(broken, '..'), HOME: dir })
    if (found.path !== undefined) return // the system's own
    assert.match(found.why, new RegExp(`no cargo that answers; Rust ${requiredRust()} or newer`))
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
