import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { keepVersion } from './object-cache.ts'

const NOW_MS = Date.parse('2026-01-10T00:00:00Z')
const HOUR_MS = 3_600_000
const version = (digit: number): string => String(digit).repeat(16)

/** What is left of folders that were used so many hours ago, once the first is used now. */
function leftOf(hoursAgo: Readonly<Record<string, number>>): string[] {
  const cache = mkdtempSync(join(tmpdir(), 'centaurus-objects-'))
  try {
    for (const [name, hours] of Object.entries(hoursAgo)) {
      mkdirSync(join(cache, name))
      writeFileSync(join(cache, name, 'from_pod.o'), '')
      utimesSync(join(cache, name), (NOW_MS - hours * HOUR_MS) / 1_000, (NOW_MS - hours * HOUR_MS) / 1_000)
    }
    keepVersion(cache, { name: Object.keys(hoursAgo)[0]!, nowMs: NOW_MS })
    return readdirSync(cache).sort()
  } finally {
    rmSync(cache, { recursive: true, force: true })
  }
}

describe('versions of compiled programs', () => {
  it('are three when they are old, the one that is used among them', () => {
    const hoursAgo = Object.fromEntries([90, 50, 80, 60, 70].map((hours, i) => [version(i + 1), hours]))
    assert.deepEqual(leftOf(hoursAgo), [version(1), version(2), version(4)])
  })

  it('are more while somebody may use them', () => {
    const hoursAgo = Object.fromEntries([1, 2, 23, 24, 25].map((hours, i) => [version(i + 1), hours]))
    assert.deepEqual(leftOf(hoursAgo), [1, 2, 3, 4].map(version))
  })

  it('go with what was never finished, and leave what is something else', () => {
    const others = { [version(1)]: 0, [version(2)]: 30, [version(3)]: 30, '.unfinished-a1': 40, notes: 900 }
    assert.deepEqual(leftOf(others), [version(1), version(2), version(3), 'notes'])
  })
})
