import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { OneCore } from './one-core.ts'

const allowed = (): string => /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]!

describe('one core', () => {
  it('is all that the thread has, until it is closed', () => {
    const before = allowed()
    const core = new OneCore()
    assert.match(allowed(), /^\d+$/)
    core.close()
    assert.equal(allowed(), before)
  })

  it('has worked more while the thread works', { timeout: 60_000 }, () => {
    const core = new OneCore()
    const before = core.spentMs()
    while (core.spentMs() === before);
    assert.ok(core.spentMs() > before)
    core.close()
  })
})
