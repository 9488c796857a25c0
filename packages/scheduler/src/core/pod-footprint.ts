import { podRequests, SYSTEM_TENANT, TENANT_ANNOTATION } from '@centaurus/api'
import type { Pod, PodSpec } from '@centaurus/api/core/v1'
import {
  compileTerms,
  type CompiledAffinityTerm,
  type NamespaceLabels,
  type WeightedAffinityTerm,
} from './affinity-terms.ts'
import { gpuAnnotations, gpuDemandOf, type GpuDemand } from './gpu/gpu-demand.ts'
import { CPU, MEMORY, PODS, type ResourceIndex, type ResourceVector } from './resources.ts'

/** What a pod is to others once it has a node. Pods of equal footprint share one object. Immutable. */
export interface PodFootprint {
  /** Equal for equal footprints. */
  readonly key: string
  readonly tenant: string
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  /** Equal for pods of one namespace with the same labels. */
  readonly identityKey: string
  readonly priority: number
  readonly requests: ResourceVector
  /** Undefined: it asks for no GPUs, or for what means nothing. */
  readonly gpu: GpuDemand | undefined
  /** Why what it asks of GPUs means nothing. */
  readonly gpuError: string | undefined
  /** Requests for scoring: a container that asks for nothing counts as 100 milli-cores and 200 MiB. */
  readonly scoredCpuMillicores: number
  readonly scoredMemoryBytes: number
  readonly hostPorts: readonly HostPort[]
  readonly affinity: readonly CompiledAffinityTerm[]
  readonly antiAffinity: readonly CompiledAffinityTerm[]
  readonly preferredAffinity: readonly WeightedAffinityTerm[]
  /** Told to go: topology spread does not count it. */
  readonly isTerminating: boolean
}

/** A port of the host; `ip` 0.0.0.0 collides with every other. */
export interface HostPort {
  readonly ip: string
  readonly protocol: string
  readonly port: number
}

/** What compiling needs besides the pod. */
export interface CompileDeps {
  readonly index: ResourceIndex
  readonly namespaceLabels: NamespaceLabels
}

/** Source: scheduler util.DefaultMilliCPURequest and DefaultMemoryRequest, v1.37. */
const DEFAULT_REQUESTS = { cpu: '100m', memory: `${200 * 1024 * 1024}` }

export const NO_SPEC: PodSpec = { containers: [] }

/** The text that decides a footprint. Cost: about a µs. */
export function footprintKey(pod: Readonly<Pod>): string {
  const { metadata, spec = NO_SPEC } = pod
  const { affinity } = spec
  return JSON.stringify([
    metadata.namespace,
    metadata.annotations?.[TENANT_ANNOTATION],
    sortedEntries(metadata.labels),
    spec.priority,
    spec.containers.map(containerKey),
    spec.initContainers?.map(containerKey),
    spec.overhead,
    spec.resources?.requests,
    affinity?.podAffinity,
    affinity?.podAntiAffinity,
    metadata.deletionTimestamp !== undefined,
    gpuAnnotations(pod),
  ])
}

function containerKey({ resources, ports, restartPolicy }: PodSpec['containers'][number]): unknown {
  const held = ports?.filter(({ hostPort }) => (hostPort ?? 0) > 0)
  return [resources?.requests, held?.length ? held : undefined, restartPolicy]
}

/** Record as pairs in a fixed order; undefined for an empty one. */
export function sortedEntries(record: Readonly<Record<string, string>> | undefined): string[][] | undefined {
  if (record === undefined) return undefined
  const entries = Object.entries(record)
  return entries.length === 0 ? undefined : entries.sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Compiles what others see of a pod. `key` is its {@link footprintKey}. */
export function compileFootprint(pod: Readonly<Pod>, deps: CompileDeps, key = footprintKey(pod)): PodFootprint {
  const { metadata, spec = NO_SPEC } = pod
  const requests = deps.index.requestsOf(spec)
  requests[PODS] = 1
  const scored = scoredRequests(spec)
  const gpu = gpuDemandOf(pod)
  const identity = { namespace: metadata.namespace ?? '', labels: metadata.labels ?? {} }
  const { affinity, antiAffinity, preferred } = compileTerms(spec.affinity, identity, deps.namespaceLabels)
  return {
    key,
    tenant: metadata.annotations?.[TENANT_ANNOTATION] ?? SYSTEM_TENANT,
    ...identity,
    identityKey: JSON.stringify([metadata.namespace, sortedEntries(metadata.labels)]),
    priority: spec.priority ?? 0,
    requests,
    gpu: typeof gpu === 'string' ? undefined : gpu,
    gpuError: typeof gpu === 'string' ? gpu : undefined,
    scoredCpuMillicores: scored[CPU],
    scoredMemoryBytes: scored[MEMORY],
    hostPorts: hostPortsOf(spec),
    affinity,
    antiAffinity,
    preferredAffinity: preferred,
    isTerminating: metadata.deletionTimestamp !== undefined,
  }
}

/** Source: calculatePodResourceRequest with NonMissingContainerRequests, framework/plugins/noderesources, v1.37. */
function scoredRequests(spec: Readonly<PodSpec>): [cpuMillicores: number, memoryBytes: number] {
  const complete = <C extends PodSpec['containers'][number]>(container: C): C => ({
    ...container,
    resources: { ...container.resources, requests: { ...DEFAULT_REQUESTS, ...container.resources?.requests } },
  })
  const containers = spec.containers.map(complete)
  const { cpu = 0, memory = 0 } = podRequests({
    ...spec,
    containers,
    ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(complete) }),
  })
  return [cpu, memory]
}

function hostPortsOf(spec: Readonly<PodSpec>): HostPort[] {
  const sidecars = (spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always')
  return [...spec.containers, ...sidecars].flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => (port.hostPort ?? 0) > 0)
      .map((port) => ({ ip: port.hostIP || '0.0.0.0', protocol: port.protocol ?? 'TCP', port: port.hostPort! })),
  )
}
