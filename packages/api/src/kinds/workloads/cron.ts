/** Cron schedules. Source: github.com/robfig/cron/v3, which kube-controller-manager v1.37 uses (parser.go, spec.go). */

const MINUTE_MS = 60_000
/** A schedule that has no time within so many years has none at all, such as 30 February. */
const YEARS_MAX = 5
/** Time zone formatters are costly to make (about 0.1 ms and some kilobytes); a cluster uses few zones. */
const ZONES_CACHED_MAX = 64

interface FieldRule {
  readonly min: number
  readonly max: number
  readonly names?: readonly string[]
}

const FIELDS: readonly FieldRule[] = [
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  { min: 1, max: 12, names: ['', 'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] },
  { min: 0, max: 6, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
]

const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

/** A schedule that was read. Immutable. */
export type CronSchedule =
  | {
      readonly type: 'fields'
      readonly minutes: ReadonlySet<number>
      readonly hours: ReadonlySet<number>
      readonly days: ReadonlySet<number>
      readonly months: ReadonlySet<number>
      readonly weekdays: ReadonlySet<number>
      /** When both kinds of days are given, either is enough. */
      readonly eitherDay: boolean
    }
  | { readonly type: 'every'; readonly everyMs: number }

/**
 * Reads five fields (`*`, `1-5`, `*\/10`, `mon,wed`), a descriptor such as `@hourly`, or `@every 1h30m`.
 * Throws `SyntaxError` that says which part is wrong.
 */
export function parseCron(text: string): CronSchedule {
  const trimmed = text.trim()
  if (trimmed === '') throw new SyntaxError('empty spec string')
  if (trimmed.startsWith('@every ')) return parseEvery(trimmed)
  const spec = trimmed.startsWith('@') ? DESCRIPTORS[trimmed] : trimmed
  if (spec === undefined) throw new SyntaxError(`unrecognized descriptor: ${trimmed}`)
  const parts = spec.split(/\s+/)
  if (parts.length !== FIELDS.length) {
    throw new SyntaxError(`expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`)
  }
  const [minutes, hours, days, months, weekdays] = parts.map((part, i) => parseField(part, FIELDS[i]!))
  const eitherDay = !isWildcard(parts[2]!) && !isWildcard(parts[4]!)
  return {
    type: 'fields',
    minutes: minutes!,
    hours: hours!,
    days: days!,
    months: months!,
    weekdays: weekdays!,
    eitherDay,
  }
}

/**
 * First time after `afterMs` at which `schedule` is due, in milliseconds since the epoch; undefined when there is none within
 * five years. Fields mean wall-clock time in `timeZone` (an IANA name, default UTC). A time that a change of clocks skips is not
 * run; one that it repeats is run once, unless the schedule names every hour. Throws `SyntaxError` for a bad schedule and
 * `RangeError` for an unknown zone.
 */
export function cronNext(
  schedule: string | CronSchedule,
  timeZone: string | undefined,
  afterMs: number,
): number | undefined {
  const cron = typeof schedule === 'string' ? parseCron(schedule) : schedule
  if (cron.type === 'every') return Math.floor(afterMs / 1_000) * 1_000 + cron.everyMs
  const zone = zoneOf(timeZone ?? 'UTC')
  const start = zone.wallClock(afterMs)
  const lastYear = new Date(start).getUTCFullYear() + YEARS_MAX
  // Wall-clock times are kept as if they were UTC, so that their parts can be read and added to.
  for (let day = startOfDay(start); new Date(day).getUTCFullYear() <= lastYear; day += 24 * 60 * MINUTE_MS) {
    if (!matchesDay(cron, new Date(day))) continue
    const found = firstInDay(cron, day, { zone, afterMs })
    if (found !== undefined) return found
  }
  return undefined
}

interface Zone {
  /** Wall-clock time at an instant, as if it were UTC. */
  readonly wallClock: (instantMs: number) => number
}

interface Search {
  readonly zone: Zone
  readonly afterMs: number
}

type FieldSchedule = Extract<CronSchedule, { type: 'fields' }>

function firstInDay(cron: FieldSchedule, day: number, search: Search): number | undefined {
  let best: number | undefined
  for (let hour = 0; hour < 24; hour++) {
    if (!cron.hours.has(hour)) continue
    for (let minute = 0; minute < 60; minute++) {
      if (!cron.minutes.has(minute)) continue
      for (const instant of instantsOf(day + (hour * 60 + minute) * MINUTE_MS, search.zone)) {
        if (instant > search.afterMs && (best === undefined || instant < best)) best = instant
      }
    }
    // A repeated hour puts instants of this hour after those of the next, never two hours further.
    if (best !== undefined && best < instantFloor(day + (hour + 1) * 60 * MINUTE_MS, search.zone)) return best
  }
  return best
}

/** Instants that have a wall-clock time: one, none (skipped) or two (repeated). */
function instantsOf(wall: number, zone: Zone): number[] {
  const found = new Set<number>()
  // The offset of any zone an hour around this instant is one of these two.
  for (const probe of [wall - 14 * 60 * MINUTE_MS, wall, wall + 12 * 60 * MINUTE_MS]) {
    const instant = wall - (zone.wallClock(probe) - probe)
    if (zone.wallClock(instant) === wall) found.add(instant)
  }
  return [...found]
}

function instantFloor(wall: number, zone: Zone): number {
  const instants = instantsOf(wall, zone)
  return instants.length === 0 ? Number.POSITIVE_INFINITY : Math.min(...instants)
}

function matchesDay(cron: FieldSchedule, date: Date): boolean {
  if (!cron.months.has(date.getUTCMonth() + 1)) return false
  const day = cron.days.has(date.getUTCDate())
  const weekday = cron.weekdays.has(date.getUTCDay())
  return cron.eitherDay ? day || weekday : day && weekday
}

function startOfDay(wall: number): number {
  const date = new Date(wall)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate())
}

function parseEvery(text: string): CronSchedule {
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: MINUTE_MS, h: 60 * MINUTE_MS }
  const duration = text.slice('@every '.length).trim()
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(duration)) throw new SyntaxError(`failed to parse duration ${text}`)
  let sumMs = 0
  for (const [, amount, unit] of duration.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    sumMs += Number(amount) * units[unit!]!
  return { type: 'every', everyMs: Math.max(1_000, Math.floor(sumMs / 1_000) * 1_000) }
}

function isWildcard(part: string): boolean {
  return part === '*' || part === '?' || part.startsWith('*/') || part.startsWith('?/')
}

function parseField(text: string, rule: FieldRule): ReadonlySet<number> {
  const values = new Set<number>()
  for (const part of text.split(',')) {
    if (part === '') throw new SyntaxError(`failed to parse int from : strconv.Atoi: parsing "": invalid syntax`)
    const { low, high, step } = parseRange(part, rule)
    for (let value = low; value <= high; value += step) values.add(value)
  }
  return values
}

function parseRange(text: string, rule: FieldRule): { low: number; high: number; step: number } {
  const [range = '', stepText, ...tooMany] = text.split('/')
  if (tooMany.length > 0) throw new SyntaxError(`too many slashes: ${text}`)
  const [lowText = '', highText, ...more] = range.split('-')
  if (more.length > 0) throw new SyntaxError(`too many hyphens: ${text}`)
  const isAny = lowText === '*' || lowText === '?'
  const low = isAny ? rule.min : parseNumber(lowText, rule)
  let high = isAny ? rule.max : highText === undefined ? low : parseNumber(highText, rule)
  const step = stepText === undefined ? 1 : parseNumber(stepText, { min: 0, max: 0 })
  // `5/10` means from five on.
  if (stepText !== undefined && !isAny && highText === undefined) high = rule.max
  if (low < rule.min) throw new SyntaxError(`beginning of range (${low}) below minimum (${rule.min}): ${text}`)
  if (high > rule.max) throw new SyntaxError(`end of range (${high}) above maximum (${rule.max}): ${text}`)
  if (low > high) throw new SyntaxError(`beginning of range (${low}) beyond end of range (${high}): ${text}`)
  if (step === 0) throw new SyntaxError(`step of range should be a positive number: ${text}`)
  return { low, high, step }
}

function parseNumber(text: string, rule: FieldRule): number {
  const named = text === '' ? -1 : (rule.names?.indexOf(text.toLowerCase()) ?? -1)
  if (named >= 0) return named
  if (/^\d+$/.test(text)) return Number(text)
  throw new SyntaxError(
    `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`,
  )
}

const zones = new Map<string, Zone>()

function zoneOf(name: string): Zone {
  const cached = zones.get(name)
  if (cached !== undefined) return cached
  const zone = name === 'UTC' || name === 'Etc/UTC' ? { wallClock: (ms: number) => ms } : createZone(name)
  if (zones.size >= ZONES_CACHED_MAX) zones.clear()
  zones.set(name, zone)
  return zone
}

function createZone(name: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  const wallClock = (instantMs: number): number => {
    const parts: Record<string, number> = {}
    for (const { type, value } of format.formatToParts(instantMs)) parts[type] = Number(value)
    return Date.UTC(parts['year']!, parts['month']! - 1, parts['day'], parts['hour'], parts['minute'], parts['second'])
  }
  return { wallClock }
}
