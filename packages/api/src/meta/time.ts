/** `Time` of the API: RFC 3339 with whole seconds, in UTC. Source: apimachinery meta/v1 time.go. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

/** `MicroTime` of the API: six decimals. Milliseconds are all the precision there is. Source: meta/v1 micro_time.go. */
export function formatMicroTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000Z`
}

const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)$/

/** Milliseconds since the epoch of an RFC 3339 text; undefined when it is not one (wrong shape, or no such day). */
export function parseTime(text: string): number | undefined {
  const match = RFC_3339.exec(text)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second, fraction = '', zone = 'Z'] = match
  const local = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second))
  const date = new Date(local)
  const isReal = date.getUTCDate() === Number(day) && date.getUTCMonth() === Number(month) - 1
  if (!isReal || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined
  return local + Math.trunc(Number(`0.${fraction === '' ? '0' : fraction}`) * 1000) - zoneOffsetMs(zone)
}

/** Stored form of a Time that a client wrote in any zone and precision; undefined when it is not a time. */
export function normalizeTime(text: string): string | undefined {
  if (text.length === 20 && text.endsWith('Z') && parseTime(text) !== undefined) return text
  const ms = parseTime(text)
  return ms === undefined ? undefined : formatTime(ms)
}

/** Stored form of a MicroTime: microseconds are kept, finer digits are cut. */
export function normalizeMicroTime(text: string): string | undefined {
  const ms = parseTime(text)
  if (ms === undefined) return undefined
  const fraction = /[.,](\d+)/.exec(text)?.[1] ?? ''
  return `${new Date(ms).toISOString().slice(0, 19)}.${fraction.slice(0, 6).padEnd(6, '0')}Z`
}

function zoneOffsetMs(zone: string): number {
  if (zone === 'Z') return 0
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))
  return (zone.startsWith('-') ? -minutes : minutes) * 60_000
}
