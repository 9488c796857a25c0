import { workloadWarnings } from './warnings.ts'
import type { Job, JobSpec } from '../../generated/types/batch/v1.ts'
import { defaultPodTemplate } from '../pod/default-spec.ts'
import type { KindBehavior } from '../behavior.ts'
import { deepEqual } from '../../meta/values.ts'
import { formatAge, formatDuration } from '../shared/duration.ts'
import {
  ageColumn,
  column,
  containerImages,
  containerNames,
  formatSelector,
  nameColumn,
  templateColumns,
} from '../shared/table.ts'
import { validateJob, validateJobCreate, validateJobUpdate } from './validate-job.ts'

const INT32_MAX = 2_147_483_647
const DEFAULT_BACKOFF_LIMIT = 6
const CONTROLLER_UID = 'batch.kubernetes.io/controller-uid'

/** Jobs. Source: pkg/apis/batch/v1/defaults.go and pkg/registry/batch/job/strategy.go v1.37. */
export const jobBehavior: KindBehavior<Job> = {
  warnings: (object, old) =>
    workloadWarnings({
      object,
      path: 'spec.template',
      template: object.spec?.template,
      oldTemplate: old?.spec?.template,
      isNameUsed: true,
    }),
  setDefaults: defaultJob,
  prepareForCreate: (draft) => {
    if (draft.spec === undefined || draft.spec.manualSelector === true) return
    const isLabelledAsTemplate = deepEqual(draft.metadata.labels ?? {}, draft.spec.template?.metadata?.labels ?? {})
    generateSelector(draft, draft.spec)
    // A job without labels of its own has those of its pods, also the ones that were just made up: upstream's maps are one.
    if (isLabelledAsTemplate) draft.metadata.labels = { ...draft.spec.template.metadata?.labels }
  },
  validate: validateJob,
  validateCreate: validateJobCreate,
  validateUpdate: validateJobUpdate,
  selectableFields: ({ status }) => ({ 'status.successful': String(status?.succeeded ?? 0) }),
  selectableFieldNames: ['status.successful'],
  columns: [
    nameColumn,
    column('Status', 'How far the job is'),
    column('Completions', 'Pods that succeeded, of those that must'),
    column('Duration', 'Time that the job took, or has taken so far'),
    ageColumn,
    ...templateColumns,
  ],
  row: jobRow,
}

function defaultJob(draft: Job): void {
  const spec = draft.spec
  if (spec === undefined) return
  defaultJobTemplate(spec)
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1
  spec.parallelism ??= 1
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? DEFAULT_BACKOFF_LIMIT : INT32_MAX
  const labels = spec.template?.metadata?.labels
  if (labels !== undefined && Object.keys(draft.metadata.labels ?? {}).length === 0)
    draft.metadata.labels = { ...labels }
  spec.completionMode ??= 'NonIndexed'
  spec.suspend ??= false
  spec.podReplacementPolicy ??= spec.podFailurePolicy === undefined ? 'TerminatingOrFailed' : 'Failed'
  spec.manualSelector ??= false
}

/** What jobs and the job template of a cron job share; everything else of a template is left open. */
export function defaultJobTemplate(spec: JobSpec): void {
  defaultPodTemplate(spec.template)
  for (const rule of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of rule.onPodConditions ?? []) pattern.status = pattern.status || 'True'
  }
}

/** Ties the pods to this very job by its uid. Labels that the user gave stay, for validation to judge. */
function generateSelector(job: Job, spec: JobSpec): void {
  const uid = job.metadata.uid ?? ''
  const name = job.metadata.name ?? ''
  const metadata = (spec.template.metadata ??= {})
  metadata.labels = {
    'job-name': name,
    'batch.kubernetes.io/job-name': name,
    'controller-uid': uid,
    [CONTROLLER_UID]: uid,
    ...metadata.labels,
  }
  spec.selector ??= {}
  spec.selector.matchLabels = { [CONTROLLER_UID]: uid, ...spec.selector.matchLabels }
}

/** Condition types that name the state, most telling first. */
const FINAL_STATES = ['Complete', 'Failed'] as const
const PASSING_STATES = ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'] as const

function jobStatus(job: Readonly<Job>): string {
  const isTrue = (type: string): boolean =>
    job.status?.conditions?.find((condition) => condition.type === type)?.status === 'True'
  const final = FINAL_STATES.find(isTrue)
  if (final !== undefined) return final
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating'
  return PASSING_STATES.find(isTrue) ?? 'Running'
}

function jobCompletions({ spec, status }: Readonly<Job>): string {
  const succeeded = status?.succeeded ?? 0
  if (spec?.completions !== undefined) return `${succeeded}/${spec.completions}`
  const parallelism = spec?.parallelism ?? 0
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`
}

function jobDuration({ status }: Readonly<Job>, nowMs: number): string {
  if (status?.startTime === undefined) return ''
  const endMs = status.completionTime === undefined ? nowMs : Date.parse(status.completionTime)
  return formatDuration(endMs - Date.parse(status.startTime))
}

function jobRow(job: Readonly<Job>, nowMs: number): unknown[] {
  const containers = job.spec?.template.spec?.containers
  return [
    job.metadata.name,
    jobStatus(job),
    jobCompletions(job),
    jobDuration(job, nowMs),
    formatAge(job.metadata.creationTimestamp, nowMs),
    containerNames(containers),
    containerImages(containers),
    formatSelector(job.spec?.selector),
  ]
}
