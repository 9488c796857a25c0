import {
  cronNext,
  formatTime,
  ownerReferenceTo,
  parseCron,
  parseTime,
  type CronSchedule,
  type Stored,
} from '@centaurus/api'
import type { CronJob, CronJobStatus, Job } from '@centaurus/api/batch/v1'
import type { ObjectReference } from '@centaurus/api/core/v1'

/** Source: nextScheduleDelta, pkg/controller/cronjob v1.37: clocks of several machines differ a little. */
const START_DELAY_MS = 100
/** Source: mostRecentScheduleTime v1.37. */
const MANY_MISSED = 100
const SCHEDULED_ANNOTATION = 'batch.kubernetes.io/cronjob-scheduled-timestamp'

export interface CronEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface CronJobPlanInput {
  readonly cronJob: Stored<CronJob>
  /** Those it controls. */
  readonly jobs: readonly Stored<Job>[]
  readonly nowMs: number
}

export interface CronJobPlan {
  readonly create: Job | undefined
  readonly scheduledAtMs: number | undefined
  readonly remove: readonly Stored<Job>[]
  /** Before the new job is added to `active`. */
  readonly status: CronJobStatus
  readonly events: readonly CronEvent[]
  readonly requeueAfterMs: number | undefined
}

/** What is due now, what is over, and when to look again. Source: syncCronJob, pkg/controller/cronjob v1.37. */
export function planCronJob({ cronJob, jobs, nowMs }: CronJobPlanInput): CronJobPlan {
  const events: CronEvent[] = []
  const status = planStatus({ cronJob, jobs, nowMs }, events)
  const history = planHistory(cronJob, jobs)
  const idle: CronJobPlan = {
    create: undefined,
    scheduledAtMs: undefined,
    remove: history,
    status,
    events,
    requeueAfterMs: undefined,
  }
  if (cronJob.metadata.deletionTimestamp !== undefined || cronJob.spec.suspend === true) return idle
  const schedule = readSchedule(cronJob, events)
  if (schedule === undefined) return idle
  const due = findDue(cronJob, schedule, nowMs)
  const next = schedule.next(due.scheduledAtMs ?? due.earliestMs)
  const requeueAfterMs = next === undefined ? undefined : Math.max(START_DELAY_MS, next - nowMs + START_DELAY_MS)
  const waiting = { ...idle, requeueAfterMs }
  const { scheduledAtMs } = due
  if (scheduledAtMs === undefined) return waiting
  if (due.hasMissedMany) {
    const message = 'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew'
    events.push({ type: 'Warning', reason: 'TooManyMissedTimes', message })
  }
  const { startingDeadlineSeconds, concurrencyPolicy = 'Allow' } = cronJob.spec
  if (startingDeadlineSeconds !== undefined && scheduledAtMs + startingDeadlineSeconds * 1000 < nowMs) {
    events.push({
      type: 'Warning',
      reason: 'MissSchedule',
      message: `Missed scheduled time to start a job: ${formatRfc1123(scheduledAtMs)}`,
    })
    return waiting
  }
  const active = status.active ?? []
  const name = jobName(cronJob, scheduledAtMs)
  if (active.some((job) => job.name === name) || cronJob.status?.lastScheduleTime === formatTime(scheduledAtMs))
    return waiting
  if (concurrencyPolicy === 'Forbid' && active.length > 0) {
    const message = 'Not starting job because prior execution is running and concurrency policy is Forbid'
    events.push({ type: 'Normal', reason: 'JobAlreadyActive', message })
    return waiting
  }
  const replaced =
    concurrencyPolicy === 'Replace' ? jobs.filter(({ metadata }) => active.some(({ uid }) => uid === metadata.uid)) : []
  const kept = active.filter(({ uid }) => !replaced.some(({ metadata }) => metadata.uid === uid))
  const next2 = { ...status, active: kept }
  return {
    ...waiting,
    create: buildJob(cronJob, scheduledAtMs),
    scheduledAtMs,
    remove: [...history, ...replaced],
    status: next2,
  }
}

function planStatus({ cronJob, jobs }: CronJobPlanInput, events: CronEvent[]): CronJobStatus {
  let active: readonly ObjectReference[] = cronJob.status?.active ?? []
  let lastSuccessfulTime = cronJob.status?.lastSuccessfulTime
  for (const job of jobs) {
    const isListed = active.some(({ uid }) => uid === job.metadata.uid)
    const finished = finishedAs(job)
    if (finished === undefined && !isListed) {
      const message = `Saw a job that the controller did not create or forgot: ${job.metadata.name}`
      events.push({ type: 'Warning', reason: 'UnexpectedJob', message })
    }
    if (finished !== undefined && isListed) {
      active = active.filter(({ uid }) => uid !== job.metadata.uid)
      events.push({
        type: 'Normal',
        reason: 'SawCompletedJob',
        message: `Saw completed job: ${job.metadata.name}, condition: ${finished}`,
      })
    }
    const completed = finished === 'Complete' ? job.status?.completionTime : undefined
    if (completed !== undefined && (lastSuccessfulTime === undefined || completed > lastSuccessfulTime))
      lastSuccessfulTime = completed
  }
  for (const { uid, name } of active) {
    if (jobs.some(({ metadata }) => metadata.uid === uid)) continue
    active = active.filter((job) => job.uid !== uid)
    events.push({ type: 'Normal', reason: 'MissingJob', message: `Active job went missing: ${name}` })
  }
  const { active: _active, ...rest } = cronJob.status ?? {}
  return {
    ...rest,
    ...(active.length === 0 ? {} : { active: [...active] }),
    ...(lastSuccessfulTime === undefined ? {} : { lastSuccessfulTime }),
  }
}

export function finishedAs({ status }: Job): 'Complete' | 'Failed' | undefined {
  const found = status?.conditions?.find(
    ({ type, status: value }) => value === 'True' && (type === 'Complete' || type === 'Failed'),
  )
  return found?.type as 'Complete' | 'Failed' | undefined
}

interface Schedule {
  readonly next: (afterMs: number) => number | undefined
}

function readSchedule({ spec }: CronJob, events: CronEvent[]): Schedule | undefined {
  const { zone, text } = splitZone(spec.schedule, spec.timeZone)
  let parsed: CronSchedule
  try {
    parsed = parseCron(text)
  } catch (error) {
    const message = `unparseable schedule: ${JSON.stringify(spec.schedule)} : ${(error as Error).message}`
    events.push({ type: 'Warning', reason: 'UnparseableSchedule', message })
    return undefined
  }
  try {
    cronNext(parsed, zone, 0)
  } catch (error) {
    events.push({
      type: 'Warning',
      reason: 'UnknownTimeZone',
      message: `invalid timeZone: ${JSON.stringify(zone)}: ${(error as Error).message}`,
    })
    return undefined
  }
  return { next: (afterMs) => cronNext(parsed, zone, afterMs) }
}

/** `TZ=Europe/Berlin 0 * * * *` is an old way to say the zone. */
function splitZone(schedule: string, timeZone: string | undefined): { zone: string | undefined; text: string } {
  const match = /^(?:CRON_)?TZ=(\S+)\s+(.*)$/.exec(schedule)
  return match === null ? { zone: timeZone, text: schedule } : { zone: match[1], text: match[2]! }
}

interface Due {
  readonly scheduledAtMs: number | undefined
  readonly earliestMs: number
  readonly hasMissedMany: boolean
}

/** The latest time that has come since the last run; runs that were missed before it are not made up for. */
function findDue({ metadata, spec, status }: Stored<CronJob>, { next }: Schedule, nowMs: number): Due {
  const lastMs = parseTime(status?.lastScheduleTime ?? metadata.creationTimestamp) ?? nowMs
  const deadlineMs =
    spec.startingDeadlineSeconds === undefined ? undefined : nowMs - spec.startingDeadlineSeconds * 1000
  const earliestMs = Math.max(lastMs, deadlineMs ?? lastMs)
  const first = next(earliestMs)
  if (first === undefined || first > nowMs)
    return { scheduledAtMs: undefined, earliestMs: lastMs, hasMissedMany: false }
  const second = next(first)
  if (second === undefined || second > nowMs) return { scheduledAtMs: first, earliestMs, hasMissedMany: false }
  const gapMs = Math.max(1000, second - first)
  const missed = Math.floor((nowMs - first) / gapMs) + 1
  let latest = first
  for (
    let at = next(first + (missed - 2) * gapMs), guard = 0;
    at !== undefined && at <= nowMs && guard < 2 * MANY_MISSED;
    at = next(at), guard++
  )
    latest = at
  return { scheduledAtMs: latest, earliestMs, hasMissedMany: missed > MANY_MISSED }
}

/** One name for one time: a second try for it fails instead of running twice. */
function jobName({ metadata }: CronJob, scheduledAtMs: number): string {
  return `${metadata.name}-${Math.floor(scheduledAtMs / 60_000)}`
}

function buildJob(cronJob: Stored<CronJob>, scheduledAtMs: number): Job {
  const { jobTemplate, timeZone } = cronJob.spec
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: jobName(cronJob, scheduledAtMs),
      namespace: cronJob.metadata.namespace,
      labels: { ...jobTemplate.metadata?.labels },
      annotations: {
        ...jobTemplate.metadata?.annotations,
        [SCHEDULED_ANNOTATION]: formatZoned(scheduledAtMs, timeZone),
      },
      ownerReferences: [ownerReferenceTo(cronJob)],
    },
    spec: jobTemplate.spec!,
  }
}

/** RFC 3339 with the zone's offset. */
function formatZoned(ms: number, timeZone = 'UTC'): string {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' })
  const local = format.format(ms).replace(' ', 'T')
  const offsetMinutes = Math.round((Date.parse(`${local}Z`) - ms) / 60_000)
  if (offsetMinutes === 0) return `${local}Z`
  const absolute = Math.abs(offsetMinutes)
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${local}${offsetMinutes < 0 ? '-' : '+'}${two(Math.floor(absolute / 60))}:${two(absolute % 60)}`
}

function formatRfc1123(ms: number): string {
  return new Date(ms).toUTCString().replace('GMT', 'UTC')
}

/** Finished jobs beyond the limits, oldest first. Source: cleanupFinishedJobs v1.37. */
function planHistory({ spec }: CronJob, jobs: readonly Stored<Job>[]): Stored<Job>[] {
  const beyond = (outcome: 'Complete' | 'Failed', limit: number): Stored<Job>[] => {
    const finished = jobs.filter((job) => finishedAs(job) === outcome && job.metadata.deletionTimestamp === undefined)
    const start = (job: Job): string => job.status?.startTime ?? '9'
    const sorted = finished.toSorted((a, b) => (start(a) + a.metadata.name < start(b) + b.metadata.name ? -1 : 1))
    return sorted.slice(0, Math.max(0, sorted.length - limit))
  }
  return [
    ...beyond('Complete', spec.successfulJobsHistoryLimit ?? 3),
    ...beyond('Failed', spec.failedJobsHistoryLimit ?? 1),
  ]
}
