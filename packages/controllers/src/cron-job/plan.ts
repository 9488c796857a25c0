import { formatTime, ownerReferenceTo, type Stored } from '@centaurus/api'
import type { CronJob, CronJobStatus, Job } from '@centaurus/api/batch/v1'
import type { ObjectReference } from '@centaurus/api/core/v1'
import { finishedCondition } from '../job/finished.ts'
import { findDue, readSchedule } from './schedule.ts'

/** Source: nextScheduleDelta, pkg/controller/cronjob v1.37: clocks of several machines differ a little. */
const START_DELAY_MS = 100
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
  /** Running jobs that make room for the new one: it is created only when they are gone. */
  readonly replace: readonly Stored<Job>[]
  /** Finished jobs beyond the history limits. */
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
  const idle: CronJobPlan = {
    create: undefined,
    scheduledAtMs: undefined,
    replace: [],
    remove: planHistory(cronJob, jobs),
    status,
    events,
    requeueAfterMs: undefined,
  }
  if (cronJob.metadata.deletionTimestamp !== undefined || cronJob.spec.suspend === true) return idle
  if (cronJob.spec.schedule.includes('TZ')) events.push(unsupportedZone(cronJob))
  const schedule = readSchedule(cronJob)
  if ('reason' in schedule) {
    events.push({ type: 'Warning', ...schedule })
    return idle
  }
  const { scheduledAtMs, hasMissedMany, nextMs } = findDue(cronJob, schedule, nowMs)
  const waiting = { ...idle, requeueAfterMs: nextMs === undefined ? undefined : nextMs - nowMs + START_DELAY_MS }
  if (scheduledAtMs === undefined) return waiting
  if (hasMissedMany) {
    const message = 'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew'
    events.push({ type: 'Warning', reason: 'TooManyMissedTimes', message })
  }
  const active = status.active ?? []
  const name = jobName(cronJob, scheduledAtMs)
  if (active.some((job) => job.name === name) || cronJob.status?.lastScheduleTime === formatTime(scheduledAtMs))
    return waiting
  const refusal = refuseStart(cronJob, { scheduledAtMs, isActive: active.length > 0, nowMs })
  if (refusal !== undefined) {
    events.push(refusal)
    return waiting
  }
  const isReplacing = cronJob.spec.concurrencyPolicy === 'Replace'
  return {
    ...waiting,
    create: buildJob(cronJob, scheduledAtMs),
    scheduledAtMs,
    replace: isReplacing ? jobs.filter(({ metadata }) => active.some(({ uid }) => uid === metadata.uid)) : [],
    status: isReplacing ? withActive(status, []) : status,
  }
}

interface StartInput {
  readonly scheduledAtMs: number
  readonly isActive: boolean
  readonly nowMs: number
}

/** Why the job whose time has come does not start. */
function refuseStart({ spec }: CronJob, { scheduledAtMs, isActive, nowMs }: StartInput): CronEvent | undefined {
  const { startingDeadlineSeconds, concurrencyPolicy } = spec
  if (startingDeadlineSeconds !== undefined && scheduledAtMs + startingDeadlineSeconds * 1000 < nowMs) {
    const message = `Missed scheduled time to start a job: ${formatRfc1123(scheduledAtMs)}`
    return { type: 'Warning', reason: 'MissSchedule', message }
  }
  if (concurrencyPolicy !== 'Forbid' || !isActive) return undefined
  const message = 'Not starting job because prior execution is running and concurrency policy is Forbid'
  return { type: 'Normal', reason: 'JobAlreadyActive', message }
}

function unsupportedZone({ spec }: CronJob): CronEvent {
  const url = 'https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/'
  const message = `CRON_TZ or TZ used in schedule ${JSON.stringify(spec.schedule)} is not officially supported, see ${url} for more details`
  return { type: 'Warning', reason: 'UnsupportedSchedule', message }
}

function withActive(status: CronJobStatus, active: readonly ObjectReference[]): CronJobStatus {
  const { active: _active, ...rest } = status
  return active.length === 0 ? rest : { ...rest, active: [...active] }
}

function planStatus({ cronJob, jobs }: CronJobPlanInput, events: CronEvent[]): CronJobStatus {
  let active: readonly ObjectReference[] = cronJob.status?.active ?? []
  let lastSuccessfulTime = cronJob.status?.lastSuccessfulTime
  for (const job of jobs) {
    const isListed = active.some(({ uid }) => uid === job.metadata.uid)
    const finished = finishedCondition(job)?.type
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
  const status = withActive(cronJob.status ?? {}, active)
  return lastSuccessfulTime === undefined ? status : { ...status, lastSuccessfulTime }
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
    const finished = jobs.filter(
      (job) => finishedCondition(job)?.type === outcome && job.metadata.deletionTimestamp === undefined,
    )
    const start = (job: Job): string => job.status?.startTime ?? '9'
    const sorted = finished.toSorted((a, b) => (start(a) + a.metadata.name < start(b) + b.metadata.name ? -1 : 1))
    return sorted.slice(0, Math.max(0, sorted.length - limit))
  }
  return [
    ...beyond('Complete', spec.successfulJobsHistoryLimit ?? 3),
    ...beyond('Failed', spec.failedJobsHistoryLimit ?? 1),
  ]
}
