import { nothing, selectorFromObject, type LabelSelector, type Stored } from '@centaurus/api'
import type { LabelSelector as LabelSelectorObject } from '@centaurus/api/meta/v1'
import type { Pod, PodAffinityTerm, PodSpec, Toleration, TopologySpreadConstraint } from '@centaurus/api/core/v1'
import {
  compilePreferredNodes,
  compileRequiredNodes,
  type NodeMatcher,
  type WeightedNodeMatcher,
} from '@centaurus/api/scheduling'
import type { VolumeChoice } from './volumes.ts'
import { CPU, MEMORY, PODS, type ResourceIndex, type ResourceVector } from './resources.ts'

/** Everything that scheduling wants to know of one pod, worked out once. Immutable. */
export interface PodRequirements {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly priority: number
  readonly requests: ResourceVector
  /** Requests for scoring: a container that asks for nothing counts as 100 milli-cores and 200 MiB. */
  readonly scoredCpuMillicores: number
  readonly scoredMemoryBytes: number
  readonly hostPorts: readonly HostPort[]
  readonly requiredNodes: NodeMatcher | undefined
  readonly preferredNodes: readonly WeightedNodeMatcher[]
  readonly tolerations: readonly Toleration[]
  readonly affinity: readonly CompiledAffinityTerm[]
  readonly antiAffinity: readonly CompiledAffinityTerm[]
  readonly preferredAffinity: readonly WeightedAffinityTerm[]
  readonly spread: readonly CompiledSpreadConstraint[]
  readonly images: readonly string[]
  /** Nodes from which the pod's bound volumes can be reached; all must match. */
  readonly volumeNodes: readonly NodeMatcher[]
  /** Claims that get a volume on the node; undefined: none. */
  readonly volumeChoice: VolumeChoice | undefined
  readonly preemptionPolicy: 'PreemptLowerPriority' | 'Never'
}

/** A port of the host; `ip` 0.0.0.0 collides with every other. */
export interface HostPort {
  readonly ip: string
  readonly protocol: string
  readonly port: number
}

export interface CompiledAffinityTerm {
  readonly topologyKey: string
  /** Which pods the term is about. */
  matches(pod: PodIdentity): boolean
}

/** Weight is negative for anti-affinity. */
export interface WeightedAffinityTerm extends CompiledAffinityTerm {
  readonly weight: number
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

/** What a term looks at in another pod. */
export interface PodIdentity {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
}

/** Labels of namespaces, for terms with a `namespaceSelector`. */
export type NamespaceLabels = (namespace: string) => Readonly<Record<string, string>> | undefined

/** Source: scheduler util.DefaultMilliCPURequest and DefaultMemoryRequest, v1.37. */
export const DEFAULT_CPU_MILLICORES = 100
export const DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024

/** What compiling needs besides the pod. */
export interface CompileInput {
  readonly index: ResourceIndex
  readonly namespaceLabels: NamespaceLabels
  readonly volumeNodes?: readonly NodeMatcher[] | undefined
  readonly volumeChoice?: VolumeChoice | undefined
}

const NO_SPEC: PodSpec = { containers: [] }

/** Compiles a pod. Cost: a few µs for a plain one; do it once a pod version. */
export function compilePod(
  pod: Stored<Pod>,
  { index, namespaceLabels, volumeNodes = [], volumeChoice }: CompileInput,
): PodRequirements {
  const { metadata } = pod
  const spec = pod.spec ?? NO_SPEC
  const requests = index.requestsOf(spec)
  requests[PODS] = 1
  const namespace = metadata.namespace ?? ''
  const compileTerms = (terms: readonly PodAffinityTerm[] | undefined): CompiledAffinityTerm[] =>
    (terms ?? []).map((term) => compileAffinityTerm(term, pod, namespaceLabels))
  const affinity = spec.affinity
  const containers = spec.containers.length
  return {
    uid: metadata.uid,
    namespace,
    name: metadata.name,
    labels: metadata.labels ?? {},
    priority: spec.priority ?? 0,
    requests,
    scoredCpuMillicores: requests[CPU] === 0 ? DEFAULT_CPU_MILLICORES * containers : requests[CPU]!,
    scoredMemoryBytes: requests[MEMORY] === 0 ? DEFAULT_MEMORY_BYTES * containers : requests[MEMORY]!,
    hostPorts: hostPortsOf(spec),
    requiredNodes: compileRequiredNodes(spec),
    preferredNodes: compilePreferredNodes(affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
    tolerations: spec.tolerations ?? [],
    affinity: compileTerms(affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    antiAffinity: compileTerms(affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    preferredAffinity: compilePreferredTerms(pod, namespaceLabels),
    spread: (spec.topologySpreadConstraints ?? []).map((constraint) =>
      compileSpread(constraint, metadata.labels ?? {}),
    ),
    volumeNodes,
    volumeChoice,
    images: [...spec.containers, ...(spec.initContainers ?? [])].map((container) => container.image ?? ''),
    preemptionPolicy: spec.preemptionPolicy === 'Never' ? 'Never' : 'PreemptLowerPriority',
  }
}

function hostPortsOf(spec: Readonly<PodSpec>): HostPort[] {
  const sidecars = (spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always')
  return [...spec.containers, ...sidecars].flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => (port.hostPort ?? 0) > 0)
      .map((port) => ({ ip: port.hostIP || '0.0.0.0', protocol: port.protocol ?? 'TCP', port: port.hostPort! })),
  )
}

function compilePreferredTerms(pod: Readonly<Pod>, namespaceLabels: NamespaceLabels): WeightedAffinityTerm[] {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {}
  const compile = (sign: number) => (item: { weight: number; podAffinityTerm: PodAffinityTerm }) => ({
    ...compileAffinityTerm(item.podAffinityTerm, pod, namespaceLabels),
    weight: sign * item.weight,
  })
  return [
    ...(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(compile(1)),
    ...(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(compile(-1)),
  ]
}

/** Source: scheduler framework AffinityTerm.Matches; matchLabelKeys are merged into the selector as the API server would. */
function compileAffinityTerm(
  term: Readonly<PodAffinityTerm>,
  pod: Readonly<Pod>,
  namespaceLabels: NamespaceLabels,
): CompiledAffinityTerm {
  const selector = withLabelKeys(term.labelSelector, pod.metadata.labels ?? {}, term.matchLabelKeys)
  const bySelector = term.namespaceSelector === undefined ? nothing : selectorFromObject(term.namespaceSelector)
  const own =
    (term.namespaces ?? []).length === 0 && term.namespaceSelector === undefined ? [pod.metadata.namespace ?? ''] : []
  const names = new Set([...(term.namespaces ?? []), ...own])
  return {
    topologyKey: term.topologyKey,
    matches: (other) =>
      (names.has(other.namespace) || (!bySelector.isNothing && bySelector.matches(namespaceLabels(other.namespace)))) &&
      selector.matches(other.labels),
  }
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
    selector: withLabelKeys(constraint.labelSelector, labels, constraint.matchLabelKeys),
  }
}

function withLabelKeys(
  selector: LabelSelectorObject | undefined,
  labels: Readonly<Record<string, string>>,
  keys: readonly string[] | undefined,
): LabelSelector {
  const present = (keys ?? []).filter((key) => labels[key] !== undefined)
  if (selector === undefined || present.length === 0) return selectorFromObject(selector)
  const matchLabels = { ...selector.matchLabels, ...Object.fromEntries(present.map((key) => [key, labels[key]!])) }
  return selectorFromObject({ ...selector, matchLabels })
}
