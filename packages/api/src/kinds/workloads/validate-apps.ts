import type {
  DaemonSet,
  Deployment,
  DeploymentStrategy,
  ReplicaSet,
  RollingUpdateDaemonSet,
} from '../../generated/types/apps/v1.ts'
import type { ReplicationController } from '../../generated/types/core/v1.ts'
import {
  FieldPath,
  forbiddenField,
  invalid,
  notSupported,
  required,
  type FieldError,
} from '../../status/field-error.ts'
import {
  checkAtMostAll,
  checkImmutable,
  checkIntOrPercent,
  checkNonNegative,
  intOrPercentNumber,
} from '../shared/check.ts'
import {
  checkNotDecremented,
  checkSelectorMatches,
  validateReplicaCounts,
  validateRunningTemplate,
  validateWorkloadSelector,
} from './validate-template.ts'

const spec = new FieldPath('spec')
const status = new FieldPath('status')

/** Source of this file: pkg/apis/apps/validation/validation.go v1.37. */
export function validateDeployment({ spec: own }: Readonly<Deployment>): FieldError[] {
  const template = spec.child('template')
  const errors = [
    ...checkNonNegative(own.replicas, spec.child('replicas')),
    ...validateWorkloadSelector(own.selector, spec.child('selector'), 'deployment'),
    ...checkSelectorMatches(own.selector, own.template, template),
    ...validateRunningTemplate(own.template, template, 'ReplicaSet'),
    ...validateStrategy(own.strategy ?? {}, spec.child('strategy')),
    ...checkNonNegative(own.minReadySeconds, spec.child('minReadySeconds')),
    ...checkNonNegative(own.revisionHistoryLimit, spec.child('revisionHistoryLimit')),
    ...checkNonNegative(own.progressDeadlineSeconds, spec.child('progressDeadlineSeconds')),
  ]
  if (own.progressDeadlineSeconds !== undefined && own.progressDeadlineSeconds <= (own.minReadySeconds ?? 0)) {
    const at = spec.child('progressDeadlineSeconds')
    errors.push(invalid(at, own.progressDeadlineSeconds, 'must be greater than minReadySeconds'))
  }
  return errors
}

/** The selector says which pods are whose: it never changes. Deployments, replica sets and daemon sets share this. */
export function validateSelectorUpdate(
  object: { readonly spec: { readonly selector?: unknown } },
  old: { readonly spec: { readonly selector?: unknown } },
): FieldError[] {
  return checkImmutable(object.spec.selector, old.spec.selector, spec.child('selector'))
}

export function validateDeploymentStatusUpdate(object: Readonly<Deployment>, old: Readonly<Deployment>): FieldError[] {
  const replicas = ['updatedReplicas', 'readyReplicas', 'availableReplicas']
  return [
    ...validateReplicaCounts(object.status, status, {
      counters: [
        'observedGeneration',
        'replicas',
        ...replicas,
        'unavailableReplicas',
        'terminatingReplicas',
        'collisionCount',
      ],
      bounded: replicas,
      readyWord: 'readyReplicas',
    }),
    ...checkNotDecremented(object.status?.collisionCount, old.status?.collisionCount, status.child('collisionCount')),
  ]
}

export function validateReplicaSet({ spec: own }: Readonly<ReplicaSet>): FieldError[] {
  const template = spec.child('template')
  return [
    ...checkNonNegative(own.replicas, spec.child('replicas')),
    ...checkNonNegative(own.minReadySeconds, spec.child('minReadySeconds')),
    // Upstream says deployment here, too.
    ...validateWorkloadSelector(own.selector, spec.child('selector'), 'deployment'),
    ...checkSelectorMatches(own.selector, own.template, template),
    ...validateRunningTemplate(own.template, template, 'ReplicaSet'),
  ]
}

/** Also for replication controllers, which count the same. */
export function validateReplicaSetStatusUpdate(
  object: Readonly<ReplicaSet> | Readonly<ReplicationController>,
): FieldError[] {
  const replicas = ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas']
  return validateReplicaCounts(object.status, status, {
    counters: ['replicas', ...replicas, 'observedGeneration', 'terminatingReplicas'],
    bounded: replicas,
    readyWord: 'readyReplicas',
  })
}

/** Source: ValidateReplicationControllerSpec, pkg/apis/core/validation v1.37. */
export function validateReplicationController({ spec: own = {} }: Readonly<ReplicationController>): FieldError[] {
  const template = spec.child('template')
  const selector = own.selector ?? {}
  return [
    ...checkNonNegative(own.minReadySeconds, spec.child('minReadySeconds')),
    ...(Object.keys(selector).length === 0 ? [required(spec.child('selector'))] : []),
    ...checkNonNegative(own.replicas, spec.child('replicas')),
    ...checkSelectorMatches({ matchLabels: selector }, own.template, template),
    ...validateRunningTemplate(own.template, template, 'ReplicationController'),
  ]
}

export function validateDaemonSet({ spec: own }: Readonly<DaemonSet>): FieldError[] {
  const template = spec.child('template')
  return [
    ...validateWorkloadSelector(own.selector, spec.child('selector'), 'daemonset'),
    ...checkSelectorMatches(own.selector, own.template, template),
    ...validateRunningTemplate(own.template, template, 'DaemonSet'),
    ...checkNonNegative(own.minReadySeconds, spec.child('minReadySeconds')),
    ...validateDaemonSetStrategy(own.updateStrategy ?? {}, spec.child('updateStrategy')),
    ...checkNonNegative(own.revisionHistoryLimit, spec.child('revisionHistoryLimit')),
  ]
}

export function validateDaemonSetStatusUpdate(object: Readonly<DaemonSet>, old: Readonly<DaemonSet>): FieldError[] {
  const counts = (object.status ?? {}) as unknown as Readonly<Record<string, number | undefined>>
  const names = [
    'currentNumberScheduled',
    'numberMisscheduled',
    'desiredNumberScheduled',
    'numberReady',
    'observedGeneration',
    'updatedNumberScheduled',
    'numberAvailable',
    'numberUnavailable',
    'collisionCount',
  ]
  return [
    ...names.flatMap((name) => checkNonNegative(counts[name], status.child(name))),
    ...checkNotDecremented(object.status?.collisionCount, old.status?.collisionCount, status.child('collisionCount')),
  ]
}

function validateStrategy(strategy: DeploymentStrategy, path: FieldPath): FieldError[] {
  const at = path.child('rollingUpdate')
  const rolling = strategy.rollingUpdate
  if (strategy.type === 'Recreate') {
    const detail = "may not be specified when strategy `type` is 'Recreate'"
    return rolling === undefined ? [] : [forbiddenField(at, detail)]
  }
  if (strategy.type !== 'RollingUpdate') return [notSupported(path, strategy, ['Recreate', 'RollingUpdate'])]
  if (rolling === undefined) return [required(at, 'this should be defaulted and never be nil')]
  const unavailable = at.child('maxUnavailable')
  const errors = [
    ...checkIntOrPercent(rolling.maxUnavailable, unavailable),
    ...checkIntOrPercent(rolling.maxSurge, at.child('maxSurge')),
  ]
  if (intOrPercentNumber(rolling.maxUnavailable) === 0 && intOrPercentNumber(rolling.maxSurge) === 0) {
    errors.push(invalid(unavailable, rolling.maxUnavailable, 'may not be 0 when `maxSurge` is 0'))
  }
  return [...errors, ...checkAtMostAll(rolling.maxUnavailable, unavailable)]
}

function validateDaemonSetStrategy(
  strategy: { type?: string | undefined; rollingUpdate?: RollingUpdateDaemonSet | undefined },
  path: FieldPath,
): FieldError[] {
  if (strategy.type === 'OnDelete') return []
  if (strategy.type !== 'RollingUpdate') return [notSupported(path, strategy, ['RollingUpdate', 'OnDelete'])]
  const at = path.child('rollingUpdate')
  if (strategy.rollingUpdate === undefined) return [required(at)]
  const { maxUnavailable, maxSurge } = strategy.rollingUpdate
  const errors = [
    ...checkIntOrPercent(maxUnavailable, at.child('maxUnavailable')),
    ...checkIntOrPercent(maxSurge, at.child('maxSurge')),
    ...checkAtMostAll(maxUnavailable, at.child('maxUnavailable')),
    ...checkAtMostAll(maxSurge, at.child('maxSurge')),
  ]
  const hasUnavailable = intOrPercentNumber(maxUnavailable) !== 0
  if (hasUnavailable === (intOrPercentNumber(maxSurge) !== 0)) {
    errors.push(
      hasUnavailable
        ? invalid(at.child('maxSurge'), maxSurge, 'may not be set when maxUnavailable is non-zero')
        : required(at.child('maxUnavailable'), 'cannot be 0 when maxSurge is 0'),
    )
  }
  return errors
}
