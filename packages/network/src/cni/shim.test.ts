import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { installIdlePlugins, installPlugins } from './shim.ts'

describe("the plugins in a container runtime's folder", () => {
  const dir = mkdtempSync(join(tmpdir(), 'centaurus-plugins-'))
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8')
  after(() => rmSync(dir, { recursive: true }))

  it('are replaced by newer ones, and leave a loopback of others alone', async () => {
    await installPlugins(dir, { socket: '/run/old.sock', stateDir: dir })
    await installPlugins(dir, { socket: '/run/new.sock', stateDir: dir })
    assert.match(read('centaurus'), /'\/run\/new\.sock'/)
    assert.match(read('loopback'), /centaurus/)
    writeFileSync(join(dir, 'loopback'), 'of a package')
    await installPlugins(dir, { socket: '/run/new.sock', stateDir: dir })
    await installIdlePlugins(dir)
    assert.equal(read('loopback'), 'of a package')
    assert.match(read('centaurus'), /is being stopped/)
  })
})
