import type { PodSpec, ResourceClaim, ResourceRequirements } from '../../generated/types/core/v1.ts'
import { checkDnsLabel, checkQualifiedName } from '../../meta/names.ts'
import { compareQuantities, parseQuantity, quantityValue } from '../../quantity/quantity.ts'
import {
  duplicate,
  forbiddenField,
  invalid,
  notSupported,
  required,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import { checkRequiredName, invalidFor, tryQuantity } from '../shared/check.ts'
import {
  isHugePages,
  isIntegerResource,
  isNativeResource,
  isOvercommitAllowed,
  isStandardResource,
} from '../shared/resource-names.ts'
import { aggregateContainers, isPodLevelResource } from './resources.ts'

const CONTAINER_RESOURCES = ['cpu', 'memory', 'ephemeral-storage']
const POD_LEVEL_RESOURCES = ['cpu', 'hugepages-', 'memory']

/** Checks the name of a resource that one container uses. Source: ValidateContainerResourceName, pkg/apis/core/validation v1.37. */
export function validateContainerResourceName(name: string, path: FieldPath): FieldError[] {
  const errors = validateResourceName(name, path)
  if (!name.includes('/')) {
    const isStandard = CONTAINER_RESOURCES.includes(name) || isHugePages(name)
    return isStandard ? errors : [...errors, invalid(path, name, 'must be a standard resource for containers')]
  }
  if (isNativeResource(name) || !name.startsWith('requests.')) return errors
  return [...errors, invalid(path, name, "doesn't follow extended resource name standard")]
}

/** Source: validateResourceName. */
export function validateResourceName(name: string, path: FieldPath): FieldError[] {
  const errors = invalidFor(path, name, checkQualifiedName(name))
  if (errors.length > 0 || name.includes('/') || isStandardResource(name)) return errors
  return [invalid(path, name, 'must be a standard resource type or fully qualified')]
}

/** An amount: not negative, and whole for resources that are counted. Source: ValidateResourceQuantityValue. */
export function validateResourceAmount(name: string, text: string, path: FieldPath): FieldError[] {
  const quantity = tryQuantity(text)
  if (quantity === undefined) return []
  const errors: FieldError[] = []
  if (quantity.nanos < 0n) errors.push(invalid(path, quantity.text, 'must be greater than or equal to 0'))
  if (isIntegerResource(name) && quantity.nanos % 1_000_000_000n !== 0n) {
    errors.push(invalid(path, quantity.text, 'must be an integer'))
  }
  return errors
}

/** Requests and limits of a container. Source: ValidateContainerResourceRequirements. */
export function validateContainerResources(
  resources: ResourceRequirements | undefined,
  path: FieldPath,
  podClaims: readonly string[],
): FieldError[] {
  if (resources === undefined) return []
  return [
    ...validateRequirements(resources, path, validateContainerResourceName),
    ...validateClaims(resources.claims ?? [], path.child('claims'), podClaims),
  ]
}

/** Requests and limits of a pod as a whole. Source: validatePodResources. */
export function validatePodResources(spec: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  const resources = spec.resources
  if (resources === undefined) return []
  if (spec.os?.name === 'windows') return [forbiddenField(path, 'may not be set for a windows pod')]
  const errors: FieldError[] = []
  if (resources.claims !== undefined) {
    errors.push(forbiddenField(path.child('claims'), 'claims may not be set for Resources at pod-level'))
  }
  errors.push(...validateRequirements(resources, path, validatePodResourceName))
  // Amounts that are no quantity were reported above and cannot be added up.
  return errors.length > 0 ? errors : validateConsistency(spec, path)
}

function validatePodResourceName(name: string, path: FieldPath): FieldError[] {
  const errors = validateResourceName(name, path)
  if (errors.length > 0 || isPodLevelResource(name)) return errors
  return [notSupported(path, name, POD_LEVEL_RESOURCES)]
}

type NameCheck = (name: string, path: FieldPath) => FieldError[]

function validateRequirements(resources: ResourceRequirements, path: FieldPath, checkName: NameCheck): FieldError[] {
  const errors: FieldError[] = []
  const { limits = {}, requests = {} } = resources
  for (const [name, text] of Object.entries(limits)) {
    errors.push(...validateAmount(name, text, path.child('limits').key(name), checkName))
  }
  for (const [name, text] of Object.entries(requests)) {
    errors.push(...validateAmount(name, text, path.child('requests').key(name), checkName))
    errors.push(...validateRequestAgainstLimit(name, text, { limits, path }))
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)]
  if (names.some(isHugePages) && !names.includes('cpu') && !names.includes('memory')) {
    errors.push(forbiddenField(path, 'HugePages require cpu or memory'))
  }
  return errors
}

function validateAmount(name: string, text: string, path: FieldPath, checkName: NameCheck): FieldError[] {
  const errors = [...checkName(name, path), ...validateResourceAmount(name, text, path)]
  const pageBytes = isHugePages(name) ? tryQuantity(name.slice('hugepages-'.length))?.value : undefined
  const amount = tryQuantity(text)
  if (isHugePages(name) && amount !== undefined && (!pageBytes || amount.value % pageBytes !== 0)) {
    errors.push(invalid(path, amount.text, `${amount.text} is not positive integer multiple of ${name}`))
  }
  return errors
}

interface RequestContext {
  readonly limits: Readonly<Record<string, string>>
  readonly path: FieldPath
}

function validateRequestAgainstLimit(name: string, text: string, { limits, path }: RequestContext): FieldError[] {
  const request = tryQuantity(text)
  const limit = tryQuantity(limits[name])
  const mayDiffer = isOvercommitAllowed(name)
  if (limit === undefined) {
    return mayDiffer ? [] : [required(path.child('limits'), 'Limit must be set for non overcommitable resources')]
  }
  if (request === undefined) return []
  const order = compareQuantities(request, limit)
  const requestsPath = path.child('requests')
  if (order !== 0 && !mayDiffer) {
    return [invalid(requestsPath, request.text, `must be equal to ${name} limit of ${limit.text}`)]
  }
  return order > 0
    ? [invalid(requestsPath, request.text, `must be less than or equal to ${name} limit of ${limit.text}`)]
    : []
}

function validateClaims(claims: readonly ResourceClaim[], path: FieldPath, podClaims: readonly string[]): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<string>()
  for (const [i, { name, request }] of claims.entries()) {
    const at = path.index(i)
    if (!name) {
      errors.push(required(at))
      continue
    }
    const key = request ? `${name}/${request}` : name
    if (request) errors.push(...checkRequiredName(request, at.child('request'), checkDnsLabel))
    const repeats =
      seen.has(name) || seen.has(key) || (!request && [...seen].some((other) => other.startsWith(`${name}/`)))
    if (repeats) errors.push(duplicate(at, key))
    seen.add(key)
    if (!podClaims.includes(name)) {
      const known = podClaims.length === 0 ? ' which is empty' : `: ${podClaims.toSorted().join(', ')}`
      const message = `Not found: ${JSON.stringify(name)}: must be one of the names in pod.spec.resourceClaims${known}`
      errors.push({ type: 'FieldValueNotFound', field: String(at), message })
    }
  }
  return errors
}

/** A pod must have room for its containers. Source: validatePodResourceConsistency. */
function validateConsistency(spec: Readonly<PodSpec>, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const { requests = {}, limits = {} } = spec.resources ?? {}
  const check = (
    part: 'requests' | 'limits',
    own: Readonly<Record<string, string>>,
    filter: (name: string) => boolean,
  ): void => {
    for (const [name, sum] of Object.entries(tryAggregate(spec, part))) {
      const text = own[name]
      if (text === undefined || !filter(name) || sum <= amountOf(name, text)) continue
      const sumText = name === 'cpu' ? `${sum}m` : String(sum)
      const detail = `must be greater than or equal to aggregate container ${part} of ${parseQuantity(sumText).text}`
      errors.push(invalid(path.child(part).key(name), parseQuantity(text).text, detail))
    }
  }
  check('requests', requests, () => true)
  check('limits', limits, isHugePages)
  for (const [i, container] of (spec.containers ?? []).entries()) {
    for (const [name, text] of Object.entries(container.resources?.limits ?? {})) {
      const podLimit = tryQuantity(limits[name])
      const limit = tryQuantity(text)
      if (podLimit === undefined || limit === undefined || compareQuantities(limit, podLimit) <= 0) continue
      const at = path.child('containers').index(i).key(name).child('limits')
      errors.push(invalid(at, limit.text, `must be less than or equal to pod limits of ${podLimit.text}`))
    }
  }
  return errors
}

function tryAggregate(spec: Readonly<PodSpec>, part: 'requests' | 'limits'): Record<string, number> {
  try {
    return aggregateContainers(spec, part)
  } catch {
    return {}
  }
}

function amountOf(name: string, text: string): number {
  return name === 'cpu' ? parseQuantity(text).milliValue : quantityValue(text)
}
