const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS

/** What a table shows where a time is missing. */
export const UNKNOWN_AGE = '<unknown>'

/**
 * Short text for a length of time, as `kubectl get` shows ages: `5s`, `2m30s`, `4h`, `3d`, `2y10d`. Up to two seconds in the
 * future count as now, since clocks differ; more is `<invalid>`. Source: HumanDuration, apimachinery pkg/util/duration v0.37.
 */
export function formatDuration(durationMs: number): string {
  const seconds = Math.trunc(durationMs / SECOND_MS)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.trunc(durationMs / MINUTE_MS)
  if (minutes < 10) return joinUnits(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  return formatHours(Math.trunc(durationMs / HOUR_MS), minutes)
}

function formatHours(hours: number, minutes: number): string {
  const days = Math.trunc(hours / 24)
  if (hours < 8) return joinUnits(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  if (days < 8) return joinUnits(days, 'd', hours % 24, 'h')
  if (days < 365 * 2) return `${days}d`
  if (days < 365 * 8) return joinUnits(Math.trunc(days / 365), 'y', days % 365, 'd')
  return `${Math.trunc(days / 365)}y`
}

function joinUnits(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`
}

/** Time since an RFC 3339 `timestamp`, or `<unknown>` without one. */
export function formatAge(timestamp: string | undefined, nowMs: number): string {
  if (timestamp === undefined || timestamp === null) return UNKNOWN_AGE
  return formatDuration(nowMs - Date.parse(timestamp))
}
