import type { PodTemplateSpec } from '../../generated/types/core/v1.ts'
import type { LabelSelector } from '../../generated/types/meta/v1.ts'
import { selectorFromObject } from '../../selector/label-selector.ts'
import {
  forbiddenField,
  invalid,
  notSupported,
  required,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import { validatePodTemplateSpec } from '../pod/validate-spec.ts'
import { checkNonNegative } from '../shared/check.ts'
import { isEmptySelector, validateLabelSelector } from '../shared/selector.ts'

/** Selector of a workload: there, well formed, and not the one that selects everything. */
export function validateWorkloadSelector(
  selector: LabelSelector | undefined,
  path: FieldPath,
  kindInMessage: string,
): FieldError[] {
  if (selector === undefined || selector === null) return [required(path)]
  const errors = validateLabelSelector(selector, path)
  if (isEmptySelector(selector)) errors.push(invalid(path, selector, `empty selector is invalid for ${kindInMessage}`))
  return errors
}

/** Whether the pods that a template makes are selected. A selector that is wrong in itself was reported already. */
export function checkSelectorMatches(
  selector: LabelSelector | undefined,
  template: Readonly<PodTemplateSpec> | undefined,
  path: FieldPath,
): FieldError[] {
  const labels = template?.metadata?.labels
  try {
    const compiled = selectorFromObject(selector)
    if (compiled.isEmpty || compiled.isNothing || compiled.matches(labels)) return []
  } catch {
    return []
  }
  return [invalid(path.child('metadata', 'labels'), labels ?? {}, '`selector` does not match template `labels`')]
}

/** Template of a workload whose pods run for ever. `kind` is the word in the message about deadlines, as upstream has it. */
export function validateRunningTemplate(
  template: Readonly<PodTemplateSpec> | undefined,
  path: FieldPath,
  kind: 'ReplicaSet' | 'DaemonSet' | 'StatefulSet' | 'ReplicationController',
): FieldError[] {
  if (template === undefined || template === null) return [required(path)]
  const errors = validatePodTemplateSpec(template, path)
  const policy = template.spec?.restartPolicy ?? ''
  if (policy !== 'Always') errors.push(notSupported(path.child('spec', 'restartPolicy'), policy, ['Always']))
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    const at = path.child('spec', 'activeDeadlineSeconds')
    errors.push(forbiddenField(at, `activeDeadlineSeconds in ${kind} is not Supported`))
  }
  return errors
}

/** Counters of a status: not negative, and none above the ones that hold them. `total` names the field that bounds all. */
export function validateReplicaCounts(
  status: object | undefined,
  path: FieldPath,
  names: { readonly counters: readonly string[]; readonly bounded: readonly string[]; readonly readyWord: string },
): FieldError[] {
  const counts = (status ?? {}) as Readonly<Record<string, number | undefined>>
  const errors = names.counters.flatMap((name) => checkNonNegative(counts[name], path.child(name)))
  const total = counts['replicas'] ?? 0
  for (const name of names.bounded) {
    const count = counts[name] ?? 0
    if (count > total) errors.push(invalid(path.child(name), count, 'cannot be greater than status.replicas'))
  }
  const available = counts['availableReplicas'] ?? 0
  if (available > (counts['readyReplicas'] ?? 0)) {
    errors.push(invalid(path.child('availableReplicas'), available, `cannot be greater than ${names.readyWord}`))
  }
  return errors
}

/** A collision count only grows. */
export function checkNotDecremented(
  now: number | undefined,
  before: number | undefined,
  path: FieldPath,
): FieldError[] {
  if (before === undefined || (now ?? 0) >= before) return []
  return [invalid(path, now ?? 0, 'cannot be decremented')]
}
