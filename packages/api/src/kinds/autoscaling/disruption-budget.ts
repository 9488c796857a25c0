import type { PodDisruptionBudget } from '../../generated/types/policy/v1.ts'
import { FieldPath, invalid } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkAtMostAll, checkIntOrPercent, checkNonNegative, checkOneOf } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { validateLabelSelector } from '../shared/selector.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'

const path = new FieldPath('spec')
const COUNTS = ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const

/** Source: pkg/apis/policy/validation, pkg/registry/policy/poddisruptionbudget v1.37. */
export const podDisruptionBudgetBehavior: KindBehavior<PodDisruptionBudget> = {
  allowUnconditionalUpdate: false,
  validate: ({ spec = {} }) => {
    const { minAvailable, maxUnavailable, selector, unhealthyPodEvictionPolicy } = spec
    const both = minAvailable !== undefined && maxUnavailable !== undefined
    const minPath = path.child('minAvailable')
    const maxPath = path.child('maxUnavailable')
    return [
      ...(both ? [invalid(path, spec, 'minAvailable and maxUnavailable cannot be both set')] : []),
      ...checkIntOrPercent(minAvailable, minPath),
      ...checkAtMostAll(minAvailable, minPath),
      ...checkIntOrPercent(maxUnavailable, maxPath),
      ...checkAtMostAll(maxUnavailable, maxPath),
      ...validateLabelSelector(selector, path.child('selector')),
      ...checkOneOf(unhealthyPodEvictionPolicy, path.child('unhealthyPodEvictionPolicy'), [
        'AlwaysAllow',
        'IfHealthyBudget',
      ]),
    ]
  },
  validateStatusUpdate: ({ status }) =>
    COUNTS.flatMap((field) => checkNonNegative(status?.[field], new FieldPath('status').child(field))),
  columns: [
    nameColumn,
    column('Min Available', 'Pods that must stay'),
    column('Max Unavailable', 'Pods that may be missing'),
    column('Allowed Disruptions', 'Pods that may be evicted now', { type: 'integer' }),
    ageColumn,
  ],
  row: ({ metadata, spec, status }, nowMs) => [
    metadata.name,
    String(spec?.minAvailable ?? 'N/A'),
    String(spec?.maxUnavailable ?? 'N/A'),
    status?.disruptionsAllowed ?? 0,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}
