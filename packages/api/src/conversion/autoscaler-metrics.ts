import type { MetricSpec, MetricStatus } from '../generated/types/autoscaling/v2.ts'
import { parseQuantity } from '../quantity/quantity.ts'
import { isRecord } from '../meta/values.ts'
import { dropAbsent } from './drop-absent.ts'

/** Metrics of version 1 are published nowhere: they live in annotations only. Source: autoscaling/v1 types.go, api v0.37. */
type MetricV1 = Record<string, unknown>

type Source = 'object' | 'pods' | 'external' | 'resource' | 'containerResource'
const SOURCES: readonly Source[] = ['object', 'pods', 'external', 'resource', 'containerResource']

export function metricToV1(metric: Readonly<MetricSpec>): MetricV1 {
  const converted: MetricV1 = { type: metric.type }
  const { object, pods, external, resource, containerResource } = metric
  if (object) {
    converted['object'] = dropAbsent({
      target: object.describedObject,
      metricName: object.metric.name,
      targetValue: object.target.value ?? '0',
      selector: object.metric.selector,
      averageValue: object.target.averageValue,
    })
  }
  if (pods) {
    const { averageValue = '0' } = pods.target
    const { name, selector } = pods.metric
    converted['pods'] = dropAbsent({ metricName: name, targetAverageValue: averageValue, selector })
  }
  if (external) {
    converted['external'] = dropAbsent({
      metricName: external.metric.name,
      metricSelector: external.metric.selector,
      targetValue: external.target.value,
      targetAverageValue: external.target.averageValue,
    })
  }
  for (const [name, source] of [
    ['resource', resource],
    ['containerResource', containerResource],
  ] as const) {
    if (source === undefined) continue
    const { averageUtilization, averageValue } = source.target
    converted[name] = dropAbsent({
      name: source.name,
      targetAverageUtilization: averageUtilization,
      targetAverageValue: averageValue,
      container: 'container' in source ? source.container : undefined,
    })
  }
  return converted
}

export function metricFromV1(metric: Readonly<MetricV1>): MetricSpec {
  const converted: Record<string, unknown> = { type: metric['type'] }
  for (const name of SOURCES) {
    const source = metric[name]
    if (isRecord(source)) converted[name] = sourceFromV1(name, source)
  }
  return converted as unknown as MetricSpec
}

function sourceFromV1(name: Source, source: Readonly<MetricV1>): unknown {
  const { targetValue, targetAverageValue, targetAverageUtilization: averageUtilization } = source
  if (name === 'resource' || name === 'containerResource') {
    const type = averageUtilization === undefined ? 'AverageValue' : 'Utilization'
    const target = dropAbsent({ type, averageUtilization, averageValue: targetAverageValue })
    return dropAbsent({ name: source['name'], container: source['container'], target })
  }
  const metric = identifierFromV1(source)
  if (name === 'pods') return { metric, target: { type: 'AverageValue', averageValue: targetAverageValue } }
  if (name === 'external') {
    const type = targetValue === undefined ? 'AverageValue' : 'Value'
    return { metric, target: dropAbsent({ type, value: targetValue, averageValue: targetAverageValue }) }
  }
  const { averageValue } = source
  // Version 1 always writes a value, and a zero beside an average means none.
  const value = averageValue !== undefined && isZero(targetValue) ? undefined : targetValue
  const type = averageValue === undefined ? 'Value' : 'AverageValue'
  return { describedObject: source['target'], metric, target: dropAbsent({ type, value, averageValue }) }
}

export function metricStatusToV1(metric: Readonly<MetricStatus>): MetricV1 {
  const converted: MetricV1 = { type: metric.type }
  const { object, pods, external, resource, containerResource } = metric
  if (object) {
    converted['object'] = dropAbsent({
      target: object.describedObject,
      metricName: object.metric.name,
      currentValue: object.current.value ?? '0',
      selector: object.metric.selector,
      averageValue: object.current.averageValue,
    })
  }
  if (pods) {
    const { name, selector } = pods.metric
    converted['pods'] = dropAbsent({
      metricName: name,
      currentAverageValue: pods.current.averageValue ?? '0',
      selector,
    })
  }
  if (external) {
    converted['external'] = dropAbsent({
      metricName: external.metric.name,
      metricSelector: external.metric.selector,
      currentValue: external.current.value ?? '0',
      currentAverageValue: external.current.averageValue,
    })
  }
  for (const [name, source] of [
    ['resource', resource],
    ['containerResource', containerResource],
  ] as const) {
    if (source === undefined) continue
    converted[name] = dropAbsent({
      name: source.name,
      currentAverageUtilization: source.current.averageUtilization,
      currentAverageValue: source.current.averageValue ?? '0',
      container: 'container' in source ? source.container : undefined,
    })
  }
  return converted
}

export function metricStatusFromV1(metric: Readonly<MetricV1>): MetricStatus {
  const converted: Record<string, unknown> = { type: metric['type'] }
  for (const name of SOURCES) {
    const source = metric[name]
    if (!isRecord(source)) continue
    const average = name === 'object' ? source['averageValue'] : source['currentAverageValue']
    const current = dropAbsent({
      value: source['currentValue'],
      averageValue: average,
      averageUtilization: source['currentAverageUtilization'],
    })
    const isResource = name === 'resource' || name === 'containerResource'
    const describedObject = name === 'object' ? source['target'] : undefined
    converted[name] = isResource
      ? dropAbsent({ name: source['name'], container: source['container'], current })
      : dropAbsent({ describedObject, metric: identifierFromV1(source), current })
  }
  return converted as unknown as MetricStatus
}

function identifierFromV1(source: Readonly<MetricV1>): unknown {
  return dropAbsent({ name: source['metricName'], selector: source['selector'] ?? source['metricSelector'] })
}

function isZero(quantity: unknown): boolean {
  try {
    return typeof quantity !== 'string' || parseQuantity(quantity).nanos === 0n
  } catch {
    return false
  }
}

/** Upstream writes the behavior with Go's field names, and reads either. */
export function withUpperKeys(value: unknown): unknown {
  return mapKeys(value, (key) => key.slice(0, 1).toUpperCase() + key.slice(1))
}

export function withLowerKeys(value: unknown): unknown {
  return mapKeys(value, (key) => key.slice(0, 1).toLowerCase() + key.slice(1))
}

/** Null is how Go writes what is absent. Depth is bounded by the parser of the annotation and the schema of the behavior. */
function mapKeys(value: unknown, rename: (key: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => mapKeys(item, rename))
  if (!isRecord(value)) return value
  const entries = Object.entries(value).filter(([, item]) => item !== null && item !== undefined)
  return Object.fromEntries(entries.map(([key, item]) => [rename(key), mapKeys(item, rename)]))
}
