/**
 * Published policies on a trace, as simply as can be, to compare with. Source: "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with
 * Fragmentation Gradient Descent" (ATC 2023) and its simulator: `random`, `best fit`, and `FGD` with whole scores, of whose ties the first node wins.
 */
import type { Random } from '@centaurus/base'
import type { TraceNode, TracePod } from './gpu-trace.ts'

export const PEERS = ['random', 'best fit', 'FGD'] as const
export type Peer = (typeof PEERS)[number]

/** Share of pods whose kinds FGD looks at. */
const TYPICAL_SHARE = 0.95
/** In the trace's units: thousandths of a GPU. */
const SIGMOID_SCALE = 1_000
const WHOLE = 100

interface NodeState {
  readonly model: string
  cpuMillicores: number
  memoryMiB: number
  /** Percent that is free of each GPU. */
  readonly gpus: number[]
  version: number
}

interface Choice {
  readonly score: number
  /** GPUs that are taken. */
  readonly gpus: readonly number[]
}

type Score = (node: NodeState, pod: TracePod) => Choice

/** What a kind of pods made of a node when it was looked at last. */
interface Remembered {
  readonly versions: Int32Array
  readonly choices: (Choice | undefined)[]
}

/** GPUs that pods got, in parts. `known`: pods by which FGD learns what is typical. */
export function placeByPeer(
  peer: Peer,
  {
    nodes,
    arrivals,
    known,
    random,
  }: { nodes: readonly TraceNode[]; arrivals: readonly TracePod[]; known: readonly TracePod[]; random: Random },
): number {
  const states = nodes.map(({ cpuMillicores, memoryMiB, gpus, model }): NodeState => ({
    cpuMillicores,
    memoryMiB,
    model,
    gpus: Array.from({ length: gpus }, () => WHOLE),
    version: 0,
  }))
  const score = scoreOf(peer, states, typicalOf(known))
  const kinds = new Map<string, Remembered>()
  let allocated = 0
  for (const pod of arrivals) {
    const key = keyOf(pod)
    const seen = kinds.get(key) ?? { versions: new Int32Array(states.length).fill(-1), choices: [] }
    kinds.set(key, seen)
    const at = choose(states, pod, { seen, score, random: peer === 'random' ? random : undefined })
    if (at === undefined) continue
    const node = states[at]!
    node.cpuMillicores -= pod.cpuMillicores
    node.memoryMiB -= pod.memoryMiB
    for (const i of seen.choices[at]!.gpus) node.gpus[i]! -= pod.percent
    node.version++
    allocated += (pod.gpus * pod.percent) / 100
  }
  return allocated
}

function keyOf({ cpuMillicores, memoryMiB, gpus, percent, models }: TracePod): string {
  return [cpuMillicores, memoryMiB, gpus, percent, models.join('|')].join(' ')
}

function choose(
  states: readonly NodeState[],
  pod: TracePod,
  { seen, score, random }: { seen: Remembered; score: Score; random: Random | undefined },
): number | undefined {
  let best: number | undefined
  let ties = 0
  for (const [i, node] of states.entries()) {
    if (seen.versions[i] !== node.version) {
      seen.versions[i] = node.version
      seen.choices[i] = fits(node, pod) ? score(node, pod) : undefined
    }
    const choice = seen.choices[i]
    if (choice === undefined) continue
    const than = best === undefined ? -Infinity : seen.choices[best]!.score
    if (choice.score > than) {
      best = i
      ties = 1
    } else if (choice.score === than && random !== undefined && random.integer(++ties) === 0) best = i
  }
  return best
}

function fits({ cpuMillicores, memoryMiB, gpus, model }: NodeState, pod: TracePod): boolean {
  if (pod.cpuMillicores > cpuMillicores || pod.memoryMiB > memoryMiB) return false
  if (pod.models.length > 0 && !pod.models.includes(model)) return false
  return gpus.filter((free) => free >= pod.percent).length >= pod.gpus
}

function scoreOf(peer: Peer, states: readonly NodeState[], typical: readonly Typical[]): Score {
  if (peer === 'random') return (node, pod) => ({ score: 0, gpus: tightest(node, pod) })
  if (peer === 'FGD') return (node, pod) => scoreGradient(node, pod, typical)
  const cpu = Math.max(...states.map(({ cpuMillicores }) => cpuMillicores))
  const gpu = Math.max(...states.map(({ gpus }) => gpus.length * WHOLE))
  return (node, pod) => {
    const left = node.gpus.reduce((sum, free) => sum + free, 0) - pod.gpus * pod.percent
    const score = -((node.cpuMillicores - pod.cpuMillicores) / cpu + left / gpu)
    return { score, gpus: tightest(node, pod) }
  }
}

/** The GPUs that have the least left of those that fit. */
function tightest({ gpus }: NodeState, { gpus: count, percent }: TracePod): number[] {
  const fitting = [...gpus.keys()].filter((i) => gpus[i]! >= percent)
  return fitting.toSorted((a, b) => gpus[a]! - gpus[b]!).slice(0, count)
}

interface Typical extends TracePod {
  readonly weight: number
}

function typicalOf(pods: readonly TracePod[]): Typical[] {
  const counts = new Map<string, { readonly pod: TracePod; count: number }>()
  for (const pod of pods) {
    const entry = counts.get(keyOf(pod)) ?? { pod, count: 0 }
    entry.count++
    counts.set(keyOf(pod), entry)
  }
  let covered = 0
  const typical = [...counts.values()]
    .toSorted((a, b) => b.count - a.count)
    .filter(({ count }) => {
      if (covered >= TYPICAL_SHARE * pods.length) return false
      covered += count
      return true
    })
  return typical.map(({ pod, count }) => ({ ...pod, weight: count / covered }))
}

function scoreGradient(node: NodeState, pod: TracePod, typical: readonly Typical[]): Choice {
  const before = fragmentOf(node, node.gpus, node.cpuMillicores, typical)
  const options = pod.gpus === 1 && pod.percent < WHOLE ? singles(node, pod) : [tightest(node, pod)]
  let best: Choice | undefined
  for (const gpus of options) {
    const left = node.gpus.map((free, i) => (gpus.includes(i) ? free - pod.percent : free))
    const gained = before - fragmentOf(node, left, node.cpuMillicores - pod.cpuMillicores, typical)
    const score = Math.floor(100 / (1 + Math.exp(-gained / SIGMOID_SCALE)))
    if (best === undefined || score > best.score) best = { score, gpus }
  }
  return best!
}

function singles({ gpus }: NodeState, { percent }: TracePod): number[][] {
  return [...gpus.keys()].filter((i) => gpus[i]! >= percent && gpus.indexOf(gpus[i]!) === i).map((i) => [i])
}

/** In thousandths of a GPU. */
function fragmentOf({ model }: NodeState, gpus: readonly number[], cpu: number, typical: readonly Typical[]): number {
  const all = gpus.reduce((sum, free) => sum + free, 0)
  let fragment = 0
  for (const pod of typical) {
    const isOut = pod.gpus === 0 || pod.cpuMillicores > cpu || (pod.models.length > 0 && !pod.models.includes(model))
    let fitting = 0
    let small = 0
    for (const free of gpus) {
      if (free >= pod.percent) fitting++
      else small += free
    }
    fragment += pod.weight * (isOut || fitting < pod.gpus ? all : small)
  }
  return fragment * 10
}
