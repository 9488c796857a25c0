/** One run of the scheduler's core in a process of its own: `node scheduler-core.ts SHAPE NODES PODS`. Prints one JSON object. */
import type { Stored } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'
import { createSeededRandom } from '@centaurus/base'
import { ClusterState, decide, planPreemption, PodCompiler } from '@centaurus/scheduler'
import { median, percentile } from './measure.ts'
import { fillers, nodeOf, podOf, type Shape } from './scheduler-shapes.ts'

export interface CoreFigures {
  /** Of CPU time of the thread, its garbage included. */
  readonly podsPerSecond: number
  /** By the clock, over decisions during which the kernel did not give the core to somebody else. */
  readonly p50Micros: number
  readonly p99Micros: number
  /** Share of such decisions. */
  readonly undisturbed: number
  readonly placed: number
  /** Growth of the heap and of typed arrays. */
  readonly bytesPerNode: number
  readonly bytesPerPod: number
}

const MICROS_PER_MS = 1_000
const MICROS_PER_SECOND = 1_000_000

function run(shape: Shape, nodes: number, pods: number): CoreFigures {
  const state = new ClusterState()
  const compiler = new PodCompiler({ index: state.resources, namespaceLabels: () => undefined })
  const random = createSeededRandom(1)
  const empty = usedBytes()
  for (let i = 0; i < nodes; i++) state.putNode(stored<Node>(nodeOf(i), i))
  const withNodes = usedBytes()
  let uid = 0
  for (const { pod, node } of fillers(shape, nodes))
    state.putPod(uidOf(uid++), compiler.footprint(pod), nodeOf(node).metadata.name)
  const times: number[] = []
  const waiting = Array.from({ length: pods }, (_, i) => stored<Pod>(podOf(shape, i), i))
  const cpuBefore = process.threadCpuUsage()
  let placed = 0
  let startSlot = 0
  for (let i = 0; i < pods; i++) {
    const pod = waiting[i]!
    const switches = process.resourceUsage().involuntaryContextSwitches
    const began = performance.now()
    const requirements = compiler.requirements(pod)
    const decision = decide(state, requirements, { startSlot, tieBreak: () => random.next() })
    if (decision.type === 'place') {
      startSlot = decision.nextSlot
      state.putPod(uidOf(uid++), requirements.footprint, decision.nodeName)
      placed++
    } else {
      const { resolvable } = decision.failure
      const plan = planPreemption(state, requirements, { slots: resolvable, isProtected: () => false })
      if (plan !== undefined) {
        for (const victim of plan.victims) state.removePod(victim.uid)
        state.putPod(uidOf(uid++), requirements.footprint, plan.nodeName)
        placed++
      }
    }
    const tookMs = performance.now() - began
    if (process.resourceUsage().involuntaryContextSwitches === switches) times.push(tookMs)
  }
  const cpu = process.threadCpuUsage(cpuBefore)
  const p50Micros = median(times) * MICROS_PER_MS
  const p99Micros = percentile(times, 0.99) * MICROS_PER_MS
  const undisturbed = times.length / pods
  times.length = 0
  waiting.length = 0
  const bytesPerPod = (usedBytes() - withNodes) / state.pods.size
  return {
    podsPerSecond: (pods * MICROS_PER_SECOND) / (cpu.user + cpu.system),
    p50Micros,
    p99Micros,
    undisturbed,
    placed,
    bytesPerNode: (withNodes - empty) / nodes,
    bytesPerPod,
  }
}

function uidOf(index: number): string {
  return `8a6f2f9e-4c1b-4e0e-9f43-${index.toString(16).padStart(12, '0')}`
}

/** As it comes from the API: nothing is shared between objects. */
function stored<T>(object: unknown, index: number): Stored<T> {
  const copy = JSON.parse(JSON.stringify(object)) as { metadata: Record<string, unknown> }
  Object.assign(copy.metadata, { uid: uidOf(index), resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' })
  return copy as unknown as Stored<T>
}

function usedBytes(): number {
  if (globalThis.gc === undefined) throw new Error('Run this with --expose-gc')
  globalThis.gc()
  globalThis.gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const [shape, nodes, pods] = process.argv.slice(2)
process.stdout.write(JSON.stringify(run(shape as Shape, Number(nodes), Number(pods))))
