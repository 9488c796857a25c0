import { checkLabelValue, checkQualifiedName } from '../meta/names.ts'
import { FieldPath, invalid, notSupported, type FieldError } from '../status/field-error.ts'

/** Source: apimachinery pkg/selection. `=` and `==` mean the same; `gt` and `lt` compare integers. */
export type SelectorOperator = '=' | '==' | '!=' | 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt'

/** One condition on one label. Make it with {@link createRequirement}, which checks it. */
export interface Requirement {
  readonly key: string
  readonly operator: SelectorOperator
  /** One value for `=`, `==`, `!=`, `gt`, `lt`; none for `exists` and `!`; one or more, sorted, for the others. */
  readonly values: readonly string[]
}

export const BINARY_OPERATORS: readonly SelectorOperator[] = ['in', 'notin', '=', '==', '!=', 'gt', 'lt']

/** What is wrong with a requirement, in upstream's words (labels.NewRequirement). Without a path, fields print as `<nil>`, `key` and `values`. */
export function checkRequirement(requirement: Requirement, path: FieldPath = new FieldPath()): FieldError[] {
  const { key, operator, values } = requirement
  const errors: FieldError[] = []
  const keyErrors = checkQualifiedName(key)
  if (keyErrors.length > 0) errors.push(invalid(path.child('key'), key, keyErrors.join('; ')))
  const valuesPath = path.child('values')
  const wrongCount = describeWrongCount(operator, values)
  if (wrongCount !== undefined) errors.push(invalid(valuesPath, values, wrongCount))
  if (operator === 'gt' || operator === 'lt') errors.push(...checkIntegers(values, valuesPath))
  if (![...BINARY_OPERATORS, 'exists', '!'].includes(operator)) {
    errors.push(notSupported(path.child('operator'), operator, [...BINARY_OPERATORS, 'exists', '!']))
  }
  for (const [i, value] of values.entries()) {
    const valueErrors = checkLabelValue(value)
    if (valueErrors.length > 0) errors.push(invalid(valuesPath.index(i).key(key), value, valueErrors.join('; ')))
  }
  return errors
}

function describeWrongCount(operator: SelectorOperator, values: readonly string[]): string | undefined {
  switch (operator) {
    case 'in':
    case 'notin':
      return values.length === 0 ? "for 'in', 'notin' operators, values set can't be empty" : undefined
    case '=':
    case '==':
    case '!=':
      return values.length === 1 ? undefined : 'exact-match compatibility requires one single value'
    case 'exists':
    case '!':
      return values.length === 0 ? undefined : 'values set must be empty for exists and does not exist'
    case 'gt':
    case 'lt':
      return values.length === 1 ? undefined : "for 'Gt', 'Lt' operators, exactly one value is required"
  }
}

function checkIntegers(values: readonly string[], path: FieldPath): FieldError[] {
  return values.flatMap((value, i) =>
    parseInt64(value) === undefined
      ? [invalid(path.index(i), value, "for 'Gt', 'Lt' operators, the value must be an integer")]
      : [],
  )
}

/** Go's `strconv.ParseInt(text, 10, 64)`; undefined when the text is not such a number. */
export function parseInt64(text: string): bigint | undefined {
  if (!/^[+-]?[0-9]{1,19}$/.test(text)) return undefined
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text)
  return BigInt.asIntN(64, value) === value ? value : undefined
}

/** `a=b`, `c in (x,y)`, `!d`. */
export function formatRequirement({ key, operator, values }: Requirement): string {
  const list = values.length > 1 ? values.toSorted().join(',') : (values[0] ?? '')
  switch (operator) {
    case '!':
      return `!${key}`
    case 'exists':
      return key
    case 'in':
    case 'notin':
      return `${key} ${operator} (${list})`
    case 'gt':
      return `${key}>${list}`
    case 'lt':
      return `${key}<${list}`
    default:
      return `${key}${operator}${list}`
  }
}
