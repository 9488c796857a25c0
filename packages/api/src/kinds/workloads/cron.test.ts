import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cronNext, parseCron } from './cron.ts'

function next(schedule: string, after: string, zone?: string): string | undefined {
  const found = cronNext(schedule, zone, Date.parse(after))
  return found === undefined ? undefined : new Date(found).toISOString().replace('.000Z', 'Z')
}

describe('cronNext', () => {
  const cases: [string, string, string | undefined][] = [
    ['* * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z'],
    ['*/15 * * * *', '2026-01-01T00:50:30Z', '2026-01-01T01:00:00Z'],
    ['5/20 * * * *', '2026-01-01T00:06:00Z', '2026-01-01T00:25:00Z'],
    ['0 9-17/4 * * mon-fri', '2026-01-02T18:00:00Z', '2026-01-05T09:00:00Z'],
    ['0 0 1 JAN *', '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z'],
    ['0 0 13 * fri', '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'],
    ['0 0 13 * *', '2026-01-01T00:00:00Z', '2026-01-13T00:00:00Z'],
    ['0 0 29 2 *', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00Z'],
    ['0 0 30 2 *', '2026-01-01T00:00:00Z', undefined],
    ['@hourly', '2026-01-01T00:30:00Z', '2026-01-01T01:00:00Z'],
    ['@weekly', '2026-01-01T00:30:00Z', '2026-01-04T00:00:00Z'],
    ['@every 1h30m', '2026-01-01T00:00:00Z', '2026-01-01T01:30:00Z'],
  ]
  for (const [schedule, after, want] of cases) {
    it(`puts ${schedule} after ${after} at ${want}`, () => assert.equal(next(schedule, after), want))
  }

  it('reads fields as the wall clock of a zone', () => {
    assert.equal(next('30 9 * * *', '2026-01-01T00:00:00Z', 'Asia/Kolkata'), '2026-01-01T04:00:00Z')
    assert.equal(next('0 9 * * *', '2026-07-01T00:00:00Z', 'America/New_York'), '2026-07-01T13:00:00Z')
    assert.equal(next('0 0 * * *', '2026-07-01T00:00:00Z', 'Pacific/Kiritimati'), '2026-07-01T10:00:00Z')
  })

  it('leaves out a time that the clock skips', () => {
    assert.equal(next('30 2 * * *', '2026-03-29T00:00:00Z', 'Europe/Berlin'), '2026-03-30T00:30:00Z')
    assert.equal(next('0 * * * *', '2026-03-29T00:30:00Z', 'Europe/Berlin'), '2026-03-29T01:00:00Z')
  })

  it('goes on through an hour that the clock repeats', () => {
    assert.equal(next('30 * * * *', '2026-10-25T00:00:00Z', 'Europe/Berlin'), '2026-10-25T00:30:00Z')
    assert.equal(next('30 * * * *', '2026-10-25T00:30:00Z', 'Europe/Berlin'), '2026-10-25T01:30:00Z')
    assert.equal(next('0 4 * * *', '2026-10-25T00:30:00Z', 'Europe/Berlin'), '2026-10-25T03:00:00Z')
  })

  it('does not know every zone', () =>
    assert.throws(() => next('* * * * *', '2026-01-01T00:00:00Z', 'Mars/Olympus'), RangeError))
})

describe('parseCron', () => {
  const cases: [string, string][] = [
    ['', 'empty spec string'],
    ['* * * *', 'expected exactly 5 fields, found 4: [* * * *]'],
    ['@often', 'unrecognized descriptor: @often'],
    ['60 * * * *', 'end of range (60) above maximum (59): 60'],
    ['5-2 * * * *', 'beginning of range (5) beyond end of range (2): 5-2'],
    ['*/0 * * * *', 'step of range should be a positive number: */0'],
    ['x * * * *', 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
    ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
  ]
  for (const [text, message] of cases) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseCron(text), new SyntaxError(message)))
  }
})
