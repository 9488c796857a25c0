import type { KubeObject, ResourceType, Stored } from '@centaurus/api'
import type { OwnerReference } from '@centaurus/api/meta/v1'

/** Source: meta/v1 FinalizerDeleteDependents and FinalizerOrphanDependents. */
export const FOREGROUND_FINALIZER = 'foregroundDeletion'
export const ORPHAN_FINALIZER = 'orphan'

/** What the collector remembers of an object. */
export interface GraphNode {
  readonly uid: string
  readonly type: ResourceType<KubeObject>
  readonly namespace: string
  readonly name: string
  readonly owners: readonly OwnerReference[]
  readonly isDeleting: boolean
  /** Waits in the foreground for what it owns. */
  readonly isDeletingDependents: boolean
  /** Wants to be forgotten by what it owns before it goes. */
  readonly isOrphaning: boolean
}

export interface GraphEffects {
  /** Uids that may have to go, or whose waiting may be over. */
  readonly check: readonly string[]
  /** Uids whose dependents must lose their reference. */
  readonly orphan: readonly string[]
}

/**
 * Who owns whom, over all resources, as far as watches have told. References are kept by the owner's uid whether or not the owner was
 * seen. Each change says what must be looked at; nothing is decided from the graph alone, as watches of different resources are not in step.
 */
export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>()
  readonly #dependents = new Map<string, Set<string>>()

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid)
  }

  get size(): number {
    return this.#nodes.size
  }

  dependentsOf(uid: string): GraphNode[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#nodes.get(dependent) ?? [])
  }

  /** Dependents that hold up the foreground deletion of their owner. */
  blockingDependentsOf(uid: string): GraphNode[] {
    return this.dependentsOf(uid).filter(({ owners }) =>
      owners.some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true),
    )
  }

  put(type: ResourceType<KubeObject>, object: Stored<KubeObject>): GraphEffects {
    const node = createNode(type, object)
    const old = this.#nodes.get(node.uid)
    this.#nodes.set(node.uid, node)
    this.#relink(node, old)
    const check = [...this.#unblocked(node, old)]
    // An owner that nobody has seen may be gone: the check asks the server.
    if (node.owners.some((owner) => !this.#nodes.has(owner.uid)) && hasNewOwner(node, old)) check.push(node.uid)
    if (
      node.owners.some((owner) => this.#nodes.get(owner.uid)?.isDeletingDependents === true) &&
      hasNewOwner(node, old)
    )
      check.push(node.uid)
    const orphan = node.isOrphaning && old?.isOrphaning !== true ? [node.uid] : []
    if (node.isDeletingDependents && old?.isDeletingDependents !== true) {
      check.push(node.uid, ...this.dependentsOf(node.uid).map(({ uid }) => uid))
    }
    return { check, orphan }
  }

  remove(uid: string): GraphEffects {
    const node = this.#nodes.get(uid)
    const check = this.dependentsOf(uid).map((dependent) => dependent.uid)
    if (node === undefined) return { check, orphan: [] }
    this.#nodes.delete(uid)
    for (const owner of node.owners) this.#unlink(owner.uid, uid)
    for (const owner of node.owners)
      if (this.#nodes.get(owner.uid)?.isDeletingDependents === true) check.push(owner.uid)
    return { check, orphan: [] }
  }

  #relink(node: GraphNode, old: GraphNode | undefined): void {
    const owners = new Set(node.owners.map((owner) => owner.uid))
    for (const owner of old?.owners ?? []) if (!owners.has(owner.uid)) this.#unlink(owner.uid, node.uid)
    for (const owner of owners) {
      const dependents = this.#dependents.get(owner)
      if (dependents === undefined) this.#dependents.set(owner, new Set([node.uid]))
      else dependents.add(node.uid)
    }
  }

  #unlink(owner: string, dependent: string): void {
    const dependents = this.#dependents.get(owner)
    dependents?.delete(dependent)
    if (dependents?.size === 0) this.#dependents.delete(owner)
  }

  /** Waiting owners that this node held up and holds up no more. */
  *#unblocked(node: GraphNode, old: GraphNode | undefined): Iterable<string> {
    for (const owner of old?.owners ?? []) {
      if (owner.blockOwnerDeletion !== true || this.#nodes.get(owner.uid)?.isDeletingDependents !== true) continue
      const now = node.owners.find((candidate) => candidate.uid === owner.uid)
      if (now?.blockOwnerDeletion !== true) yield owner.uid
    }
  }
}

/** Whether the graph would learn nothing from `object` after `old`: heartbeats and statuses, which are nearly all updates. */
export function saysNothingNew({ metadata }: Stored<KubeObject>, { metadata: old }: Stored<KubeObject>): boolean {
  const { ownerReferences: owners = [], finalizers = [] } = metadata
  const { ownerReferences: oldOwners = [], finalizers: oldFinalizers = [] } = old
  return (
    metadata.uid === old.uid &&
    metadata.deletionTimestamp === old.deletionTimestamp &&
    owners.length === oldOwners.length &&
    owners.every((owner, i) => isSameOwner(owner, oldOwners[i]!)) &&
    finalizers.length === oldFinalizers.length &&
    finalizers.every((finalizer, i) => finalizer === oldFinalizers[i])
  )
}

function isSameOwner(a: OwnerReference, b: OwnerReference): boolean {
  return a.uid === b.uid && a.blockOwnerDeletion === b.blockOwnerDeletion && a.kind === b.kind && a.name === b.name
}

function hasNewOwner(node: GraphNode, old: GraphNode | undefined): boolean {
  return node.owners.some((owner) => old?.owners.some((known) => known.uid === owner.uid) !== true)
}

function createNode(type: ResourceType<KubeObject>, { metadata }: Stored<KubeObject>): GraphNode {
  const isDeleting = metadata.deletionTimestamp !== undefined
  const finalizers = metadata.finalizers ?? []
  return {
    uid: metadata.uid,
    type,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    owners: metadata.ownerReferences ?? [],
    isDeleting,
    isDeletingDependents: isDeleting && finalizers.includes(FOREGROUND_FINALIZER),
    isOrphaning: isDeleting && finalizers.includes(ORPHAN_FINALIZER),
  }
}
