import { ProtobufError } from './error.ts'

const NANOSECONDS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
}

const DURATION = /^[+-]?(?:\d+\.?\d*(?:ns|us|µs|μs|ms|s|m|h))+$/

/** Nanoseconds of a Go duration such as `1h30m`, `1.5s` or `0`. Throws {@link ProtobufError}. Source: Go time.ParseDuration. */
export function parseDuration(text: string): number {
  if (/^[+-]?0$/.test(text)) return 0
  if (!DURATION.test(text)) throw new ProtobufError(`Cannot read duration "${text}": must be like "1h30m5s"`)
  let total = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)([a-zµμ]+)/g)) total += Number(amount) * NANOSECONDS[unit!]!
  return Math.round(text.startsWith('-') ? -total : total)
}

/** Go's text of a duration: `1h30m0s`, `1.5s`, `100ms`, `0s`. Source: Go time.Duration.String. */
export function formatDuration(nanoseconds: number): string {
  const sign = nanoseconds < 0 ? '-' : ''
  const total = Math.abs(nanoseconds)
  if (total === 0) return '0s'
  if (total < 1e9) {
    const unit = total < 1e3 ? 'ns' : total < 1e6 ? 'µs' : 'ms'
    return `${sign}${decimal(total, NANOSECONDS[unit]!)}${unit}`
  }
  const hours = Math.floor(total / 3600e9)
  const minutes = Math.floor((total % 3600e9) / 60e9)
  const seconds = `${decimal(total % 60e9, 1e9)}s`
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}`
  return minutes > 0 ? `${sign}${minutes}m${seconds}` : sign + seconds
}

function decimal(value: number, unit: number): string {
  const whole = Math.floor(value / unit)
  const digits = String(unit).length - 1
  const fraction = String(Math.round(value % unit))
    .padStart(digits, '0')
    .replace(/0+$/, '')
  return digits === 0 || fraction === '' ? String(whole) : `${whole}.${fraction}`
}
