import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { findQuark, keepVersion } from './binaries.ts'

const dir = mkdtempSync(join(tmpdir(), 'centaurus-binaries-'))
after(() => rmSync(dir, { recursive: true, force: true }))

const DAY_SECONDS = 24 * 60 * 60
const NOW_SECONDS = 2_000_000_000

/** A cache with versions that were used so many days ago. */
function makeCache(...daysAgo: number[]): string {
  const cache = mkdtempSync(join(dir, 'cache-'))
  for (const [i, days] of daysAgo.entries()) {
    const folder = join(cache, String(i).repeat(16))
    mkdirSync(folder)
    writeFileSync(join(folder, 'quark'), '')
    utimesSync(folder, NOW_SECONDS - days * DAY_SECONDS, NOW_SECONDS - days * DAY_SECONDS)
  }
  mkdirSync(join(cache, 'target'))
  return cache
}

describe('binaries of quark', () => {
  it('finds the one that was used last', () => {
    const cache = makeCache(3, 1, 2)
    assert.equal(findQuark(cache), join(cache, '1'.repeat(16), 'quark'))
  })

  it('finds none where none was built', () => {
    assert.equal(findQuark(makeCache()), undefined)
    assert.equal(findQuark(join(dir, 'nowhere')), undefined)
  })

  it('removes what was not used for a day, but for the last three', () => {
    const cache = makeCache(9, 8, 7, 6, 0.5)
    keepVersion(cache, { name: '0'.repeat(16), nowMs: NOW_SECONDS * 1_000 })
    assert.deepEqual(readdirSync(cache).toSorted(), ['0', '3', '4'].map((i) => i.repeat(16)).concat('target'))
  })

  it('keeps a binary that runs', () => {
    const cache = makeCache(9, 8, 7, 6)
    const binary = join(cache, '0'.repeat(16), 'quark')
    copyFileSync('/bin/sleep', binary)
    utimesSync(join(binary, '..'), NOW_SECONDS - 9 * DAY_SECONDS, NOW_SECONDS - 9 * DAY_SECONDS)
    const child = spawn(binary, ['60'])
    try {
      keepVersion(cache, { name: '3'.repeat(16), nowMs: NOW_SECONDS * 1_000 })
      assert.ok(readdirSync(cache).includes('0'.repeat(16)))
    } finally {
      child.kill('SIGKILL')
    }
  })
})
