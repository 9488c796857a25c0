import { nothing, selectorFromObject, type LabelSelector } from '@centaurus/api'
import type { LabelSelector as LabelSelectorObject } from '@centaurus/api/meta/v1'
import type { Affinity, PodAffinityTerm } from '@centaurus/api/core/v1'

/** What a term looks at in another pod. */
export interface PodIdentity {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
}

/** Labels of namespaces, for terms with a `namespaceSelector`. */
export type NamespaceLabels = (namespace: string) => Readonly<Record<string, string>> | undefined

export interface CompiledAffinityTerm {
  /** Equal for terms that mean the same. */
  readonly key: string
  readonly topologyKey: string
  /** Namespaces that it is about; undefined: those with the right labels, which may change. */
  readonly namespaces: readonly string[] | undefined
  /** Which pods the term is about. */
  matches(pod: PodIdentity): boolean
}

/** Weight is negative for anti-affinity. */
export interface WeightedAffinityTerm extends CompiledAffinityTerm {
  readonly weight: number
}

/** The terms of a pod about other pods. */
export interface PodTerms {
  readonly affinity: readonly CompiledAffinityTerm[]
  readonly antiAffinity: readonly CompiledAffinityTerm[]
  readonly preferred: readonly WeightedAffinityTerm[]
}

const NO_TERMS: PodTerms = { affinity: [], antiAffinity: [], preferred: [] }

/** Compiles pod affinity and anti-affinity of the pod that `identity` describes. */
export function compileTerms(
  affinity: Readonly<Affinity> | undefined,
  identity: PodIdentity,
  namespaceLabels: NamespaceLabels,
): PodTerms {
  const { podAffinity, podAntiAffinity } = affinity ?? {}
  if (podAffinity === undefined && podAntiAffinity === undefined) return NO_TERMS
  const compile = (term: PodAffinityTerm): CompiledAffinityTerm => compileTerm(term, identity, namespaceLabels)
  const weigh = (sign: number) => (item: { weight: number; podAffinityTerm: PodAffinityTerm }) => ({
    ...compile(item.podAffinityTerm),
    weight: sign * item.weight,
  })
  return {
    affinity: (podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(compile),
    antiAffinity: (podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(compile),
    preferred: [
      ...(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(weigh(1)),
      ...(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(weigh(-1)),
    ],
  }
}

/** Source: scheduler framework AffinityTerm.Matches; matchLabelKeys are merged into the selector as the API server would. */
function compileTerm(
  term: Readonly<PodAffinityTerm>,
  identity: PodIdentity,
  namespaceLabels: NamespaceLabels,
): CompiledAffinityTerm {
  const selector = selectorWithKeys(term.labelSelector, identity.labels, term.matchLabelKeys)
  const bySelector = term.namespaceSelector === undefined ? nothing : selectorFromObject(term.namespaceSelector)
  const isOwn = (term.namespaces ?? []).length === 0 && term.namespaceSelector === undefined
  const names = new Set(isOwn ? [identity.namespace] : term.namespaces)
  return {
    key: JSON.stringify([term.topologyKey, [...names].sort(), selectorKey(bySelector), selectorKey(selector)]),
    topologyKey: term.topologyKey,
    namespaces: bySelector.isNothing ? [...names] : undefined,
    matches: (other) =>
      (names.has(other.namespace) ||
        (!bySelector.isNothing && bySelector.matches(namespaceLabels(other.namespace) ?? {}))) &&
      selector.matches(other.labels),
  }
}

/** The selector with the values that the pod's own labels have for `keys`. */
export function selectorWithKeys(
  selector: LabelSelectorObject | undefined,
  labels: Readonly<Record<string, string>>,
  keys: readonly string[] | undefined,
): LabelSelector {
  const present = (keys ?? []).filter((key) => labels[key] !== undefined)
  if (selector === undefined || present.length === 0) return selectorFromObject(selector)
  const own = present.map((key) => ({ key, operator: 'In', values: [labels[key]!] }))
  return selectorFromObject({ ...selector, matchExpressions: [...(selector.matchExpressions ?? []), ...own] })
}

/** Text that is equal for selectors that mean the same; null for the one that matches nothing. */
export function selectorKey(selector: LabelSelector): string | null {
  return selector.isNothing ? null : selector.toString()
}
