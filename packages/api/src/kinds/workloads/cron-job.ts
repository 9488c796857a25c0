import { workloadWarnings } from './warnings.ts'
import type { CronJob } from '../../generated/types/batch/v1.ts'
import type { KindBehavior } from '../behavior.ts'
import { formatAge } from '../shared/duration.ts'
import {
  ageColumn,
  column,
  containerImages,
  containerNames,
  formatBoolean,
  formatSelector,
  nameColumn,
  templateColumns,
} from '../shared/table.ts'
import { defaultJobTemplate } from './job.ts'
import { validateCronJob, validateCronJobCreate } from './validate-cron-job.ts'

/** Cron jobs. Source: pkg/apis/batch/v1/defaults.go and pkg/registry/batch/cronjob/strategy.go v1.37. */
export const cronJobBehavior: KindBehavior<CronJob> = {
  warnings: (object, old) =>
    workloadWarnings({
      object,
      path: 'spec.jobTemplate.spec.template',
      template: object.spec.jobTemplate?.spec?.template,
      oldTemplate: old?.spec.jobTemplate?.spec?.template,
      isNameUsed: true,
    }),
  setDefaults: ({ spec }) => {
    if (spec === undefined) return
    if (spec.jobTemplate?.spec !== undefined) defaultJobTemplate(spec.jobTemplate.spec)
    spec.concurrencyPolicy = spec.concurrencyPolicy || 'Allow'
    spec.suspend ??= false
    spec.successfulJobsHistoryLimit ??= 3
    spec.failedJobsHistoryLimit ??= 1
  },
  validate: validateCronJob,
  validateCreate: validateCronJobCreate,
  columns: [
    nameColumn,
    column('Schedule', 'When the jobs start, in cron format'),
    column('Timezone', 'Time zone of the schedule'),
    column('Suspend', 'Whether no more jobs start', { type: 'boolean' }),
    column('Active', 'Jobs that run now', { type: 'integer' }),
    column('Last Schedule', 'Time since the last job was due'),
    ageColumn,
    ...templateColumns,
  ],
  row: cronJobRow,
}

function cronJobRow({ metadata, spec, status }: Readonly<CronJob>, nowMs: number): unknown[] {
  const job = spec.jobTemplate.spec
  return [
    metadata.name,
    spec.schedule,
    spec.timeZone ?? '<none>',
    formatBoolean(spec.suspend),
    (status?.active ?? []).length,
    status?.lastScheduleTime === undefined ? '<none>' : formatAge(status.lastScheduleTime, nowMs),
    formatAge(metadata.creationTimestamp, nowMs),
    containerNames(job?.template.spec?.containers),
    containerImages(job?.template.spec?.containers),
    formatSelector(job?.selector),
  ]
}
