import type { CompositePodGroup, PodGroup, Workload } from '../../generated/types/scheduling/v1alpha3.ts'
import { FieldPath, required, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkImmutable, checkOneOf, checkPositive } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const spec = new FieldPath('spec')
const PREEMPTION_POLICIES = ['Never', 'PreemptLowerPriority']
type GroupSpec = Pick<PodGroup['spec'], 'preemptionPolicy' | 'schedulingPolicy' | 'workloadRef'>

/** Names and what is required only. Source of this file: pkg/apis/scheduling, pkg/printers/internalversion v1.37. */
export const workloadBehavior: KindBehavior<Workload> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  columns: [nameColumn, ageColumn],
  row: ({ metadata }, nowMs) => [metadata.name, formatAge(metadata.creationTimestamp, nowMs)],
}

export const podGroupBehavior: KindBehavior<PodGroup> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: ({ spec: own }) => [
    ...validateGroup(own ?? {}),
    ...checkPositive(
      own?.schedulingPolicy?.gang?.minCount,
      spec.child('schedulingPolicy').child('gang').child('minCount'),
    ),
  ],
  validateUpdate: (now, old) => checkImmutable(now.spec.workloadRef, old.spec.workloadRef, spec.child('workloadRef')),
  columns: [
    nameColumn,
    column('Policy', 'How the pods are scheduled'),
    column('Workload', 'Workload of the group'),
    column('Status', 'Whether the pods are scheduled'),
    ageColumn,
  ],
  row: (group, nowMs) => [
    group.metadata.name,
    formatPolicy(group.spec),
    group.spec.workloadRef?.workloadName ?? '<none>',
    formatGroupStatus(group),
    formatAge(group.metadata.creationTimestamp, nowMs),
  ],
}

export const compositePodGroupBehavior: KindBehavior<CompositePodGroup> = {
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: ({ spec: own }) => [
    ...validateGroup((own ?? {}) as GroupSpec),
    ...checkPositive(
      own?.schedulingPolicy?.gang?.minGroupCount,
      spec.child('schedulingPolicy').child('gang').child('minGroupCount'),
    ),
  ],
  columns: [
    nameColumn,
    column('Policy', 'How the groups are scheduled'),
    column('Workload', 'Workload of the group'),
    ageColumn,
  ],
  row: ({ metadata, spec: own }, nowMs) => [
    metadata.name,
    formatPolicy(own as GroupSpec),
    own.workloadRef?.workloadName ?? '<none>',
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

function validateGroup({ schedulingPolicy, preemptionPolicy }: Partial<GroupSpec>): FieldError[] {
  const { basic, gang } = schedulingPolicy ?? {}
  const none = basic === undefined && gang === undefined
  return [
    ...(none ? [required(spec.child('schedulingPolicy'), 'must specify one of: `basic`, `gang`')] : []),
    ...checkOneOf(preemptionPolicy, spec.child('preemptionPolicy'), PREEMPTION_POLICIES),
  ]
}

function formatPolicy({ schedulingPolicy }: GroupSpec): string {
  return schedulingPolicy?.gang === undefined ? 'Basic' : 'Gang'
}

function formatGroupStatus({ status }: Readonly<PodGroup>): string {
  const conditions = status?.conditions ?? []
  const disruption = conditions.findLast((condition) => condition.type === 'DisruptionTarget')
  if (disruption !== undefined) return disruption.reason
  const scheduled = conditions.findLast((condition) => condition.type === 'PodGroupInitiallyScheduled')
  if (scheduled === undefined) return 'Pending'
  return scheduled.status === 'True' ? 'Scheduled' : 'Unschedulable'
}
