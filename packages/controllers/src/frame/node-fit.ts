import type {
  Node,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodSpec,
  Taint,
  Toleration,
} from '@centaurus/api/core/v1'

/** Whether one toleration covers one taint. Source: Toleration.ToleratesTaint, api/core/v1 v1.37. */
export function tolerates({ key, effect, operator = 'Equal', value = '' }: Toleration, taint: Taint): boolean {
  if (effect && effect !== taint.effect) return false
  if (key && key !== taint.key) return false
  if (operator === 'Exists') return true
  if (operator === 'Lt' || operator === 'Gt') return compareIntegers(taint.value, value, operator)
  return (key ?? '') === taint.key && value === (taint.value ?? '')
}

/** The first taint with one of these effects that nothing tolerates; undefined when there is none. */
export function findUntolerated(
  taints: readonly Taint[],
  tolerations: readonly Toleration[],
  { effects }: { readonly effects: readonly string[] },
): Taint | undefined {
  return taints.find(
    (taint) => effects.includes(taint.effect) && !tolerations.some((toleration) => tolerates(toleration, taint)),
  )
}

/** Node selector and required node affinity. Source: component-helpers nodeaffinity.GetRequiredNodeAffinity v0.37. */
export function matchesRequiredAffinity(spec: Pick<PodSpec, 'nodeSelector' | 'affinity'>, node: Node): boolean {
  const labels = node.metadata.labels ?? {}
  for (const [key, value] of Object.entries(spec.nodeSelector ?? {})) if (labels[key] !== value) return false
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return required === undefined || required.nodeSelectorTerms.some((term) => matchesTerm(term, node))
}

/** A term without requirements matches nothing. */
function matchesTerm({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, node: Node): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false
  const fields: Record<string, string> = { 'metadata.name': node.metadata.name ?? '' }
  return (
    matchExpressions.every((requirement) => matchesRequirement(requirement, node.metadata.labels ?? {})) &&
    matchFields.every((requirement) => matchesRequirement(requirement, fields))
  )
}

function matchesRequirement(
  { key, operator, values = [] }: NodeSelectorRequirement,
  labels: Readonly<Record<string, string>>,
): boolean {
  const value = labels[key]
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
    case 'Lt':
      return compareIntegers(value, values[0] ?? '', operator)
    default:
      return false
  }
}

function compareIntegers(value: string | undefined, bound: string, operator: 'Gt' | 'Lt'): boolean {
  if (value === undefined || !/^-?\d+$/.test(value) || !/^-?\d+$/.test(bound)) return false
  return operator === 'Gt' ? BigInt(value) > BigInt(bound) : BigInt(value) < BigInt(bound)
}
