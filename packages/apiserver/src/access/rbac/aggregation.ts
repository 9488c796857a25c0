import type { LabelSelector } from '@centaurus/api/meta/v1'
import type { ClusterRole, PolicyRule } from '@centaurus/api/rbac/v1'

export interface AggregationStep {
  readonly role: Readonly<ClusterRole>
  readonly rules: readonly PolicyRule[]
}

/**
 * Cluster roles whose rules are not yet those of the roles that they gather, and what their rules should be: the gathered roles'
 * in the order of their names, each rule once. Pure. Source: pkg/controller/clusterroleaggregation (v1.37).
 */
export function planAggregation(roles: readonly Readonly<ClusterRole>[]): AggregationStep[] {
  const sorted = roles.toSorted((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
  return roles.flatMap((role) => {
    const selectors = role.aggregationRule?.clusterRoleSelectors
    if (selectors === undefined) return []
    const rules = new Map<string, PolicyRule>()
    for (const candidate of sorted) {
      if (candidate.metadata.name === role.metadata.name) continue
      const labels = candidate.metadata.labels ?? {}
      if (!selectors.some((selector) => matchesLabels(selector, labels))) continue
      for (const rule of candidate.rules ?? []) rules.set(JSON.stringify(rule), rule)
    }
    const current = (role.rules ?? []).map((rule) => JSON.stringify(rule))
    const wanted = [...rules.keys()]
    const isSame = current.length === wanted.length && current.every((text, i) => text === wanted[i])
    return isSame ? [] : [{ role, rules: [...rules.values()] }]
  })
}

function matchesLabels(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const exact = Object.entries(selector.matchLabels ?? {})
  return (
    exact.every(([key, value]) => labels[key] === value) &&
    (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = labels[key]
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value)
        case 'NotIn':
          return value === undefined || !values.includes(value)
        case 'Exists':
          return value !== undefined
        default:
          return value === undefined
      }
    })
  )
}
