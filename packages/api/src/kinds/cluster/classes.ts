import type { ComponentStatus } from '../../generated/types/core/v1.ts'
import type { RuntimeClass } from '../../generated/types/node/v1.ts'
import type { PriorityClass } from '../../generated/types/scheduling/v1.ts'
import { checkDnsLabel } from '../../meta/names.ts'
import { validateLabels } from '../../meta/validate-object-meta.ts'
import { FieldPath, forbiddenField, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { validateContainerResources } from '../pod/validate-resources.ts'
import { validateTolerations } from '../pod/validate-scheduling.ts'
import { checkImmutable, checkOneOf, checkRequiredName } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const USER_PRIORITY_MAX = 1_000_000_000
/** Classes that the system itself makes. Source: pkg/apis/scheduling/v1/helpers.go v1.37. */
const SYSTEM_CLASSES: Readonly<Record<string, number>> = {
  'system-node-critical': 2_000_001_000,
  'system-cluster-critical': 2_000_000_000,
}
const valuePath = new FieldPath('value')
const policyPath = new FieldPath('preemptionPolicy')

/** Priority classes. Source: pkg/apis/scheduling/{v1,validation}, pkg/registry/scheduling/priorityclass v1.37. */
export const priorityClassBehavior: KindBehavior<PriorityClass> = {
  setDefaults: (draft) => {
    draft.preemptionPolicy ??= 'PreemptLowerPriority'
  },
  prepareForUpdate: (draft, old) => {
    draft.metadata.generation = old.metadata.generation
  },
  validate: (object) => [
    ...validatePriority(object),
    ...checkOneOf(object.preemptionPolicy, policyPath, ['PreemptLowerPriority', 'Never']),
  ],
  validateUpdate: (object, old) => [
    ...((object.value ?? 0) === (old.value ?? 0)
      ? []
      : [forbiddenField(valuePath, 'may not be changed in an update.')]),
    ...checkImmutable(object.preemptionPolicy, old.preemptionPolicy, policyPath),
  ],
  columns: [
    nameColumn,
    column('Value', 'Higher comes first', { type: 'integer' }),
    column('Global-Default', 'Whether pods without a class get this one', { type: 'boolean' }),
    ageColumn,
    column('PreemptionPolicy', 'Whether pods of this class make others give way'),
  ],
  row: ({ metadata, value = 0, globalDefault = false, preemptionPolicy = '' }, nowMs) => [
    metadata.name,
    value,
    globalDefault,
    formatAge(metadata.creationTimestamp, nowMs),
    preemptionPolicy,
  ],
}

/** Runtime classes. Source: pkg/apis/node/validation, pkg/registry/node/runtimeclass v1.37. */
export const runtimeClassBehavior: KindBehavior<RuntimeClass> = {
  hasGeneration: false,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate: ({ handler, overhead, scheduling }) => [
    ...checkRequiredName(handler, new FieldPath('handler'), checkDnsLabel),
    ...validateContainerResources({ limits: overhead?.podFixed }, new FieldPath('overhead'), []),
    ...validateLabels(scheduling?.nodeSelector ?? {}, new FieldPath('scheduling.nodeSelector')),
    ...validateTolerations(scheduling?.tolerations, new FieldPath('scheduling.tolerations')),
  ],
  validateUpdate: (object, old) => checkImmutable(object.handler, old.handler, new FieldPath('handler')),
  columns: [nameColumn, column('Handler', 'Name by which the container runtime knows it'), ageColumn],
  row: ({ metadata, handler }, nowMs) => [metadata.name, handler, formatAge(metadata.creationTimestamp, nowMs)],
}

/** Component statuses, which only old clients ask for. Source: printComponentStatus, pkg/printers v1.37. */
export const componentStatusBehavior: KindBehavior<ComponentStatus> = {
  hasGeneration: false,
  columns: [
    nameColumn,
    column('Status', 'Whether the component is healthy'),
    column('Message', 'What it says'),
    column('Error', 'What is wrong'),
  ],
  row: ({ metadata, conditions }) => {
    const healthy = conditions?.find((condition) => condition.type === 'Healthy')
    const status = healthy === undefined ? 'Unknown' : healthy.status === 'True' ? 'Healthy' : 'Unhealthy'
    return [metadata.name, status, healthy?.message ?? '', healthy?.error ?? '']
  },
}

function validatePriority({ metadata, value = 0, globalDefault = false }: Readonly<PriorityClass>): FieldError[] {
  const name = metadata.name ?? ''
  if (!name.startsWith('system-')) {
    if (value <= USER_PRIORITY_MAX) return []
    return [forbiddenField(valuePath, `maximum allowed value of a user defined priority is ${USER_PRIORITY_MAX}`)]
  }
  const expected = SYSTEM_CLASSES[name]
  const problem =
    expected === undefined
      ? `${name} is not a known system priority class`
      : value !== expected
        ? `value of ${name} PriorityClass must be ${expected}`
        : globalDefault
          ? `globalDefault of ${name} PriorityClass must be false`
          : ''
  if (problem === '') return []
  const detail = `priority class names with 'system-' prefix are reserved for system use only. error: ${problem}`
  return [forbiddenField(new FieldPath('metadata.name'), detail)]
}
