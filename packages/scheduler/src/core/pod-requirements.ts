import type { LabelSelector } from '@centaurus/api'
import type { NodeSelectorTerm, Pod, PodSpec, Toleration, TopologySpreadConstraint } from '@centaurus/api/core/v1'
import {
  compilePreferredNodes,
  compileRequiredNodes,
  type NodeMatcher,
  type WeightedNodeMatcher,
} from '@centaurus/api/scheduling'
import { selectorWithKeys } from './affinity-terms.ts'
import {
  compileFootprint,
  footprintKey,
  NO_SPEC,
  sortedEntries,
  type CompileDeps,
  type PodFootprint,
} from './pod-footprint.ts'

/** Everything that scheduling wants to know of a pod, worked out once for all pods that are alike. Immutable. */
export interface PodRequirements {
  /** Equal for pods that every node treats alike. */
  readonly key: string
  readonly footprint: PodFootprint
  readonly requiredNodes: NodeMatcher | undefined
  /** Equal for equal `requiredNodes`; '' when any node will do. */
  readonly requiredNodesKey: string
  /** The only nodes that `requiredNodes` can match, where it names them. */
  readonly nodeNames: readonly string[] | undefined
  readonly preferredNodes: readonly WeightedNodeMatcher[]
  readonly tolerations: readonly Toleration[]
  readonly tolerationsKey: string
  readonly spread: readonly CompiledSpreadConstraint[]
  /** As nodes name them; one for each container and image volume. */
  readonly images: readonly string[]
  readonly preemptionPolicy: 'PreemptLowerPriority' | 'Never'
}

export interface CompiledSpreadConstraint {
  readonly topologyKey: string
  readonly maxSkew: number
  readonly minDomains: number
  readonly hard: boolean
  readonly honorAffinity: boolean
  readonly honorTaints: boolean
  readonly selector: LabelSelector
}

/** The text that decides a pod's requirements. Cost: a few µs. */
export function requirementsKey(pod: Readonly<Pod>): string {
  const { spec = NO_SPEC } = pod
  return JSON.stringify([
    footprintKey(pod),
    sortedEntries(spec.nodeSelector),
    spec.affinity?.nodeAffinity,
    spec.tolerations,
    spec.topologySpreadConstraints,
    imagesOf(spec),
    spec.preemptionPolicy,
  ])
}

/** Compiles a pod. Cost: tens of µs; do it once for each {@link requirementsKey}. */
export function compilePod(pod: Readonly<Pod>, deps: CompileDeps, key = requirementsKey(pod)): PodRequirements {
  const { metadata, spec = NO_SPEC } = pod
  const { nodeAffinity } = spec.affinity ?? {}
  const requiredNodes = compileRequiredNodes(spec)
  const required = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return {
    key,
    footprint: compileFootprint(pod, deps),
    requiredNodes,
    requiredNodesKey: requiredNodes === undefined ? '' : JSON.stringify([sortedEntries(spec.nodeSelector), required]),
    nodeNames: namedNodes(required?.nodeSelectorTerms),
    preferredNodes: compilePreferredNodes(nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
    tolerations: spec.tolerations ?? [],
    tolerationsKey: JSON.stringify(spec.tolerations ?? []),
    spread: (spec.topologySpreadConstraints ?? []).map((constraint) =>
      compileSpread(constraint, metadata.labels ?? {}),
    ),
    images: imagesOf(spec),
    preemptionPolicy: spec.preemptionPolicy === 'Never' ? 'Never' : 'PreemptLowerPriority',
  }
}

/** The nodes that terms name when every term names some. Source: framework/plugins/nodeaffinity PreFilter, v1.37. */
function namedNodes(terms: readonly NodeSelectorTerm[] | undefined): string[] | undefined {
  if (terms === undefined || terms.length === 0) return undefined
  const names = new Set<string>()
  for (const { matchFields = [] } of terms) {
    const fields = matchFields.filter(({ key, operator }) => key === 'metadata.name' && operator === 'In')
    const [first, ...more] = fields.map(({ values }) => values ?? [])
    if (first === undefined) return undefined
    for (const name of first) if (more.every((values) => values.includes(name))) names.add(name)
  }
  return [...names]
}

/** Source: normalizedImageName, framework/plugins/imagelocality, v1.37. */
function imagesOf({ containers, initContainers = [], volumes = [] }: Readonly<PodSpec>): string[] {
  const named = [...initContainers, ...containers].map(({ image }) => image ?? '')
  const mounted = volumes.flatMap(({ image }) => (image === undefined ? [] : [image.reference ?? '']))
  return [...named, ...mounted].map((name) =>
    name.lastIndexOf(':') <= name.lastIndexOf('/') ? `${name}:latest` : name,
  )
}

function compileSpread(
  constraint: Readonly<TopologySpreadConstraint>,
  labels: Readonly<Record<string, string>>,
): CompiledSpreadConstraint {
  return {
    topologyKey: constraint.topologyKey,
    maxSkew: constraint.maxSkew,
    minDomains: constraint.minDomains ?? 1,
    hard: constraint.whenUnsatisfiable === 'DoNotSchedule',
    honorAffinity: constraint.nodeAffinityPolicy !== 'Ignore',
    honorTaints: constraint.nodeTaintsPolicy === 'Honor',
    selector: selectorWithKeys(constraint.labelSelector, labels, constraint.matchLabelKeys),
  }
}
