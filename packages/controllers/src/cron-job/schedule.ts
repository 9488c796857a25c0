import { cronNext, parseCron, parseTime, type CronSchedule, type Stored } from '@centaurus/api'
import type { CronJob } from '@centaurus/api/batch/v1'

/** Source: mostRecentScheduleTime, pkg/controller/cronjob/utils.go v1.37. */
const MANY_MISSED = 100
/** Of a schedule that comes in bursts, so many times of one burst are looked at; a day of minutes fits. */
const BURST_TIMES_MAX = 2_000

export interface Schedule {
  /** First time after `afterMs`; undefined when there is none within years. */
  readonly next: (afterMs: number) => number | undefined
}

/** Why a schedule can't be followed, as the reason and message of an event. */
export interface ScheduleError {
  readonly reason: 'UnparseableSchedule' | 'UnknownTimeZone' | 'InvalidSchedule'
  readonly message: string
}

export function readSchedule({ spec }: Readonly<CronJob>): Schedule | ScheduleError {
  const { zone, text } = splitZone(spec.schedule, spec.timeZone)
  const quoted = JSON.stringify(spec.schedule)
  let parsed: CronSchedule
  try {
    parsed = parseCron(text)
  } catch (error) {
    return { reason: 'UnparseableSchedule', message: `unparseable schedule: ${quoted} : ${(error as Error).message}` }
  }
  try {
    if (cronNext(parsed, zone, 0) === undefined) {
      const why = 'time difference between two schedules is less than 1 second'
      return { reason: 'InvalidSchedule', message: `invalid schedule: ${spec.schedule} : ${why}` }
    }
  } catch (error) {
    const message = `invalid timeZone: ${JSON.stringify(zone)}: ${(error as Error).message}`
    return { reason: 'UnknownTimeZone', message }
  }
  return { next: (afterMs) => cronNext(parsed, zone, afterMs) }
}

/** `TZ=Europe/Berlin 0 * * * *` is an old way to say the zone. */
function splitZone(schedule: string, timeZone: string | undefined): { zone: string | undefined; text: string } {
  const match = /^(?:CRON_)?TZ=(\S+)\s+(.*)$/.exec(schedule)
  return match === null ? { zone: timeZone, text: schedule } : { zone: match[1], text: match[2]! }
}

export interface Due {
  /** The latest time that has come since the last run and is not older than the starting deadline; undefined when none has. */
  readonly scheduledAtMs: number | undefined
  readonly hasMissedMany: boolean
  /** After now; undefined when the schedule ends. */
  readonly nextMs: number | undefined
}

/** Runs that were missed before the latest are not made up for. */
export function findDue({ metadata, spec, status }: Stored<CronJob>, schedule: Schedule, nowMs: number): Due {
  const lastMs = parseTime(status?.lastScheduleTime ?? metadata.creationTimestamp) ?? nowMs
  const { startingDeadlineSeconds } = spec
  const oldestMs = startingDeadlineSeconds === undefined ? lastMs : nowMs - startingDeadlineSeconds * 1000
  const due = findLatest(schedule, Math.max(lastMs, oldestMs), nowMs)
  const after = schedule.next(due?.latestMs ?? lastMs)
  // With a deadline the last run may be long ago, and nothing due since: the time after it has passed as well.
  const nextMs = after === undefined || after > nowMs ? after : schedule.next(nowMs)
  return { scheduledAtMs: due?.latestMs, hasMissedMany: (due?.missed ?? 0) > MANY_MISSED, nextMs }
}

/**
 * The last time in (afterMs, nowMs]. Jumps by the distance of the first two, as most schedules are regular, then back in growing steps
 * for those that come in bursts. Steps are whole distances, so that `@every` keeps its beat.
 */
function findLatest(
  { next }: Schedule,
  afterMs: number,
  nowMs: number,
): { readonly latestMs: number; readonly missed: number } | undefined {
  const first = next(afterMs)
  if (first === undefined || first > nowMs) return undefined
  const second = next(first)
  if (second === undefined || second > nowMs) return { latestMs: first, missed: 1 }
  const stepMs = second - first
  const missed = Math.floor((nowMs - first) / stepMs) + 1
  for (let back = 2; back < 2 * missed; back *= 2) {
    const found = next(first + Math.max(0, missed - back) * stepMs)
    if (found === undefined || found > nowMs) continue
    let latestMs = found
    for (let i = 0, at = next(found); i < BURST_TIMES_MAX && at !== undefined && at <= nowMs; i++, at = next(at))
      latestMs = at
    return { latestMs, missed }
  }
  return { latestMs: second, missed }
}
