import type {
  CrossVersionObjectReference,
  HPAScalingPolicy,
  HPAScalingRules,
  HorizontalPodAutoscalerSpec,
} from '../../generated/types/autoscaling/v2.ts'
import { checkPathSegment } from '../../meta/names.ts'
import { invalid, notSupported, required, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { checkNonNegative, checkOneOf, checkPositive, checkRequiredName, tryQuantity } from '../shared/check.ts'

const PERIOD_SECONDS_MAX = 1800
const STABILIZATION_SECONDS_MAX = 3600

/** All of an autoscaler's spec but its metrics. Source: pkg/apis/autoscaling/validation v1.37. */
export function validateAutoscalerSpec(spec: Readonly<HorizontalPodAutoscalerSpec>, path: FieldPath): FieldError[] {
  const { minReplicas, behavior } = spec
  const maxReplicas = spec.maxReplicas ?? 0
  const errors = checkNonNegative(minReplicas, path.child('minReplicas'))
  const maxPath = path.child('maxReplicas')
  if (maxReplicas === 0) errors.push(required(maxPath, 'must be set and greater than 0'))
  else if (maxReplicas < 0) errors.push(invalid(maxPath, maxReplicas, 'must be greater than or equal to 1'))
  if (minReplicas !== undefined && maxReplicas < minReplicas) {
    errors.push(invalid(maxPath, maxReplicas, 'must be greater than or equal to `minReplicas`'))
  }
  errors.push(...validateReference(spec.scaleTargetRef ?? {}, path.child('scaleTargetRef')))
  if (behavior?.scaleUp) errors.push(...validateRules(behavior.scaleUp, path.child('behavior').child('scaleUp')))
  if (behavior?.scaleDown) errors.push(...validateRules(behavior.scaleDown, path.child('behavior').child('scaleDown')))
  return errors
}

/** Kind and name of a reference. */
export function validateReference(reference: Partial<CrossVersionObjectReference>, path: FieldPath): FieldError[] {
  return [
    ...checkRequiredName(reference.kind, path.child('kind'), checkPathSegment),
    ...checkRequiredName(reference.name, path.child('name'), checkPathSegment),
  ]
}

function validateRules(rules: Readonly<HPAScalingRules>, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const seconds = rules.stabilizationWindowSeconds ?? 0
  const secondsPath = path.child('stabilizationWindowSeconds')
  const policies = rules.policies ?? []
  if (seconds < 0) errors.push(invalid(secondsPath, seconds, 'must be greater than or equal to zero'))
  if (seconds > STABILIZATION_SECONDS_MAX) {
    errors.push(invalid(secondsPath, seconds, `must be less than or equal to ${STABILIZATION_SECONDS_MAX}`))
  }
  errors.push(...checkOneOf(rules.selectPolicy, path.child('selectPolicy'), ['Disabled', 'Max', 'Min']))
  if (policies.length === 0) errors.push(required(path.child('policies'), 'must specify at least one Policy'))
  errors.push(...policies.flatMap((policy, i) => validatePolicy(policy, path.child('policies').index(i))))
  const tolerance = tryQuantity(rules.tolerance)
  if (tolerance !== undefined && tolerance.nanos < 0n) {
    errors.push(invalid(path.child('tolerance'), rules.tolerance, 'must be greater than or equal to 0'))
  }
  return errors
}

function validatePolicy(
  { type = '', value = 0, periodSeconds = 0 }: Partial<HPAScalingPolicy>,
  path: FieldPath,
): FieldError[] {
  const errors: FieldError[] = []
  if (type !== 'Pods' && type !== 'Percent') errors.push(notSupported(path.child('type'), type, ['Percent', 'Pods']))
  errors.push(...checkPositive(value, path.child('value')))
  errors.push(...checkPositive(periodSeconds, path.child('periodSeconds')))
  if (periodSeconds > PERIOD_SECONDS_MAX) {
    errors.push(
      invalid(path.child('periodSeconds'), periodSeconds, `must be less than or equal to ${PERIOD_SECONDS_MAX}`),
    )
  }
  return errors
}
