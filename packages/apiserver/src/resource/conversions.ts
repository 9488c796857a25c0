/**
 * Conversions between the served and the stored version of built-in kinds whose versions differ in more than their name. Each
 * takes an object that it may change and returns it. Source: kubernetes pkg/apis/{events,autoscaling,resource}, conversion.go of each version, v1.37.
 */
import { isRecord, type KubeObject } from '@centaurus/api'

type Members = Record<string, unknown>
type Convert = (object: KubeObject) => void

export interface Conversion {
  readonly fromStorage: Convert
  readonly toStorage: Convert
}

/** By `group/version/resource` of the served form; absent: the versions differ in nothing but their name. */
export const CONVERSIONS: ReadonlyMap<string, Conversion> = new Map([
  ['events.k8s.io/v1/events', { fromStorage: toNewEvent, toStorage: toCoreEvent }],
  ['autoscaling/v1/horizontalpodautoscalers', { fromStorage: toAutoscalerV1, toStorage: toAutoscalerV2 }],
  [
    'resource.k8s.io/v1beta1/resourceclaims',
    { fromStorage: eachRequest(flattenRequest), toStorage: eachRequest(nestRequest) },
  ],
  [
    'resource.k8s.io/v1beta1/resourceclaimtemplates',
    { fromStorage: eachRequest(flattenRequest), toStorage: eachRequest(nestRequest) },
  ],
  [
    'resource.k8s.io/v1beta1/resourceslices',
    { fromStorage: eachDevice(nestDevice), toStorage: eachDevice(flattenDevice) },
  ],
])

/** core/v1 name → events.k8s.io/v1 name. */
const EVENT_FIELDS = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
  ['reportingComponent', 'reportingController'],
] as const

function toNewEvent(object: KubeObject): void {
  const event = object as unknown as Members
  for (const [core, renamed] of EVENT_FIELDS) rename(event, core, renamed)
}

function toCoreEvent(object: KubeObject): void {
  const event = object as unknown as Members
  for (const [core, renamed] of EVENT_FIELDS) rename(event, renamed, core)
  event['involvedObject'] ??= {}
}

function rename(object: Members, from: string, to: string): void {
  if (object[from] === undefined) return
  object[to] = object[from]
  delete object[from]
}

const METRICS_ANNOTATION = 'autoscaling.alpha.kubernetes.io/metrics'
const CURRENT_METRICS_ANNOTATION = 'autoscaling.alpha.kubernetes.io/current-metrics'
const CONDITIONS_ANNOTATION = 'autoscaling.alpha.kubernetes.io/conditions'
const BEHAVIOR_ANNOTATION = 'autoscaling.alpha.kubernetes.io/behavior'

/** What version 1 has no field for travels in annotations, so that nothing is lost on the way there and back. */
function toAutoscalerV1(object: KubeObject): void {
  const { spec, status } = partsOf(object)
  const annotations: Record<string, string> = { ...object.metadata.annotations }
  const metrics = listOf(spec['metrics'])
  const cpu = metrics.find(isCpuUtilization)
  if (cpu !== undefined) {
    spec['targetCPUUtilizationPercentage'] = read(cpu, 'resource', 'target', 'averageUtilization')
  }
  keepIn(
    annotations,
    METRICS_ANNOTATION,
    metrics.filter((metric) => metric !== cpu),
  )
  if (spec['behavior'] !== undefined) annotations[BEHAVIOR_ANNOTATION] = JSON.stringify(spec['behavior'])
  delete spec['metrics']
  delete spec['behavior']
  const current = listOf(status['currentMetrics'])
  const currentCpu = current.find(
    (metric) => metric['type'] === 'Resource' && read(metric, 'resource', 'name') === 'cpu',
  )
  if (currentCpu !== undefined) {
    status['currentCPUUtilizationPercentage'] = read(currentCpu, 'resource', 'current', 'averageUtilization')
  }
  keepIn(
    annotations,
    CURRENT_METRICS_ANNOTATION,
    current.filter((metric) => metric !== currentCpu),
  )
  keepIn(annotations, CONDITIONS_ANNOTATION, listOf(status['conditions']))
  delete status['currentMetrics']
  delete status['conditions']
  if (Object.keys(annotations).length > 0) object.metadata.annotations = annotations
}

function toAutoscalerV2(object: KubeObject): void {
  const { spec, status } = partsOf(object)
  const annotations: Record<string, string> = { ...object.metadata.annotations }
  const metrics = takeFrom(annotations, METRICS_ANNOTATION)
  const target = spec['targetCPUUtilizationPercentage']
  if (target !== undefined) {
    const resource = { name: 'cpu', target: { type: 'Utilization', averageUtilization: target } }
    metrics.unshift({ type: 'Resource', resource })
  }
  if (metrics.length > 0) spec['metrics'] = metrics
  const behavior = parseText(annotations[BEHAVIOR_ANNOTATION])
  if (isRecord(behavior)) spec['behavior'] = behavior
  delete annotations[BEHAVIOR_ANNOTATION]
  delete spec['targetCPUUtilizationPercentage']
  const current = takeFrom(annotations, CURRENT_METRICS_ANNOTATION)
  const currentCpu = status['currentCPUUtilizationPercentage']
  if (currentCpu !== undefined) {
    current.unshift({ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: currentCpu } } })
  }
  if (current.length > 0) status['currentMetrics'] = current
  const conditions = takeFrom(annotations, CONDITIONS_ANNOTATION)
  if (conditions.length > 0) status['conditions'] = conditions
  delete status['currentCPUUtilizationPercentage']
  if (object.metadata.annotations === undefined) return
  if (Object.keys(annotations).length > 0) object.metadata.annotations = annotations
  else delete object.metadata.annotations
}

function isCpuUtilization(metric: Members): boolean {
  return (
    metric['type'] === 'Resource' &&
    read(metric, 'resource', 'name') === 'cpu' &&
    read(metric, 'resource', 'target', 'averageUtilization') !== undefined
  )
}

function keepIn(annotations: Record<string, string>, name: string, list: readonly Members[]): void {
  if (list.length > 0) annotations[name] = JSON.stringify(list)
}

function takeFrom(annotations: Record<string, string>, name: string): Members[] {
  const list = listOf(parseText(annotations[name]))
  delete annotations[name]
  return list
}

function parseText(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined // a user wrote the annotation; upstream drops it as well
  }
}

/** In v1beta1 a request for devices says inline what later versions put under `exactly`. */
const REQUEST_FIELDS = [
  'deviceClassName',
  'selectors',
  'allocationMode',
  'count',
  'adminAccess',
  'tolerations',
  'capacity',
]

function nestRequest(request: Members): void {
  if (request['deviceClassName'] === undefined || request['deviceClassName'] === '') return
  const exactly: Members = {}
  for (const field of REQUEST_FIELDS) {
    if (request[field] !== undefined) exactly[field] = request[field]
    delete request[field]
  }
  request['exactly'] = exactly
}

function flattenRequest(request: Members): void {
  Object.assign(request, request['exactly'])
  delete request['exactly']
}

/** In v1beta1 a device's facts stand under `basic`. */
function nestDevice(device: Members): void {
  const { name, ...basic } = device
  for (const field of Object.keys(basic)) delete device[field]
  device['name'] = name
  device['basic'] = basic
}

function flattenDevice(device: Members): void {
  Object.assign(device, device['basic'])
  delete device['basic']
}

function eachRequest(convert: (request: Members) => void): Convert {
  return (object) => {
    const spec = (object as unknown as { spec?: Members }).spec ?? {}
    const claim = isRecord(spec['spec']) ? spec['spec'] : spec // a template holds the claim's spec in its own
    for (const request of listOf(read(claim, 'devices', 'requests'))) convert(request)
  }
}

function eachDevice(convert: (device: Members) => void): Convert {
  return (object) => {
    for (const device of listOf(read(object, 'spec', 'devices'))) convert(device)
  }
}

function partsOf(object: KubeObject): { spec: Members; status: Members } {
  const parts = object as unknown as { spec?: Members; status?: Members }
  return { spec: (parts.spec ??= {}), status: (parts.status ??= {}) }
}

function listOf(value: unknown): Members[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

function read(value: unknown, ...path: readonly string[]): unknown {
  let found = value
  for (const member of path) found = isRecord(found) ? found[member] : undefined
  return found
}
