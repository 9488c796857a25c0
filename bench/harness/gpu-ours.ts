/** Pods of a trace through the scheduler's own core: what a cluster with these nodes would decide, one pod after the other. */
import type { Stored } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'
import { formatGpuInventory, GPU, GPU_COMPUTE, GPU_DEVICES_ANNOTATION, GPU_MEMORY } from '@centaurus/api/gpu'
import { ClusterState, decide, PodCompiler } from '@centaurus/scheduler'
import type { Random } from '@centaurus/base'
import type { TraceNode, TracePod } from './gpu-trace.ts'

/** MiB of a GPU, which the trace does not tell: pods ask for percentages. */
const GPU_MEMORY_MIB = 16_000

export interface TraceRun {
  /** GPUs that pods got, in parts. */
  readonly allocated: number
  /** Of processor time of the thread. */
  readonly decisionsPerSecond: number
}

/** Decides for all pods. A pod that fits nowhere is left out; none of them ends. */
export function placeByCore(nodes: readonly TraceNode[], arrivals: readonly TracePod[], random: Random): TraceRun {
  const state = new ClusterState()
  const compiler = new PodCompiler({ index: state.resources, namespaceLabels: () => undefined })
  for (const node of nodes) state.putNode(storedNode(node))
  const pods = arrivals.map(storedPod)
  const before = process.threadCpuUsage()
  let allocated = 0
  let startSlot = 0
  for (const [i, pod] of pods.entries()) {
    const requirements = compiler.requirements(pod)
    state.observe(requirements.footprint)
    const decision = decide(state, requirements, { startSlot, tieBreak: () => random.next() })
    if (decision.type === 'refuse') continue
    startSlot = decision.nextSlot
    state.place(pod.metadata.uid, requirements.footprint, decision.nodeName)
    const { gpus, percent } = arrivals[i]!
    allocated += (gpus * percent) / 100
  }
  const { user, system } = process.threadCpuUsage(before)
  return { allocated, decisionsPerSecond: (pods.length * 1e6) / (user + system) }
}

function storedNode({ name, cpuMillicores, memoryMiB, gpus, model }: TraceNode): Stored<Node> {
  const devices = Array.from({ length: gpus }, (_, index) => ({
    uuid: `GPU-${name}-${index}`,
    index,
    model,
    memoryMiB: GPU_MEMORY_MIB,
    healthy: true,
  }))
  const sums = { [GPU]: gpus, [GPU_MEMORY]: gpus * GPU_MEMORY_MIB, [GPU_COMPUTE]: gpus * 100 }
  const amounts = Object.fromEntries(Object.entries(sums).map(([each, amount]) => [each, String(amount)]))
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      ...metaOf(name),
      annotations: { [GPU_DEVICES_ANNOTATION]: formatGpuInventory({ devices }) },
    },
    spec: {},
    status: { allocatable: { cpu: `${cpuMillicores}m`, memory: `${memoryMiB}Mi`, pods: '1000', ...amounts } },
  }
}

function storedPod({ cpuMillicores, memoryMiB, gpus, percent, models }: TracePod, index: number): Stored<Pod> {
  const share = percent === 100 ? {} : { [GPU_COMPUTE]: String(percent) }
  const limits = gpus === 0 ? {} : { [GPU]: String(gpus), ...share }
  const requests = { cpu: `${cpuMillicores}m`, memory: `${memoryMiB}Mi`, ...limits }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metaOf(`pod-${index}`),
      namespace: 'trace',
      ...(models.length === 0 ? {} : { annotations: { 'centaurus.io/gpu-models': models.join(',') } }),
    },
    spec: { containers: [{ name: 'main', image: 'trace', resources: { requests, limits } }] },
  }
}

function metaOf(name: string) {
  return { name, uid: name, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
}
