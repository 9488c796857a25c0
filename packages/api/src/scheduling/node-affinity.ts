import { createRequirement, LabelSelector } from '../selector/label-selector.ts'
import type { NodeSelector, NodeSelectorTerm, PodSpec, PreferredSchedulingTerm } from '../generated/types/core/v1.ts'

/** A compiled node selector: true when some term matches. Source: component-helpers scheduling/corev1/nodeaffinity, v1.37. */
export interface NodeMatcher {
  matches(labels: Readonly<Record<string, string>>, nodeName: string): boolean
}

/** One preferred term with its weight from 1 to 100. */
export interface WeightedNodeMatcher extends NodeMatcher {
  readonly weight: number
}

const OPERATORS = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!', Gt: 'gt', Lt: 'lt' } as const

/** What `spec.nodeSelector` and the required node affinity ask for; undefined when any node will do. */
export function compileRequiredNodes(spec: Readonly<PodSpec>): NodeMatcher | undefined {
  const labels = Object.entries(spec.nodeSelector ?? {})
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  if (labels.length === 0 && required === undefined) return undefined
  const affinity = required === undefined ? undefined : compileNodeSelector(required)
  return {
    matches: (nodeLabels, nodeName) =>
      labels.every(([key, value]) => nodeLabels[key] === value) && (affinity?.matches(nodeLabels, nodeName) ?? true),
  }
}

/** A selector without terms matches no node, as does a term without requirements. */
export function compileNodeSelector(selector: Readonly<NodeSelector>): NodeMatcher {
  const terms = selector.nodeSelectorTerms.map(compileTerm)
  return { matches: (labels, nodeName) => terms.some((term) => term.matches(labels, nodeName)) }
}

/** Preferred terms; here a term without requirements matches every node, as upstream has it. */
export function compilePreferredNodes(terms: readonly PreferredSchedulingTerm[] | undefined): WeightedNodeMatcher[] {
  return (terms ?? []).map(({ weight, preference }) => {
    const term = isEmptyTerm(preference) ? { matches: () => true } : compileTerm(preference)
    return { weight, matches: term.matches }
  })
}

function isEmptyTerm(term: Readonly<NodeSelectorTerm>): boolean {
  return (term.matchExpressions ?? []).length === 0 && (term.matchFields ?? []).length === 0
}

function compileTerm(term: Readonly<NodeSelectorTerm>): NodeMatcher {
  if (isEmptyTerm(term)) return { matches: () => false }
  const labels = compileExpressions(term.matchExpressions ?? [])
  const fields = compileExpressions(term.matchFields ?? [])
  return {
    matches: (nodeLabels, nodeName) => labels.matches(nodeLabels) && fields.matches({ 'metadata.name': nodeName }),
  }
}

function compileExpressions(expressions: NonNullable<NodeSelectorTerm['matchExpressions']>): LabelSelector {
  return new LabelSelector(
    expressions.map(({ key, operator, values }) =>
      createRequirement(key, OPERATORS[operator as keyof typeof OPERATORS], values ?? []),
    ),
  )
}
