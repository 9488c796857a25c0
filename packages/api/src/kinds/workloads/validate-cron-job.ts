import type { CronJob } from '../../generated/types/batch/v1.ts'
import { FieldPath, invalid, notSupported, required, type FieldError } from '../../status/field-error.ts'
import { checkNonNegative, checkRequiredOneOf } from '../shared/check.ts'
import { parseCron } from './cron.ts'
import { validateJobSpec } from './validate-job.ts'

/** Jobs get eleven more characters, and must still be labels. */
const NAME_BYTES_MAX = 52
const path = new FieldPath('spec')

/** Source: validateCronJobSpec, pkg/apis/batch/validation v1.37. */
export function validateCronJob({ spec }: Readonly<CronJob>): FieldError[] {
  const job = path.child('jobTemplate', 'spec')
  const template = spec.jobTemplate?.spec
  const errors = [
    ...validateSchedule(spec.schedule, path.child('schedule')),
    ...checkNonNegative(spec.startingDeadlineSeconds, path.child('startingDeadlineSeconds')),
    ...validateTimeZone(spec.timeZone, path.child('timeZone')),
    ...checkRequiredOneOf(spec.concurrencyPolicy, path.child('concurrencyPolicy'), ['Allow', 'Forbid', 'Replace']),
    ...(template === undefined ? [required(job.child('template'))] : validateJobSpec(template, job)),
    ...checkNonNegative(spec.successfulJobsHistoryLimit, path.child('successfulJobsHistoryLimit')),
    ...checkNonNegative(spec.failedJobsHistoryLimit, path.child('failedJobsHistoryLimit')),
  ]
  if (template?.selector !== undefined) {
    errors.push(invalid(job.child('selector'), template.selector, '`selector` will be auto-generated'))
  }
  if (template?.manualSelector === true) errors.push(notSupported(job.child('manualSelector'), true, ['nil', 'false']))
  return errors
}

/** Source: ValidateCronJobCreate. */
export function validateCronJobCreate({ metadata }: Readonly<CronJob>): FieldError[] {
  if ((metadata.name ?? '').length <= NAME_BYTES_MAX) return []
  return [invalid(new FieldPath('metadata.name'), metadata.name, `must be no more than ${NAME_BYTES_MAX} characters`)]
}

function validateSchedule(schedule: string | undefined, at: FieldPath): FieldError[] {
  if (!schedule) return [required(at)]
  if (schedule.includes('TZ')) {
    return [invalid(at, schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead')]
  }
  try {
    parseCron(schedule)
    return []
  } catch (error) {
    return [invalid(at, schedule, (error as SyntaxError).message)]
  }
}

function validateTimeZone(zone: string | undefined, at: FieldPath): FieldError[] {
  if (zone === undefined) return []
  if (zone === '') return [invalid(at, zone, 'timeZone must be nil or non-empty string')]
  if (zone.toLowerCase() === 'local') {
    const detail = 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones'
    return [invalid(at, zone, detail)]
  }
  const isWellFormed = zone
    .split('/')
    .every((part) => /^[A-Za-z._0-9+][A-Za-z.\-_0-9+]{0,13}$/.test(part) && !/^\.{1,2}$/.test(part))
  return isWellFormed && isKnownZone(zone) ? [] : [invalid(at, zone, `unknown time zone ${zone}`)]
}

function isKnownZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: zone }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
