import type { MetricIdentifier, MetricSpec, MetricTarget } from '../../generated/types/autoscaling/v2.ts'
import { checkDnsLabel, checkPathSegment } from '../../meta/names.ts'
import {
  forbiddenField,
  invalid,
  notSupported,
  required,
  type FieldError,
  type FieldPath,
} from '../../status/field-error.ts'
import { invalidFor, tryQuantity } from '../shared/check.ts'
import { validateReference } from './validate.ts'

/** Where each type of metric has its description, in the order in which they are looked at. */
const SOURCES = {
  Object: 'object',
  External: 'external',
  Pods: 'pods',
  Resource: 'resource',
  ContainerResource: 'containerResource',
} as const

/** Metrics of an autoscaler. Source: validateMetrics, pkg/apis/autoscaling/validation v1.37. */
export function validateMetrics(
  metrics: readonly MetricSpec[],
  path: FieldPath,
  minReplicas: number | undefined,
): FieldError[] {
  const errors = metrics.flatMap((metric, i) => validateMetric(metric, path.index(i)))
  if (minReplicas === 0 && !metrics.some(({ type }) => type === 'Object' || type === 'External')) {
    const detail = 'must specify at least one Object or External metric to support scaling to zero replicas'
    errors.push(forbiddenField(path, detail))
  }
  return errors
}

function validateMetric(metric: Readonly<MetricSpec>, path: FieldPath): FieldError[] {
  const type = metric.type ?? ''
  const errors: FieldError[] = []
  const present = Object.values(SOURCES).filter((source) => metric[source] !== undefined)
  const expected = Object.hasOwn(SOURCES, type) ? SOURCES[type as keyof typeof SOURCES] : undefined
  if (type === '') errors.push(required(path.child('type'), 'must specify a metric source type'))
  if (present[0] !== undefined) errors.push(...validateSource(metric, present[0], path.child(present[0])))
  if (expected === undefined) {
    errors.push(notSupported(path.child('type'), type, Object.keys(SOURCES).toSorted()))
  } else if (metric[expected] === undefined) {
    errors.push(required(path.child(expected), 'must populate information for the given metric source'))
  }
  if (present.length === 1) return errors
  const surplus = present.filter((source) => source !== expected)
  const detail = 'must populate the given metric source only'
  return [...errors, ...surplus.map((source) => forbiddenField(path.child(source), detail))]
}

function validateSource(
  metric: Readonly<MetricSpec>,
  source: (typeof SOURCES)[keyof typeof SOURCES],
  path: FieldPath,
): FieldError[] {
  const target = metric[source]?.target ?? ({} as MetricTarget)
  const targetPath = path.child('target')
  const targetErrors = validateTarget(target, targetPath)
  if (source === 'resource' || source === 'containerResource') {
    const container = source === 'containerResource' ? validateContainer(metric.containerResource?.container, path) : []
    const name = metric[source]?.name ? [] : [required(path.child('name'), 'must specify a resource name')]
    return [...name, ...container, ...targetErrors, ...validateResourceTarget(target, targetPath)]
  }
  const described =
    source === 'object' ? validateReference(metric.object?.describedObject ?? {}, path.child('describedObject')) : []
  const identifier = validateIdentifier(metric[source]?.metric, path.child('metric'))
  const { value, averageValue } = target
  const errors = [...described, ...identifier, ...targetErrors]
  const averagePath = targetPath.child('averageValue')
  if (source === 'pods') {
    if (averageValue === undefined) errors.push(required(averagePath, 'must specify a positive target averageValue'))
    return errors
  }
  if (value === undefined && averageValue === undefined) {
    const external = 'must set either a target value for metric or a per-pod target'
    errors.push(
      required(averagePath, source === 'object' ? 'must set either a target value or averageValue' : external),
    )
  }
  if (source === 'external' && value !== undefined && averageValue !== undefined) {
    const detail = 'may not set both a target value for metric and a per-pod target'
    errors.push(forbiddenField(targetPath.child('value'), detail))
  }
  return errors
}

function validateContainer(container: string | undefined, path: FieldPath): FieldError[] {
  const at = path.child('container')
  return container ? invalidFor(at, container, checkDnsLabel(container)) : [required(at, 'must specify a container')]
}

function validateResourceTarget(target: MetricTarget, path: FieldPath): FieldError[] {
  const { averageUtilization, averageValue } = target
  if (averageUtilization === undefined && averageValue === undefined) {
    const detail = 'must set either a target raw value or a target utilization'
    return [required(path.child('averageUtilization'), detail)]
  }
  if (averageUtilization === undefined || averageValue === undefined) return []
  return [forbiddenField(path.child('averageValue'), 'may not set both a target raw value and a target utilization')]
}

function validateTarget(target: MetricTarget, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  if (!target.type) errors.push(required(path.child('type'), 'must specify a metric target type'))
  if (!['Utilization', 'Value', 'AverageValue'].includes(target.type)) {
    errors.push(invalid(path.child('type'), target.type ?? '', 'must be either Utilization, Value, or AverageValue'))
  }
  for (const field of ['value', 'averageValue'] as const) {
    const quantity = tryQuantity(target[field])
    if (quantity !== undefined && quantity.nanos <= 0n) {
      errors.push(invalid(path.child(field), target[field], 'must be positive'))
    }
  }
  const { averageUtilization } = target
  if (averageUtilization !== undefined && averageUtilization < 1) {
    errors.push(invalid(path.child('averageUtilization'), averageUtilization, 'must be greater than 0'))
  }
  return errors
}

function validateIdentifier(metric: MetricIdentifier | undefined, path: FieldPath): FieldError[] {
  const at = path.child('name')
  return metric?.name
    ? invalidFor(at, metric.name, checkPathSegment(metric.name))
    : [required(at, 'must specify a metric name')]
}
