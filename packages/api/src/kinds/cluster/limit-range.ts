import type { LimitRange, LimitRangeItem } from '../../generated/types/core/v1.ts'
import { checkQualifiedName } from '../../meta/names.ts'
import { compareQuantities, type Quantity } from '../../quantity/quantity.ts'
import { duplicate, FieldPath, forbiddenField, invalid, required, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { roundUpResources } from '../pod/default-containers.ts'
import { validateContainerResourceName, validateResourceName } from '../pod/validate-resources.ts'
import { invalidFor, tryQuantity } from '../shared/check.ts'
import { isOvercommitAllowed } from '../shared/resource-names.ts'

const TYPES = ['Pod', 'Container', 'PersistentVolumeClaim']
const LISTS = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const

/** Limit ranges. Source: SetDefaults_LimitRangeItem, pkg/apis/core/v1; ValidateLimitRange, pkg/apis/core/validation v1.37. */
export const limitRangeBehavior: KindBehavior<LimitRange> = {
  hasGeneration: false,
  allowCreateOnUpdate: true,
  setDefaults: ({ spec }) => {
    for (const item of spec?.limits ?? []) defaultItem(item)
  },
  validate: ({ spec }) => validateLimits(spec?.limits ?? []),
  columns: [
    { name: 'Name', type: 'string', format: 'name', description: 'Name of the object', priority: 0 },
    { name: 'Created At', type: 'date', format: '', description: 'When the object was created', priority: 0 },
  ],
  row: ({ metadata }) => [metadata.name, metadata.creationTimestamp],
}

function defaultItem(item: LimitRangeItem): void {
  for (const list of LISTS) roundUpResources(item[list])
  if (item.type !== 'Container') return
  item.default = { ...item.max, ...item.default }
  item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest }
}

function validateLimits(limits: readonly LimitRangeItem[]): FieldError[] {
  const path = new FieldPath('spec.limits')
  const types = limits.map((item) => item.type)
  return limits.flatMap((item, i) => {
    const at = path.index(i)
    const errors = validateType(item.type ?? '', at.child('type'))
    if (types.indexOf(item.type) < i) errors.push(duplicate(at.child('type'), item.type))
    for (const list of LISTS) {
      if (item.type === 'Pod' && (list === 'default' || list === 'defaultRequest')) {
        if (Object.keys(item[list] ?? {}).length === 0) continue
        errors.push(forbiddenField(at.child(list), "may not be specified when `type` is 'Pod'"))
        continue
      }
      errors.push(
        ...Object.keys(item[list] ?? {}).flatMap((name) => checkName(item.type, name, at.child(list).key(name))),
      )
    }
    if (item.type === 'PersistentVolumeClaim' && !item.min?.['storage'] && !item.max?.['storage']) {
      const detail = 'either minimum or maximum storage value is required, but neither was provided'
      errors.push(required(at.child('limits'), detail))
    }
    const names = new Set(LISTS.flatMap((list) => Object.keys(item[list] ?? {})))
    return [...errors, ...[...names].flatMap((name) => validateOrder(item, name, at))]
  })
}

function validateType(type: string, path: FieldPath): FieldError[] {
  const errors = invalidFor(path, type, checkQualifiedName(type))
  if (errors.length > 0 || type.includes('/') || TYPES.includes(type)) return errors
  return [invalid(path, type, 'must be a standard limit type or fully qualified')]
}

function checkName(type: string, name: string, path: FieldPath): FieldError[] {
  return type === 'Pod' || type === 'Container'
    ? validateContainerResourceName(name, path)
    : validateResourceName(name, path)
}

/** min ≤ defaultRequest ≤ default ≤ max, for one resource. */
function validateOrder(item: LimitRangeItem, name: string, path: FieldPath): FieldError[] {
  const isPod = item.type === 'Pod'
  const min = tryQuantity(item.min?.[name])
  const max = tryQuantity(item.max?.[name])
  const limit = isPod ? undefined : tryQuantity(item.default?.[name])
  const request = isPod ? undefined : tryQuantity(item.defaultRequest?.[name])
  const errors: FieldError[] = []
  const check = (low: Quantity | undefined, high: Quantity | undefined, [list, value, detail]: Complaint): void => {
    if (low === undefined || high === undefined || compareQuantities(low, high) <= 0) return
    errors.push(invalid(path.child(list).key(name), value?.text, detail))
  }
  check(min, max, ['min', min, `min value ${min?.text} is greater than max value ${max?.text}`])
  check(min, request, [
    'defaultRequest',
    request,
    `min value ${min?.text} is greater than default request value ${request?.text}`,
  ])
  check(request, max, [
    'defaultRequest',
    request,
    `default request value ${request?.text} is greater than max value ${max?.text}`,
  ])
  check(request, limit, [
    'defaultRequest',
    request,
    `default request value ${request?.text} is greater than default limit value ${limit?.text}`,
  ])
  check(min, limit, ['default', min, `min value ${min?.text} is greater than default value ${limit?.text}`])
  check(limit, max, ['default', max, `default value ${limit?.text} is greater than max value ${max?.text}`])
  if (
    !isOvercommitAllowed(name) &&
    limit !== undefined &&
    request !== undefined &&
    compareQuantities(limit, request) !== 0
  ) {
    const detail = `default value ${limit.text} must equal to defaultRequest value ${request.text} in ${name}`
    errors.push(invalid(path.child('defaultRequest').key(name), request.text, detail))
  }
  return [...errors, ...validateRatio(item, name, path.child('maxLimitRequestRatio').key(name))]
}

type Complaint = readonly ['min' | 'default' | 'defaultRequest', Quantity | undefined, string]

function validateRatio(item: LimitRangeItem, name: string, path: FieldPath): FieldError[] {
  const ratio = tryQuantity(item.maxLimitRequestRatio?.[name])
  if (ratio === undefined) return []
  const errors: FieldError[] = []
  if (ratio.nanos < 1_000_000_000n) errors.push(invalid(path, ratio.text, `ratio ${ratio.text} is less than 1`))
  const min = tryQuantity(item.min?.[name])
  const max = tryQuantity(item.max?.[name])
  if (min === undefined || max === undefined) return errors
  const limit = Number(max.nanos) / Number(min.nanos)
  if (Number(ratio.nanos) / 1e9 > limit) {
    errors.push(invalid(path, ratio.text, `ratio ${ratio.text} is greater than max/min = ${limit.toFixed(6)}`))
  }
  return errors
}
