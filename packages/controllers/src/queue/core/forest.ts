import { QueueNode } from './queue-node.ts'
import { createLevels, Tree } from './tree.ts'
import type { QueueSettings, Workload } from './types.ts'

/** The trees that queues of one tenant make. */
export interface Forest {
  readonly trees: readonly Tree[]
  /** Queues that workloads can wait in. */
  readonly leaves: ReadonlyMap<string, QueueNode>
  /** These, and queues with others in them. */
  readonly anyNodes: ReadonlyMap<string, QueueNode>
  /** Why a queue has no place in a tree, as a sentence. */
  readonly problems: ReadonlyMap<string, string>
  /** For workloads that run though there is no queue of theirs; counts nothing. */
  readonly nowhere: QueueNode
  readonly queueOfPending: Map<string, QueueNode>
  treeOf(node: QueueNode): Tree | undefined
  /** All that wait. */
  pending(): Workload[]
  waitingTrees(): Iterable<Tree>
}

/** A queue whose parent is not there, or is in itself, is in no tree, nor is what is in it. `before`: where the past comes from. */
export function createForest(all: readonly QueueSettings[], before?: Forest): Forest {
  const byName = new Map(all.map((settings) => [settings.name, settings]))
  const problems = findProblems(byName)
  const anyNodes = new Map<string, QueueNode>()
  const nodeOf = (settings: QueueSettings): QueueNode => {
    const known = anyNodes.get(settings.name)
    if (known !== undefined) return known
    const node = new QueueNode(
      settings,
      settings.parent === undefined ? undefined : nodeOf(byName.get(settings.parent)!),
    )
    anyNodes.set(settings.name, node)
    return node
  }
  for (const settings of all) if (!problems.has(settings.name)) nodeOf(settings)
  const roots = [...anyNodes.values()].filter(({ parent }) => parent === undefined)
  const trees = roots.map((root) => {
    createLevels(root)
    return new Tree(root)
  })
  for (const [name, node] of anyNodes) keepPast(node, before?.anyNodes.get(name))
  for (const [name, node] of anyNodes) node.firstBlocked = before?.anyNodes.get(name)?.firstBlocked
  const treeOfRoot = new Map(trees.map((tree) => [tree.root, tree]))
  const leaves = new Map([...anyNodes].filter(([, { isLeaf }]) => isLeaf))
  return {
    trees,
    leaves,
    anyNodes,
    problems,
    nowhere: new QueueNode({ ...NOWHERE }, undefined),
    queueOfPending: new Map(),
    treeOf: (node) => treeOfRoot.get(node.root),
    pending: () => [...leaves.values()].flatMap(({ pending }) => pending.workloads()),
    waitingTrees: () => trees.filter(({ blocked }) => blocked.size > 0),
  }
}

const NOWHERE: QueueSettings = {
  name: '',
  quotas: new Map(),
  weight: 1,
  strategy: 'BestEffortFIFO',
  stopPolicy: 'None',
  withinQueue: 'Never',
  reclaim: 'Never',
  reserveAfterMs: 0,
  halfLifeMs: 0,
}

function keepPast(node: QueueNode, earlier: QueueNode | undefined): void {
  for (const [resource, level] of node.levels) {
    const past = earlier?.levels.get(resource)
    if (past === undefined) continue
    level.past = past.past
    level.pastAtMs = past.pastAtMs
  }
}

function findProblems(byName: ReadonlyMap<string, QueueSettings>): Map<string, string> {
  const problems = new Map<string, string>()
  for (const { name } of byName.values()) {
    const seen = new Set<string>()
    for (let at: QueueSettings | undefined = byName.get(name); at?.parent !== undefined;) {
      seen.add(at.name)
      const parent = byName.get(at.parent)
      if (parent === undefined)
        problems.set(name, `there is no queue "${at.parent}", which is the parent of "${at.name}"`)
      else if (seen.has(parent.name))
        problems.set(name, `queue "${parent.name}" is in itself: its parents lead back to it`)
      at = problems.has(name) ? undefined : parent
    }
  }
  return problems
}
