import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime, type Stored } from '@centaurus/api'
import type { CronJob, CronJobSpec, CronJobStatus, Job } from '@centaurus/api/batch/v1'
import { planCronJob, type CronJobPlan } from './plan.ts'

const CREATED_MS = Date.UTC(2026, 0, 1)
const at = (minutes: number, seconds = 0): number => CREATED_MS + minutes * 60_000 + seconds * 1000

function cronJobOf(spec: Partial<CronJobSpec> = {}, status: CronJobStatus = {}): Stored<CronJob> {
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'c', namespace: 'ns', uid: 'c', resourceVersion: '1', creationTimestamp: formatTime(CREATED_MS) },
    spec: { schedule: '*/10 * * * *', jobTemplate: { spec: { template: {} } }, ...spec },
    status,
  }
}

function jobOf(name: string, condition?: 'Complete' | 'Failed'): Stored<Job> {
  const conditions = condition === undefined ? [] : [{ type: condition, status: 'True' }]
  return {
    metadata: { name, namespace: 'ns', uid: name },
    status: { conditions, startTime: name, completionTime: formatTime(at(15)) },
  } as Stored<Job>
}

const plan = (nowMs: number, cronJob: Stored<CronJob>, jobs: readonly Stored<Job>[] = []): CronJobPlan =>
  planCronJob({ cronJob, jobs, nowMs })
const reasons = ({ events }: CronJobPlan): string[] => events.map(({ reason }) => reason)

describe('planCronJob', () => {
  it('starts a job when its time has come, named for that time, and looks again at the next', () => {
    const early = plan(at(9), cronJobOf())
    assert.deepEqual([early.create, early.requeueAfterMs], [undefined, 60_100])
    const due = plan(at(10, 5), cronJobOf())
    assert.equal(due.create?.metadata.name, `c-${at(10) / 60_000}`)
    assert.equal(
      due.create?.metadata.annotations?.['batch.kubernetes.io/cronjob-scheduled-timestamp'],
      '2026-01-01T00:10:00Z',
    )
    assert.equal(due.requeueAfterMs, 595_100)
  })

  it('runs only the latest of the times it missed, and none beyond the deadline', () => {
    assert.equal(plan(at(35), cronJobOf()).scheduledAtMs, at(30))
    const late = plan(at(35), cronJobOf({ startingDeadlineSeconds: 60 }))
    assert.equal(late.create, undefined)
    assert.deepEqual(reasons(plan(at(10 * 200), cronJobOf())), ['TooManyMissedTimes'])
  })

  it('waits for the next time when the last that passed is beyond the deadline', () => {
    const { create, requeueAfterMs } = plan(at(35), cronJobOf({ startingDeadlineSeconds: 60 }))
    assert.deepEqual([create, requeueAfterMs], [undefined, 300_100])
  })

  it('finds the latest time of schedules that come in bursts, and keeps the beat of intervals', () => {
    const burst = plan(at(24 * 60 + 8 * 60), cronJobOf({ schedule: '* 9 * * *' }))
    assert.equal(burst.scheduledAtMs, at(9 * 60 + 59))
    const beat = plan(at(100, 30), cronJobOf({ schedule: '@every 7m' }))
    assert.deepEqual([beat.scheduledAtMs, beat.requeueAfterMs], [at(98), 270_100])
  })

  it('does not start one time twice', () => {
    assert.equal(plan(at(11), cronJobOf({}, { lastScheduleTime: formatTime(at(10)) })).create, undefined)
  })

  it('obeys the concurrency policy', () => {
    const status = { active: [{ name: 'old', uid: 'old' }] }
    assert.notEqual(plan(at(11), cronJobOf({}, status), [jobOf('old')]).create, undefined)
    const forbid = plan(at(11), cronJobOf({ concurrencyPolicy: 'Forbid' }, status), [jobOf('old')])
    assert.deepEqual([forbid.create, reasons(forbid)], [undefined, ['JobAlreadyActive']])
    const replace = plan(at(11), cronJobOf({ concurrencyPolicy: 'Replace' }, status), [jobOf('old')])
    assert.deepEqual(
      replace.replace.map(({ metadata }) => metadata.name),
      ['old'],
    )
    assert.equal(replace.status.active, undefined)
  })

  it('forgets finished and missing jobs, and keeps as much history as it should', () => {
    const status = {
      active: [
        { name: 'a1', uid: 'a1' },
        { name: 'gone', uid: 'gone' },
      ],
    }
    const jobs = [
      jobOf('a1', 'Complete'),
      jobOf('a2', 'Complete'),
      jobOf('a3', 'Complete'),
      jobOf('a4', 'Complete'),
      jobOf('f1', 'Failed'),
      jobOf('f2', 'Failed'),
    ]
    const result = plan(at(1), cronJobOf({}, status), jobs)
    assert.equal(result.status.active, undefined)
    assert.equal(result.status.lastSuccessfulTime, formatTime(at(15)))
    assert.deepEqual(
      result.remove.map(({ metadata }) => metadata.name),
      ['a1', 'f1'],
    )
    assert.deepEqual(reasons(result), ['SawCompletedJob', 'MissingJob'])
  })

  it('does nothing while suspended, and says when a schedule makes no sense', () => {
    assert.equal(plan(at(11), cronJobOf({ suspend: true })).create, undefined)
    assert.deepEqual(reasons(plan(at(11), cronJobOf({ schedule: 'often' }))), ['UnparseableSchedule'])
    assert.deepEqual(reasons(plan(at(11), cronJobOf({ timeZone: 'Mars/Base' }))), ['UnknownTimeZone'])
    assert.deepEqual(reasons(plan(at(11), cronJobOf({ schedule: '59 23 31 2 *' }))), ['InvalidSchedule'])
    assert.deepEqual(reasons(plan(at(1), cronJobOf({ schedule: 'TZ=UTC 0 0 1 1 *' }))), ['UnsupportedSchedule'])
  })

  it('tells the time of the schedule in its zone', () => {
    const { create } = plan(at(10), cronJobOf({ timeZone: 'Asia/Kolkata' }))
    assert.equal(
      create?.metadata.annotations?.['batch.kubernetes.io/cronjob-scheduled-timestamp'],
      '2026-01-01T05:40:00+05:30',
    )
  })
})
