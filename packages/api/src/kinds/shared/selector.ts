import type { LabelSelector, LabelSelectorRequirement } from '../../generated/types/meta/v1.ts'
import { checkLabelValue, checkQualifiedName } from '../../meta/names.ts'
import { validateLabels } from '../../meta/validate-object-meta.ts'
import { forbiddenField, invalid, required, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { invalidFor } from './check.ts'

/** Checks a label selector of an object. Source: ValidateLabelSelector, apimachinery meta/v1/validation v0.37. */
export function validateLabelSelector(selector: Readonly<LabelSelector> | undefined, path: FieldPath): FieldError[] {
  if (selector === undefined || selector === null) return []
  const expressions = path.child('matchExpressions')
  return [
    ...validateLabels(selector.matchLabels ?? {}, path.child('matchLabels')),
    ...(selector.matchExpressions ?? []).flatMap((item, i) => validateRequirement(item, expressions.index(i))),
  ]
}

/** Whether the selector says nothing, and so would select everything. */
export function isEmptySelector(selector: Readonly<LabelSelector> | undefined): boolean {
  return Object.keys(selector?.matchLabels ?? {}).length + (selector?.matchExpressions ?? []).length === 0
}

function validateRequirement({ key, operator, values = [] }: LabelSelectorRequirement, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const valuesPath = path.child('values')
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) errors.push(required(valuesPath, "must be specified when `operator` is 'In' or 'NotIn'"))
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) {
      errors.push(forbiddenField(valuesPath, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    }
  } else {
    errors.push(invalid(path.child('operator'), operator, 'not a valid selector operator'))
  }
  errors.push(...invalidFor(path.child('key'), key, checkQualifiedName(key ?? '')))
  for (const [i, value] of values.entries())
    errors.push(...invalidFor(valuesPath.index(i), value, checkLabelValue(value)))
  return errors
}
