import type { Scale } from '../../generated/types/autoscaling/v1.ts'
import type {
  CrossVersionObjectReference,
  HPAScalingRules,
  HorizontalPodAutoscaler,
} from '../../generated/types/autoscaling/v2.ts'
import { FieldPath, invalid, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkNonNegative } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { formatMetrics } from './format-metrics.ts'
import { validateAutoscalerSpec } from './validate.ts'
import { validateMetrics } from './validate-metrics.ts'

const CPU_UTILIZATION_PERCENT = 80
const PERIOD_SECONDS = 15
const spec = new FieldPath('spec')
const status = new FieldPath('status')

/**
 * Autoscalers in the shape of v2: convert those of v1 first.
 * Source: pkg/apis/autoscaling/v2/defaults.go, pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go v1.37.
 */
export const horizontalPodAutoscalerBehavior: KindBehavior<HorizontalPodAutoscaler> = {
  setDefaults: setAutoscalerDefaults,
  validate: ({ spec: own }) => [
    ...validateAutoscalerSpec(own, spec),
    ...validateMetrics(own.metrics ?? [], spec.child('metrics'), own.minReplicas),
  ],
  validateCreate: (object) => checkTargetGroup(object.spec.scaleTargetRef ?? {}),
  validateUpdate: (now, old) => {
    const target = now.spec.scaleTargetRef ?? {}
    const { kind, apiVersion } = old.spec.scaleTargetRef ?? {}
    return target.kind === kind && target.apiVersion === apiVersion ? [] : checkTargetGroup(target)
  },
  validateStatusUpdate: ({ status: own }) => [
    ...(own?.conditions ?? []).flatMap((condition, i) =>
      checkNonNegative(condition.observedGeneration, status.child('conditions').index(i).child('observedGeneration')),
    ),
    ...checkNonNegative(own?.currentReplicas, status.child('currentReplicas')),
    ...checkNonNegative(own?.desiredReplicas, status.child('desiredReplicas')),
  ],
  columns: [
    nameColumn,
    column('Reference', 'What is scaled'),
    column('Targets', 'Metrics: as they are, and as they should be'),
    column('MinPods', 'Fewest replicas'),
    column('MaxPods', 'Most replicas'),
    column('Replicas', 'Replicas that are there'),
    ageColumn,
  ],
  row: ({ metadata, spec: own, status: state }, nowMs) => [
    metadata.name,
    `${own.scaleTargetRef.kind}/${own.scaleTargetRef.name}`,
    formatMetrics(own.metrics ?? [], state?.currentMetrics ?? []),
    String(own.minReplicas ?? '<unset>'),
    own.maxReplicas,
    state?.currentReplicas ?? 0,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

/** What the `scale` subresource serves. */
export const scaleBehavior: KindBehavior<Scale> = {
  validate: ({ spec: own }) => checkNonNegative(own?.replicas, spec.child('replicas')),
  columns: [
    column('Name', 'Name of what is scaled'),
    column('Desired', 'Replicas that should be there', { type: 'integer' }),
    column('Available', 'Replicas that are there', { type: 'integer' }),
    ageColumn,
  ],
  row: ({ metadata, spec: own, status: state }, nowMs) => [
    metadata.name,
    own?.replicas ?? 0,
    state?.replicas ?? 0,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

function setAutoscalerDefaults({ spec: own }: HorizontalPodAutoscaler): void {
  own.minReplicas ??= 1
  if ((own.metrics ?? []).length === 0) {
    const target = { type: 'Utilization', averageUtilization: CPU_UTILIZATION_PERCENT }
    own.metrics = [{ type: 'Resource', resource: { name: 'cpu', target } }]
  }
  const { behavior } = own
  if (behavior === undefined) return
  const double = { type: 'Percent', value: 100, periodSeconds: PERIOD_SECONDS }
  const addFour = { type: 'Pods', value: 4, periodSeconds: PERIOD_SECONDS }
  behavior.scaleUp = { stabilizationWindowSeconds: 0, ...withPolicies(behavior.scaleUp, [addFour, double]) }
  behavior.scaleDown = withPolicies(behavior.scaleDown, [double])
}

function withPolicies(
  rules: HPAScalingRules | undefined,
  policies: NonNullable<HPAScalingRules['policies']>,
): HPAScalingRules {
  return { selectPolicy: 'Max', policies, ...rules }
}

/** The target must name its group, which a `ReplicationController`'s lacks. */
function checkTargetGroup({ apiVersion = '', kind }: Partial<CrossVersionObjectReference>): FieldError[] {
  if (kind === 'ReplicationController' || apiVersion.includes('/')) return []
  return [invalid(spec.child('scaleTargetRef').child('apiVersion'), apiVersion, 'apiVersion must specify API group')]
}
