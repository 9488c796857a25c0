import type { HorizontalPodAutoscaler as AutoscalerV1 } from '../generated/types/autoscaling/v1.ts'
import type {
  HorizontalPodAutoscaler as AutoscalerV2,
  HorizontalPodAutoscalerSpec,
  HorizontalPodAutoscalerStatus,
  MetricSpec,
  MetricStatus,
} from '../generated/types/autoscaling/v2.ts'
import { isRecord } from '../meta/values.ts'
import {
  metricFromV1,
  metricStatusFromV1,
  metricStatusToV1,
  metricToV1,
  withLowerKeys,
  withUpperKeys,
} from './autoscaler-metrics.ts'
import { dropAbsent } from './drop-absent.ts'

const CPU_UTILIZATION_PERCENT = 80
const PREFIX = 'autoscaling.alpha.kubernetes.io/'
const ANNOTATIONS = ['metrics', 'current-metrics', 'conditions', 'behavior'].map((name) => PREFIX + name)

/**
 * An autoscaler as `autoscaling/v1` has it: what that version has no field for goes to annotations. Parts are shared with `object`.
 * Source: pkg/apis/autoscaling/v1/conversion.go v1.37.
 */
export function autoscalerV1FromV2(object: Readonly<AutoscalerV2>): AutoscalerV1 {
  const { spec, status } = object
  const metrics = spec.metrics ?? []
  const others = metrics.filter((metric) => cpuUtilization(metric) === undefined)
  const annotations = withoutOurs(object.metadata.annotations) ?? {}
  const add = (name: string, value: unknown): void => {
    annotations[PREFIX + name] = JSON.stringify(value)
  }
  if (others.length > 0) add('metrics', others.map(metricToV1))
  if ((status?.currentMetrics ?? []).length > 0) add('current-metrics', status!.currentMetrics!.map(metricStatusToV1))
  if (spec.behavior !== undefined) add('behavior', withUpperKeys(spec.behavior))
  if ((status?.conditions ?? []).length > 0) add('conditions', status!.conditions)
  return dropAbsent<AutoscalerV1>({
    apiVersion: 'autoscaling/v1',
    kind: 'HorizontalPodAutoscaler',
    metadata: withAnnotations(object.metadata, annotations),
    spec: dropAbsent({
      scaleTargetRef: spec.scaleTargetRef,
      minReplicas: spec.minReplicas,
      maxReplicas: spec.maxReplicas,
      targetCPUUtilizationPercentage: metrics.map(cpuUtilization).find((value) => value !== undefined),
    }),
    status: status && statusToV1(status),
  })
}

/** Inverse of {@link autoscalerV1FromV2}. Annotations that do not parse are dropped, as upstream does. */
export function autoscalerV2FromV1(object: Readonly<AutoscalerV1>): AutoscalerV2 {
  const { metadata, spec, status } = object
  const annotations = metadata.annotations ?? {}
  const metrics = parseList(annotations[`${PREFIX}metrics`]).map(metricFromV1)
  const target = spec.targetCPUUtilizationPercentage
  if (target !== undefined || metrics.length === 0) metrics.push(cpuMetric(target ?? CPU_UTILIZATION_PERCENT))
  const behavior = parseRecord(annotations[`${PREFIX}behavior`])
  return dropAbsent<AutoscalerV2>({
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: withAnnotations(metadata, withoutOurs(metadata.annotations) ?? {}),
    spec: dropAbsent<HorizontalPodAutoscalerSpec>({
      scaleTargetRef: spec.scaleTargetRef,
      minReplicas: spec.minReplicas,
      maxReplicas: spec.maxReplicas,
      metrics,
      behavior: behavior && (withLowerKeys(behavior) as NonNullable<HorizontalPodAutoscalerSpec['behavior']>),
    }),
    status: status && statusToV2(status, annotations),
  })
}

function statusToV1(status: Readonly<HorizontalPodAutoscalerStatus>): NonNullable<AutoscalerV1['status']> {
  const cpu = (status.currentMetrics ?? []).findLast(
    ({ type, resource }) =>
      type === 'Resource' && resource?.name === 'cpu' && resource.current.averageUtilization !== undefined,
  )
  return dropAbsent({
    currentCPUUtilizationPercentage: cpu?.resource?.current.averageUtilization,
    currentReplicas: status.currentReplicas ?? 0,
    desiredReplicas: status.desiredReplicas ?? 0,
    lastScaleTime: status.lastScaleTime,
    observedGeneration: status.observedGeneration,
  })
}

function statusToV2(
  status: Readonly<NonNullable<AutoscalerV1['status']>>,
  annotations: Readonly<Record<string, string>>,
): HorizontalPodAutoscalerStatus {
  const utilization = status.currentCPUUtilizationPercentage
  const saved = annotations[`${PREFIX}current-metrics`]
  const cpu: MetricStatus[] | undefined =
    utilization === undefined
      ? undefined
      : [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: utilization } } }]
  const conditions = annotations[`${PREFIX}conditions`]
  return dropAbsent<HorizontalPodAutoscalerStatus>({
    currentReplicas: status.currentReplicas,
    desiredReplicas: status.desiredReplicas,
    lastScaleTime: status.lastScaleTime,
    observedGeneration: status.observedGeneration,
    currentMetrics: saved === undefined ? cpu : parseList(saved).map(metricStatusFromV1),
    conditions:
      conditions === undefined
        ? undefined
        : (parseList(conditions) as unknown as NonNullable<HorizontalPodAutoscalerStatus['conditions']>),
  })
}

function cpuUtilization({ type, resource }: Readonly<MetricSpec>): number | undefined {
  return type === 'Resource' && resource?.name === 'cpu' ? resource.target.averageUtilization : undefined
}

function cpuMetric(percent: number): MetricSpec {
  return { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: percent } } }
}

function withAnnotations<T extends { annotations?: Record<string, string> | undefined }>(
  metadata: T,
  annotations: Record<string, string>,
): T {
  const { annotations: _dropped, ...others } = metadata
  return (Object.keys(annotations).length > 0 ? { ...others, annotations } : others) as T
}

function withoutOurs(annotations: Readonly<Record<string, string>> | undefined): Record<string, string> | undefined {
  if (annotations === undefined) return undefined
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => !ANNOTATIONS.includes(name)))
}

function parseRecord(text: string | undefined): Record<string, unknown> | undefined {
  const value = parseJson(text)
  return isRecord(value) && Object.keys(value).length > 0 ? value : undefined
}

function parseList(text: string | undefined): Record<string, unknown>[] {
  const value = parseJson(text)
  return Array.isArray(value) ? value.filter(isRecord) : []
}

function parseJson(text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
