import type { Amounts } from './amounts.ts'

/** Workloads that are moved for one gang, and sets of them that are tried. */
const MOVES_MAX = 8
const TRIES_MAX = 64

export interface ConsolidationNode {
  readonly name: string
  /** What no pod has. */
  readonly free: Amounts
}

/** A pod that is to be placed; `mayRun`: nodes that it may be on for other reasons than room. */
export interface ConsolidationPod {
  readonly request: Amounts
  readonly mayRun: (node: string) => boolean
}

/** A running workload that may be moved. */
export interface Movable {
  readonly id: string
  readonly priority: number
  readonly pods: readonly (ConsolidationPod & { readonly node: string })[]
}

/**
 * Which running workloads to start elsewhere so that all of `pods` get a node, when there is room for them but nowhere enough of it in one place. Only
 * those that fit again beside the pods are named: `undefined` when there is no such set, `[]` when nobody has to move. Those of low priority and with few pods
 * move first, at most {@link MOVES_MAX}. Pure. Tries at most {@link TRIES_MAX} sets, each at the cost of pods × nodes.
 */
export function planConsolidation(
  nodes: readonly ConsolidationNode[],
  pods: readonly ConsolidationPod[],
  movable: readonly Movable[],
): readonly string[] | undefined {
  if (place(nodes, pods, []) !== undefined) return []
  let tries = 0
  for (const candidates of candidateSets(nodes, pods, movable)) {
    if (tries++ >= TRIES_MAX) return undefined
    if (place(nodes, pods, candidates) !== undefined) return spare(nodes, pods, candidates).map(({ id }) => id)
  }
  return undefined
}

/** Who is on a node that would have room without them, node by node; then those of several such nodes together. */
function* candidateSets(
  nodes: readonly ConsolidationNode[],
  pods: readonly ConsolidationPod[],
  movable: readonly Movable[],
): Generator<readonly Movable[]> {
  const sets = nodes
    .filter(({ name }) => pods.some((pod) => pod.mayRun(name)))
    .map((node) => fewestOn(node, pods, movable))
    .filter((set) => set !== undefined)
    .toSorted((a, b) => a.length - b.length || podsOf(a) - podsOf(b))
  yield* sets
  let together: Movable[] = []
  for (const set of sets) {
    together = [...new Set([...together, ...set])]
    if (together.length > MOVES_MAX) return
    yield together
  }
}

/** The first of them, in the order in which they are moved, without whom some pod fits on the node. */
function fewestOn(
  { name, free }: ConsolidationNode,
  pods: readonly ConsolidationPod[],
  movable: readonly Movable[],
): Movable[] | undefined {
  const left = new Map(free)
  const chosen: Movable[] = []
  const inOrder = movable
    .filter((one) => one.pods.some(({ node }) => node === name))
    .toSorted((a, b) => a.priority - b.priority || a.pods.length - b.pods.length || (a.id < b.id ? -1 : 1))
  for (const one of inOrder) {
    if (chosen.length === MOVES_MAX) return undefined
    chosen.push(one)
    for (const { node, request } of one.pods) if (node === name) change(left, request, 1)
    if (pods.some(({ request, mayRun }) => mayRun(name) && fits(left, request))) return chosen
  }
  return undefined
}

/** Lets those stay who need not move. */
function spare(
  nodes: readonly ConsolidationNode[],
  pods: readonly ConsolidationPod[],
  chosen: readonly Movable[],
): readonly Movable[] {
  let needed = chosen
  for (const one of chosen) {
    const fewer = needed.filter((other) => other !== one)
    if (place(nodes, pods, fewer) !== undefined) needed = fewer
  }
  return needed
}

/** A node for each pod and for each pod of those who move, the largest first, each where least is left; undefined: not all get one. */
function place(
  nodes: readonly ConsolidationNode[],
  pods: readonly ConsolidationPod[],
  moved: readonly Movable[],
): ReadonlyMap<string, Amounts> | undefined {
  const free = new Map(nodes.map((node) => [node.name, new Map(node.free)]))
  for (const { pods: theirs } of moved)
    for (const { node, request } of theirs) if (free.has(node)) change(free.get(node)!, request, 1)
  const bySize = (list: readonly ConsolidationPod[]): ConsolidationPod[] =>
    list.toSorted((a, b) => sizeOf(b.request) - sizeOf(a.request))
  for (const { request, mayRun } of [...bySize(pods), ...bySize(moved.flatMap((one) => one.pods))]) {
    let best: string | undefined
    for (const [name, left] of free) {
      if (!mayRun(name) || !fits(left, request)) continue
      if (best === undefined || restOf(left, request) < restOf(free.get(best)!, request)) best = name
    }
    if (best === undefined) return undefined
    change(free.get(best)!, request, -1)
  }
  return free
}

function fits(left: Amounts, request: Amounts): boolean {
  for (const [resource, amount] of request) if (amount > (left.get(resource) ?? 0)) return false
  return true
}

function change(left: Map<string, number>, request: Amounts, sign: 1 | -1): void {
  for (const [resource, amount] of request) left.set(resource, (left.get(resource) ?? 0) + sign * amount)
}

/** What would be left of what the pod asks for, in pods like it. */
function restOf(left: Amounts, request: Amounts): number {
  let rest = 0
  for (const [resource, amount] of request) if (amount > 0) rest += (left.get(resource) ?? 0) / amount - 1
  return rest
}

function sizeOf(request: Amounts): number {
  return Math.max(
    0,
    ...[...request].map(([resource, amount]) => (resource === 'cpu' || resource === 'memory' ? amount / 1e12 : amount)),
  )
}

function podsOf(set: readonly Movable[]): number {
  return set.reduce((sum, { pods }) => sum + pods.length, 0)
}
