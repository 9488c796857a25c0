import type { Job, JobSpec } from '../../generated/types/batch/v1.ts'
import { checkDnsLabel } from '../../meta/names.ts'
import { selectorFromObject } from '../../selector/label-selector.ts'
import { FieldPath, invalid, notSupported, required, type FieldError } from '../../status/field-error.ts'
import { validatePodTemplateSpec } from '../pod/validate-spec.ts'
import { checkImmutable, checkNonNegative, checkOneOf } from '../shared/check.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { validateLabelSelector } from '../shared/selector.ts'
import { validateFailurePolicy, validateSuccessPolicy } from './validate-job-policies.ts'
import { checkSelectorMatches } from './validate-template.ts'

const PARALLELISM_INDEXED_MAX = 100_000
const FAILED_INDEXES_MAX = 100_000
/** Above so many completions, an indexed job with a limit per index may do less at once. */
const COMPLETIONS_SOFT_MAX = 100_000
const MANY_COMPLETIONS_MAX = 10_000

/** Rules of a job, of both create and update. Source: ValidateJobSpec, pkg/apis/batch/validation v1.37. */
export function validateJob({ spec }: Readonly<Job>): FieldError[] {
  const path = new FieldPath('spec')
  if (spec === undefined) return [required(path.child('template'))]
  const selector = path.child('selector')
  return [
    ...validateJobSpec(spec, path),
    ...(spec.selector === undefined ? [required(selector)] : validateLabelSelector(spec.selector, selector)),
    ...checkSelectorMatches(spec.selector, spec.template, path.child('template')),
  ]
}

/** Rules of a new job only. Source: ValidateJobCreate. */
export function validateJobCreate(job: Readonly<Job>): FieldError[] {
  const errors = validateGeneratedSelector(job)
  const { completionMode, completions = 0 } = job.spec ?? {}
  if (completionMode === 'Indexed' && completions > 0) {
    const hostname = `${job.metadata.name ?? ''}-${completions - 1}`
    const detail = `will not able to create pod with invalid DNS label: ${hostname}`
    if (checkDnsLabel(hostname).length > 0)
      errors.push(invalid(new FieldPath('metadata.name'), job.metadata.name, detail))
  }
  return errors
}

/** Source: ValidateJobSpecUpdate. A suspended job may be told anew where and with how much its pods run. */
export function validateJobUpdate(job: Readonly<Job>, old: Readonly<Job>): FieldError[] {
  const path = new FieldPath('spec')
  const spec = job.spec
  const before = old.spec
  if (spec === undefined || before === undefined) return []
  const fields = [
    'selector',
    'completionMode',
    'podFailurePolicy',
    'backoffLimitPerIndex',
    'managedBy',
    'successPolicy',
  ] as const
  return [
    ...validateCompletionsUpdate(spec, before, path.child('completions')),
    ...checkImmutable(withMutableTemplateFields(spec, old), before.template, path.child('template')),
    ...fields.flatMap((field) => checkImmutable(spec[field], before[field], path.child(field))),
  ]
}

/** What job and cron job share. Source: validateJobSpec. */
export function validateJobSpec(spec: Readonly<JobSpec>, path: FieldPath): FieldError[] {
  const numbers = [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'ttlSecondsAfterFinished',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
  ] as const
  const errors = numbers.flatMap((name) => checkNonNegative(spec[name], path.child(name)))
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    errors.push(required(path.child('backoffLimitPerIndex'), 'when maxFailedIndexes is specified'))
  }
  errors.push(...checkOneOf(spec.completionMode, path.child('completionMode'), ['NonIndexed', 'Indexed']))
  errors.push(...(spec.completionMode === 'Indexed' ? validateIndexed(spec, path) : refuseIndexed(spec, path)))
  errors.push(...validateFailurePolicy(spec, path.child('podFailurePolicy')))
  errors.push(...validateSuccessPolicy(spec, path.child('successPolicy')))
  const replacements = spec.podFailurePolicy === undefined ? ['Failed', 'TerminatingOrFailed'] : ['Failed']
  errors.push(...checkOneOf(spec.podReplacementPolicy, path.child('podReplacementPolicy'), replacements))
  errors.push(...validatePodTemplateSpec(spec.template, path.child('template')))
  return [...errors, ...validateRestartPolicy(spec, path.child('template', 'spec', 'restartPolicy'))]
}

function validateRestartPolicy({ template, podFailurePolicy }: Readonly<JobSpec>, path: FieldPath): FieldError[] {
  const policy = template?.spec?.restartPolicy ?? ''
  if (policy === '' || policy === 'Always') return [required(path, 'valid values: "OnFailure", "Never"')]
  if (policy !== 'OnFailure' && policy !== 'Never') return [notSupported(path, policy, ['OnFailure', 'Never'])]
  if (podFailurePolicy === undefined || policy === 'Never') return []
  return [invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
}

function refuseIndexed(spec: Readonly<JobSpec>, path: FieldPath): FieldError[] {
  const fields = ['backoffLimitPerIndex', 'maxFailedIndexes'] as const
  return fields.flatMap((field) => {
    return spec[field] === undefined
      ? []
      : [invalid(path.child(field), spec[field], 'requires indexed completion mode')]
  })
}

function validateIndexed(spec: Readonly<JobSpec>, path: FieldPath): FieldError[] {
  const { completions, parallelism, maxFailedIndexes } = spec
  const parallel = path.child('parallelism')
  const failed = path.child('maxFailedIndexes')
  const errors: FieldError[] = []
  if (completions === undefined) errors.push(required(path.child('completions'), 'when completion mode is Indexed'))
  if (parallelism !== undefined && parallelism > PARALLELISM_INDEXED_MAX) {
    const detail = `must be less than or equal to ${PARALLELISM_INDEXED_MAX} when completion mode is Indexed`
    errors.push(invalid(parallel, parallelism, detail))
  }
  if (completions !== undefined && maxFailedIndexes !== undefined && maxFailedIndexes > completions) {
    errors.push(invalid(failed, maxFailedIndexes, 'must be less than or equal to completions'))
  }
  if (maxFailedIndexes !== undefined && maxFailedIndexes > FAILED_INDEXES_MAX) {
    errors.push(invalid(failed, maxFailedIndexes, `must be less than or equal to ${FAILED_INDEXES_MAX}`))
  }
  if ((completions ?? 0) <= COMPLETIONS_SOFT_MAX || spec.backoffLimitPerIndex === undefined) return errors
  if (maxFailedIndexes === undefined) {
    errors.push(required(failed, `must be specified when completions is above ${COMPLETIONS_SOFT_MAX}`))
  }
  const detail = `must be less than or equal to ${MANY_COMPLETIONS_MAX} when completions are above ${COMPLETIONS_SOFT_MAX} and used with backoff limit per index`
  if ((parallelism ?? 0) > MANY_COMPLETIONS_MAX) errors.push(invalid(parallel, parallelism, detail))
  if ((maxFailedIndexes ?? 0) > MANY_COMPLETIONS_MAX) errors.push(invalid(failed, maxFailedIndexes, detail))
  return errors
}

/** Source: validateGeneratedSelector. */
function validateGeneratedSelector({ metadata, spec }: Readonly<Job>): FieldError[] {
  if (spec?.manualSelector === true || spec?.selector === undefined) return []
  const uid = metadata.uid ?? ''
  const name = metadata.name ?? ''
  const labels: Record<string, string> = {
    'controller-uid': uid,
    'job-name': name,
    'batch.kubernetes.io/controller-uid': uid,
    'batch.kubernetes.io/job-name': name,
  }
  const path = new FieldPath('spec.template.metadata.labels')
  const own = spec.template?.metadata?.labels ?? {}
  const errors: FieldError[] = []
  if (uid === '') errors.push(required(new FieldPath('metadata.uid')))
  for (const [key, expected] of Object.entries(labels)) {
    if (own[key] === undefined) errors.push(required(path.key(key), `must be '${expected}'`))
    else if (own[key] !== expected) errors.push(invalid(path.key(key), own, `must be '${expected}'`))
  }
  try {
    if (selectorFromObject(spec.selector).matches(labels)) return errors
  } catch {
    return errors
  }
  return [...errors, invalid(new FieldPath('spec.selector'), spec.selector, '`selector` not auto-generated')]
}

function validateCompletionsUpdate(spec: JobSpec, before: JobSpec, path: FieldPath): FieldError[] {
  if (spec.completionMode !== 'Indexed') return checkImmutable(spec.completions, before.completions, path)
  if (spec.completions === before.completions || spec.completions === undefined) return []
  if (spec.completions === spec.parallelism) return []
  return [invalid(path, spec.completions, 'can only be modified in tandem with spec.parallelism')]
}

/** The new template with everything that may change now set back. */
function withMutableTemplateFields({ template }: JobSpec, { spec: before, status }: Readonly<Job>): unknown {
  const old = before?.template
  const isSuspended = status?.conditions?.some(({ type, status: is }) => type === 'Suspended' && is === 'True') === true
  const mayChange =
    before?.suspend === true && (isSuspended || status?.startTime === undefined) && (status?.active ?? 0) === 0
  if (!mayChange || template.spec === undefined || old?.spec === undefined) return template
  const affinity = { ...template.spec.affinity, nodeAffinity: old.spec.affinity?.nodeAffinity }
  const resourcesOf = <T extends { name: string; resources?: unknown }>(
    now: T[] | undefined,
    earlier: T[] | undefined,
  ): T[] | undefined =>
    now?.map((container, i) => {
      const match = earlier?.[i]?.name === container.name ? earlier[i] : undefined
      return match === undefined ? container : { ...container, resources: match.resources }
    })
  return {
    ...template,
    metadata: { ...template.metadata, labels: old.metadata?.labels, annotations: old.metadata?.annotations },
    spec: {
      ...template.spec,
      affinity: semanticEqual(affinity, {}) ? undefined : affinity,
      nodeSelector: old.spec.nodeSelector,
      tolerations: old.spec.tolerations,
      schedulingGates: old.spec.schedulingGates,
      containers: resourcesOf(template.spec.containers, old.spec.containers),
      initContainers: resourcesOf(template.spec.initContainers, old.spec.initContainers),
    },
  }
}
