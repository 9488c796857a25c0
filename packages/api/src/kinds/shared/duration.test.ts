import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatAge, formatDuration } from './duration.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

describe('formatDuration', () => {
  const cases: [number, string][] = [
    [-2 * SECOND, '<invalid>'],
    [-1 * SECOND, '0s'],
    [0, '0s'],
    [119 * SECOND, '119s'],
    [120 * SECOND, '2m'],
    [125 * SECOND, '2m5s'],
    [10 * MINUTE, '10m'],
    [179 * MINUTE + 59 * SECOND, '179m'],
    [3 * HOUR, '3h'],
    [7 * HOUR + 3 * MINUTE, '7h3m'],
    [8 * HOUR + 59 * MINUTE, '8h'],
    [47 * HOUR, '47h'],
    [48 * HOUR, '2d'],
    [7 * DAY + 5 * HOUR, '7d5h'],
    [8 * DAY + 5 * HOUR, '8d'],
    [729 * DAY, '729d'],
    [2 * 365 * DAY, '2y'],
    [3 * 365 * DAY + 4 * DAY, '3y4d'],
    [9 * 365 * DAY + 4 * DAY, '9y'],
  ]
  for (const [duration, want] of cases) {
    it(`writes ${duration / SECOND} seconds as ${want}`, () => assert.equal(formatDuration(duration), want))
  }

  it('says that an absent time is unknown', () => assert.equal(formatAge(undefined, 0), '<unknown>'))

  it('counts from an RFC 3339 time', () => {
    assert.equal(formatAge('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:01:00Z')), '60s')
  })
})
