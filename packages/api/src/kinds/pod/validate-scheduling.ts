import type { PodSchedulingGate, Toleration, TopologySpreadConstraint } from '../../generated/types/core/v1.ts'
import { checkLabelValue, checkQualifiedName } from '../../meta/names.ts'
import {
  duplicate,
  invalid,
  notSupported,
  required,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import { checkOneOf, checkPositive, invalidFor } from '../shared/check.ts'
import { validateLabelSelector } from '../shared/selector.ts'
import { validateLabelKeys } from './validate-affinity.ts'

/** Effects of a taint, as upstream prints them. */
export const TAINT_EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

/** Source: ValidateTolerations, pkg/apis/core/validation v1.37. */
export function validateTolerations(tolerations: readonly Toleration[] | undefined, path: FieldPath): FieldError[] {
  return (tolerations ?? []).flatMap((toleration, i) => validateToleration(toleration, path.index(i)))
}

/** Source: validateTopologySpreadConstraints. */
export function validateSpread(
  constraints: readonly TopologySpreadConstraint[] | undefined,
  path: FieldPath,
): FieldError[] {
  const list = constraints ?? []
  return list.flatMap((constraint, i) => {
    const at = path.index(i)
    const errors = validateConstraint(constraint, at)
    const { topologyKey, whenUnsatisfiable } = constraint
    const repeats = list
      .slice(i + 1)
      .some((other) => other.topologyKey === topologyKey && other.whenUnsatisfiable === whenUnsatisfiable)
    if (repeats) {
      errors.push(duplicate(at.child('{topologyKey, whenUnsatisfiable}'), `{${topologyKey}, ${whenUnsatisfiable}}`))
    }
    return errors
  })
}

/** Source: validateSchedulingGates. */
export function validateSchedulingGates(
  gates: readonly PodSchedulingGate[] | undefined,
  path: FieldPath,
): FieldError[] {
  const names = (gates ?? []).map((gate) => gate.name ?? '')
  return names.flatMap((name, i) => {
    const errors = invalidFor(path.index(i), name, checkQualifiedName(name))
    return names.indexOf(name) < i ? [...errors, duplicate(path.index(i), name)] : errors
  })
}

function validateToleration(
  { key, operator, value = '', effect, tolerationSeconds }: Toleration,
  path: FieldPath,
): FieldError[] {
  const at = path.child('operator')
  const errors = key ? invalidFor(path.child('key'), key, checkQualifiedName(key)) : []
  if (!key && operator !== 'Exists') {
    const detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
    errors.push(invalid(at, operator ?? '', detail))
  }
  if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
    errors.push(
      invalid(path.child('effect'), effect ?? '', "effect must be 'NoExecute' when `tolerationSeconds` is set"),
    )
  }
  if (!operator || operator === 'Equal') {
    const messages = checkLabelValue(value)
    if (messages.length > 0) errors.push(invalid(at, value, messages.join(';')))
  } else if (operator === 'Exists') {
    if (value !== '') errors.push(invalid(at, value, "value must be empty when `operator` is 'Exists'"))
  } else if (operator === 'Lt' || operator === 'Gt') {
    errors.push(notSupported(at, operator, ['Equal', 'Exists', 'Lt', 'Gt']))
  } else {
    errors.push(notSupported(at, operator, ['Equal', 'Exists']))
  }
  return effect ? [...errors, ...checkOneOf(effect, path.child('effect'), TAINT_EFFECTS)] : errors
}

function validateConstraint(constraint: TopologySpreadConstraint, path: FieldPath): FieldError[] {
  const { minDomains, whenUnsatisfiable } = constraint
  const minPath = path.child('minDomains')
  const errors = [
    ...checkPositive(constraint.maxSkew ?? 0, path.child('maxSkew')),
    ...(constraint.topologyKey ? [] : [required(path.child('topologyKey'), 'can not be empty')]),
    ...checkOneOf(whenUnsatisfiable ?? '', path.child('whenUnsatisfiable'), ['DoNotSchedule', 'ScheduleAnyway']),
    ...checkPositive(minDomains, minPath),
  ]
  if (minDomains !== undefined && whenUnsatisfiable !== 'DoNotSchedule') {
    const detail = `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`
    errors.push(invalid(minPath, minDomains, detail))
  }
  return [
    ...errors,
    ...checkOneOf(constraint.nodeAffinityPolicy, path.child('nodeAffinityPolicy'), ['Honor', 'Ignore']),
    ...checkOneOf(constraint.nodeTaintsPolicy, path.child('nodeTaintsPolicy'), ['Honor', 'Ignore']),
    ...validateLabelKeys(constraint, path, constraint.labelSelector),
    ...validateLabelSelector(constraint.labelSelector, path.child('labelSelector')),
  ]
}
