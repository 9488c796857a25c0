import type {
  JobSpec,
  PodFailurePolicyOnExitCodesRequirement,
  PodFailurePolicyRule,
  SuccessPolicyRule,
} from '../../generated/types/batch/v1.ts'
import { checkQualifiedName } from '../../meta/names.ts'
import {
  duplicate,
  invalid,
  notSupported,
  required,
  tooLong,
  tooMany,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import { checkNonNegative, checkOneOf, invalidFor } from '../shared/check.ts'

const RULES_MAX = 20
const EXIT_CODES_MAX = 255
const PATTERNS_MAX = 20
const INDEXES_BYTES_MAX = 64 * 1024
const ACTIONS = ['Count', 'FailIndex', 'FailJob', 'Ignore']
const OPERATORS = ['In', 'NotIn']
const STATUSES = ['False', 'True', 'Unknown']

/** When a pod's failure counts. Source: validatePodFailurePolicy, pkg/apis/batch/validation v1.37. */
export function validateFailurePolicy(spec: Readonly<JobSpec>, path: FieldPath): FieldError[] {
  const rules = spec.podFailurePolicy?.rules
  if (spec.podFailurePolicy === undefined) return []
  const at = path.child('rules')
  const errors = (rules ?? []).length > RULES_MAX ? [tooMany(at, rules!.length, RULES_MAX)] : []
  return [...errors, ...(rules ?? []).flatMap((rule, i) => validateFailureRule(spec, rule, at.index(i)))]
}

/** When a job has done enough. Source: validateSuccessPolicy. */
export function validateSuccessPolicy(spec: Readonly<JobSpec>, path: FieldPath): FieldError[] {
  if (spec.successPolicy === undefined) return []
  if (spec.completionMode !== 'Indexed') return [invalid(path, spec.successPolicy, 'requires indexed completion mode')]
  const rules = spec.successPolicy.rules ?? []
  const at = path.child('rules')
  const errors: FieldError[] = []
  if (rules.length === 0)
    errors.push(required(at, 'at least one rules must be specified when the successPolicy is specified'))
  if (rules.length > RULES_MAX) errors.push(tooMany(at, rules.length, RULES_MAX))
  return [...errors, ...rules.flatMap((rule, i) => validateSuccessRule(rule, at.index(i), spec.completions ?? 0))]
}

function validateFailureRule(spec: Readonly<JobSpec>, rule: PodFailurePolicyRule, path: FieldPath): FieldError[] {
  const action = path.child('action')
  const { onExitCodes, onPodConditions = [] } = rule
  const errors: FieldError[] = []
  if (!rule.action)
    errors.push(required(action, `valid values: [${ACTIONS.map((word) => JSON.stringify(word)).join(' ')}]`))
  else if (rule.action === 'FailIndex' && spec.backoffLimitPerIndex === undefined) {
    errors.push(invalid(action, rule.action, 'requires the backoffLimitPerIndex to be set'))
  } else errors.push(...checkOneOf(rule.action, action, ACTIONS))
  if (onExitCodes !== undefined) {
    const { containers = [], initContainers = [] } = spec.template?.spec ?? {}
    const names = [...containers, ...initContainers].map((container) => container.name)
    errors.push(...validateExitCodes(onExitCodes, path.child('onExitCodes'), names))
  }
  const conditions = path.child('onPodConditions')
  if (onPodConditions.length > PATTERNS_MAX) errors.push(tooMany(conditions, onPodConditions.length, PATTERNS_MAX))
  for (const [i, { type, status }] of onPodConditions.entries()) {
    errors.push(...invalidFor(conditions.index(i).child('type'), type, checkQualifiedName(type ?? '')))
    errors.push(...checkOneOf(status, conditions.index(i).child('status'), STATUSES))
  }
  if (onExitCodes !== undefined && onPodConditions.length > 0) {
    errors.push(omitted(path, 'specifying both OnExitCodes and OnPodConditions is not supported'))
  } else if (onExitCodes === undefined && onPodConditions.length === 0) {
    errors.push(omitted(path, 'specifying one of OnExitCodes and OnPodConditions is required'))
  }
  return errors
}

/** Like upstream's "invalid", without the value. */
function omitted(path: FieldPath, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field: String(path), message: `Invalid value: ${detail}` }
}

function validateExitCodes(
  codes: PodFailurePolicyOnExitCodesRequirement,
  path: FieldPath,
  names: readonly string[],
): FieldError[] {
  const { operator, containerName } = codes
  const values = codes.values ?? []
  const errors: FieldError[] = []
  const at = path.child('operator')
  if (!operator) errors.push(required(at, 'valid values: ["In" "NotIn"]'))
  else if (!OPERATORS.includes(operator)) errors.push(notSupported(at, operator, OPERATORS))
  if (containerName !== undefined && !names.includes(containerName)) {
    const detail = 'must be one of the container or initContainer names in the pod template'
    errors.push(invalid(path.child('containerName'), containerName, detail))
  }
  const list = path.child('values')
  if (values.length === 0) errors.push(invalid(list, values, 'at least one value is required'))
  else if (values.length > EXIT_CODES_MAX) errors.push(tooMany(list, values.length, EXIT_CODES_MAX))
  for (const [i, value] of values.entries()) {
    if (operator === 'In' && value === 0)
      errors.push(invalid(list.index(i), value, 'must not be 0 for the In operator'))
    if (values.indexOf(value) < i) errors.push(duplicate(list.index(i), value))
  }
  if (values.some((value, i) => i > 0 && values[i - 1]! > value)) errors.push(invalid(list, values, 'must be ordered'))
  return errors
}

function validateSuccessRule(rule: SuccessPolicyRule, path: FieldPath, completions: number): FieldError[] {
  const { succeededCount, succeededIndexes } = rule
  if (succeededCount === undefined && succeededIndexes === undefined) {
    return [required(path, 'at least one of succeededCount or succeededIndexes must be specified')]
  }
  const errors: FieldError[] = []
  const at = path.child('succeededIndexes')
  let total = 0
  if (succeededIndexes !== undefined) {
    if (succeededIndexes.length > INDEXES_BYTES_MAX) errors.push(tooLong(at, INDEXES_BYTES_MAX))
    try {
      total = countIndexes(succeededIndexes, completions)
    } catch (error) {
      errors.push(invalid(at, succeededIndexes, `error parsing succeededIndexes: ${(error as SyntaxError).message}`))
    }
  }
  if (succeededCount === undefined) return errors
  const count = path.child('succeededCount')
  errors.push(...checkNonNegative(succeededCount, count))
  const atMost = (max: number, of: string): string => `must be less than or equal to ${max} (the number of ${of})`
  if (succeededCount > completions)
    errors.push(invalid(count, succeededCount, atMost(completions, 'specified completions')))
  if (succeededIndexes !== undefined && succeededCount > total) {
    errors.push(invalid(count, succeededCount, atMost(total, 'indexes in the specified succeededIndexes field')))
  }
  return errors
}

/** Number of indexes in a text such as `1,3-5`. Throws `SyntaxError` with upstream's words (validateIndexesFormat). */
function countIndexes(text: string, completions: number): number {
  let total = 0
  let last = -1
  if (text === '') return 0
  for (const interval of text.split(',')) {
    const limits = interval.split('-')
    if (limits.length > 2) {
      const rule = "an index interval can have at most two parts separated by '-'"
      throw new SyntaxError(`the fragment ${JSON.stringify(interval)} violates the requirement that ${rule}`)
    }
    const [from, to] = limits.map((limit) => parseIndex(limit, completions))
    if (to !== undefined && from! >= to)
      throw new SyntaxError(`non-increasing order, previous: ${from}, current: ${to}`)
    if (last >= from!) throw new SyntaxError(`non-increasing order, previous: ${last}, current: ${from}`)
    last = to ?? from!
    total += last - from! + 1
  }
  return total
}

function parseIndex(text: string, completions: number): number {
  if (!/^[+-]?\d+$/.test(text))
    throw new SyntaxError(`cannot convert string to integer for index: ${JSON.stringify(text)}`)
  if (Number(text) >= completions) throw new SyntaxError(`too large index: ${JSON.stringify(text)}`)
  return Number(text)
}
