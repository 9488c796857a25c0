import { parseTime } from '../meta/time.ts'
import { ProtobufError } from './error.ts'

/** A moment as upstream's Timestamp message has it. */
export interface Timestamp {
  readonly seconds: number
  /** 0 to 999,999,999. */
  readonly nanos: number
}

/** Go's zero time, 0001-01-01T00:00:00Z, which upstream writes as an empty message and JSON `null`. */
const ZERO_SECONDS = -62_135_596_800
/** 9999-12-31T23:59:59Z, the last second that RFC 3339 can write. */
const MAX_SECONDS = 253_402_300_799

/** Undefined for Go's zero time. Throws {@link ProtobufError} for what is not RFC 3339. */
export function parseTimestamp(text: string): Timestamp | undefined {
  const seconds = parseUtcSeconds(text)
  if (seconds !== undefined) return seconds === ZERO_SECONDS ? undefined : { seconds, nanos: 0 }
  const ms = parseTime(text)
  if (ms === undefined) throw new ProtobufError(`Cannot read time "${text}": must be RFC 3339`)
  const fraction = /[.,](\d+)/.exec(text)?.[1] ?? ''
  const nanos = Number(fraction.slice(0, 9).padEnd(9, '0'))
  const floor = Math.floor(ms / 1000)
  return floor === ZERO_SECONDS && nanos === 0 ? undefined : { seconds: floor, nanos }
}

/** Quick way for the form that the server itself writes, `2008-01-01T01:01:01Z`; undefined for any other. */
function parseUtcSeconds(text: string): number | undefined {
  if (text.length !== 20 || text[4] !== '-' || text[10] !== 'T' || text[13] !== ':' || text[19] !== 'Z')
    return undefined
  const day = digits(text, 8)
  const month = digits(text, 5)
  const hour = digits(text, 11)
  const minute = digits(text, 14)
  const second = digits(text, 17)
  const year = digits(text, 0) * 100 + digits(text, 2)
  // The last days of a month, and anything odd (NaN compares false), take the way that checks the calendar.
  if (!(year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= 28 && hour < 24 && minute < 60 && second < 60)) {
    return undefined
  }
  return daysFromCivil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
}

/** Two digits at `at`; NaN when they are none. */
function digits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 48
  const ones = text.charCodeAt(at + 1) - 48
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}

/** Days since 1970-01-01 of a day of the Gregorian calendar. Years begin in March here, so that leap days come last. */
function daysFromCivil(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/** RFC 3339 in UTC with whole seconds, or with six decimals for `micro`. `null` for Go's zero time. */
export function formatTimestamp({ seconds, nanos }: Timestamp, precision: 'seconds' | 'micro'): string | null {
  if (seconds === ZERO_SECONDS && nanos === 0) return null
  if (!(seconds >= ZERO_SECONDS && seconds <= MAX_SECONDS))
    throw new ProtobufError('Cannot read time: year is out of range')
  const text = formatSeconds(seconds)
  if (precision === 'seconds') return `${text}Z`
  const micros = Math.trunc(nanos / 1000)
  if (!(micros >= 0 && micros < 1e6)) throw new ProtobufError('Cannot read time: nanos is out of range')
  return `${text}.${String(micros).padStart(6, '0')}Z`
}

let lastSeconds = Number.NaN
let lastText = ''

/** Objects repeat their few moments, so the last text is kept. */
function formatSeconds(seconds: number): string {
  if (seconds !== lastSeconds) {
    lastText = new Date(seconds * 1000).toISOString().slice(0, 19)
    lastSeconds = seconds
  }
  return lastText
}
