import { deepEqual, isStatus, type KubeObject, type Stored } from '@centaurus/api'
import type { OwnerReference } from '@centaurus/api/meta/v1'
import type { Client } from '@centaurus/client'
import type { ServedResource } from '../frame/discovery.ts'
import type { NodeAuthority } from '../frame/node-authority.ts'
import { groupOf } from '../frame/owners.ts'
import { FOREGROUND_FINALIZER, ORPHAN_FINALIZER, type GraphNode, type OwnerGraph } from './graph.ts'
import { planCollection, type OwnerState } from './plan.ts'

/** Owners known to be gone; a uid never comes back. Source: absent owner cache, garbagecollector.go v1.37. */
const ABSENT_OWNERS_MAX = 500

export interface CollectDeps {
  readonly client: Client
  readonly graph: OwnerGraph
  /** The resource of a kind; throws when the server's answer does not settle it. */
  readonly resourceOf: (group: string, kind: string) => Promise<ServedResource>
  readonly enqueueCheck: (uid: string) => void
  /** Remembers references whose owner was found missing. */
  readonly absentOwners: Set<string>
  /** Asked for owners that are nodes, which may be another partition's; absent: they are this server's. */
  readonly nodeAuthority?: NodeAuthority | undefined
}

/** A cluster-wide object that names a namespaced owner: which one can't be known. */
export class InvalidOwnerError extends Error {
  override readonly name = 'InvalidOwnerError'
}

/** Looks at one object, with the server's word for everything that matters, and deletes it only when all its owners are gone or wait. */
export async function checkObject(uid: string, deps: CollectDeps): Promise<void> {
  const { client, graph } = deps
  const node = graph.get(uid)
  if (node === undefined || (node.isDeleting && !node.isDeletingDependents)) return
  if (!node.isDeletingDependents && node.owners.every((owner) => isKnownOwner(graph, node, owner))) return
  const object = await getLive(client, node)
  if (object === undefined) return // its watch will tell
  if (node.isDeletingDependents) return finishForeground(node, object, deps)
  const references = object.metadata.ownerReferences ?? []
  const owners = []
  for (const reference of references) owners.push({ reference, state: await ownerState(node, reference, deps) })
  const dependents = graph.dependentsOf(uid)
  const plan = planCollection({
    object,
    owners,
    hasDependents: dependents.length > 0,
    hasWaitingDependent: dependents.some((dependent) => dependent.isDeletingDependents),
  })
  switch (plan.action) {
    case 'keep':
      return
    case 'dropReferences':
      return await patchOwners(client, node, object, { keep: (owner) => !plan.uids.includes(owner.uid) })
    default: {
      const latest = plan.unblock ? await unblockOwners(client, node, object) : object
      await deleteObject(client, node, latest, plan.propagationPolicy)
    }
  }
}

/** The graph has that very owner, alive: when it goes, its watch tells. Saves asking the server for each object at the start. */
function isKnownOwner(graph: OwnerGraph, node: GraphNode, reference: OwnerReference): boolean {
  const owner = graph.get(reference.uid)
  if (owner === undefined || owner.isDeletingDependents) return false
  const isSame =
    owner.name === reference.name &&
    owner.type.kind === reference.kind &&
    owner.type.group === groupOf(reference.apiVersion)
  return isSame && (owner.namespace === '' || owner.namespace === node.namespace)
}

/** Takes the reference to this object from all that it owns, then lets it go. */
export async function orphanDependents(uid: string, { client, graph }: CollectDeps): Promise<void> {
  const node = graph.get(uid)
  if (node === undefined || !node.isOrphaning) return
  for (const dependent of graph.dependentsOf(uid)) {
    const object = await getLive(client, dependent)
    if (object?.metadata.ownerReferences?.some((owner) => owner.uid === uid)) {
      await patchOwners(client, dependent, object, { keep: (owner) => owner.uid !== uid })
    }
  }
  const object = await getLive(client, node)
  if (object !== undefined) await removeFinalizer(client, node, object, ORPHAN_FINALIZER)
}

/** An owner in foreground deletion goes when nothing that blocks it is left; until then its dependents are pushed on. */
async function finishForeground(
  node: GraphNode,
  object: Stored<KubeObject>,
  { client, graph, enqueueCheck }: CollectDeps,
): Promise<void> {
  const blocking = graph.blockingDependentsOf(node.uid)
  if (blocking.length === 0) return removeFinalizer(client, node, object, FOREGROUND_FINALIZER)
  for (const dependent of blocking) if (!dependent.isDeletingDependents) enqueueCheck(dependent.uid)
}

async function ownerState(node: GraphNode, reference: OwnerReference, deps: CollectDeps): Promise<OwnerState> {
  const cacheKey = JSON.stringify([reference.apiVersion, reference.kind, reference.name, reference.uid, node.namespace])
  if (deps.absentOwners.has(cacheKey)) return 'absent'
  if (deps.nodeAuthority !== undefined && reference.kind === 'Node' && reference.apiVersion === 'v1') {
    return nodeOwnerState(reference.name, deps.nodeAuthority)
  }
  const type = await deps.resourceOf(groupOf(reference.apiVersion), reference.kind)
  if (type.namespaced && node.namespace === '') {
    throw new InvalidOwnerError(
      `Cluster-scoped ${node.type.kind} "${node.name}" names a namespaced owner: ${reference.kind} "${reference.name}"`,
    )
  }
  const namespace = type.namespaced ? node.namespace : undefined
  try {
    const owner = await deps.client.get(type, { namespace, name: reference.name })
    if (owner.metadata.uid === reference.uid) {
      const isWaiting =
        owner.metadata.deletionTimestamp !== undefined && owner.metadata.finalizers?.includes(FOREGROUND_FINALIZER)
      return isWaiting === true ? 'waiting' : 'present'
    }
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
  rememberAbsent(deps.absentOwners, cacheKey)
  return 'absent'
}

/** Node agents that register anew keep their name: only a name that no partition has is gone. */
async function nodeOwnerState(name: string, authority: NodeAuthority): Promise<OwnerState> {
  if (!authority.isAuthoritative(undefined)) return 'present' // it is looked at again when something changes, and at each start
  return (await authority.isNodeGone(name, undefined)) ? 'absent' : 'present'
}

function rememberAbsent(absent: Set<string>, key: string): void {
  absent.add(key)
  if (absent.size <= ABSENT_OWNERS_MAX) return
  for (const oldest of absent) {
    absent.delete(oldest)
    return
  }
}

/** Undefined when the object is gone, or another has its name now. */
async function getLive(
  client: Client,
  { type, namespace, name, uid }: GraphNode,
): Promise<Stored<KubeObject> | undefined> {
  try {
    const object = await client.get(type, { namespace, name })
    return object.metadata.uid === uid ? object : undefined
  } catch (error) {
    if (isStatus(error, 'NotFound')) return undefined
    throw error
  }
}

/** A merge patch at a version: strategic patches, which upstream tries first, do not work on custom resources. */
async function patchOwners(
  client: Client,
  { type, namespace, name }: GraphNode,
  object: Stored<KubeObject>,
  { keep }: { readonly keep: (owner: OwnerReference) => boolean },
): Promise<void> {
  const { uid, resourceVersion, ownerReferences = [] } = object.metadata
  const body = { metadata: { uid, resourceVersion, ownerReferences: ownerReferences.filter(keep) } }
  await client.patch(type, { namespace, name }, { type: 'merge', body })
}

/** Two objects that wait for each other would wait for ever. */
async function unblockOwners(
  client: Client,
  { type, namespace, name }: GraphNode,
  object: Stored<KubeObject>,
): Promise<Stored<KubeObject>> {
  const { uid, resourceVersion, ownerReferences = [] } = object.metadata
  const unblocked = ownerReferences.map((owner) => ({ ...owner, blockOwnerDeletion: false }))
  return client.patch(
    type,
    { namespace, name },
    { type: 'merge', body: { metadata: { uid, resourceVersion, ownerReferences: unblocked } } },
  )
}

/** Only at the version that was judged: a new owner would change the verdict. Other changes do not, so then the uid alone decides. */
async function deleteObject(
  client: Client,
  { type, namespace, name }: GraphNode,
  object: Stored<KubeObject>,
  propagationPolicy: 'Foreground' | 'Background' | 'Orphan',
): Promise<void> {
  const { uid, resourceVersion } = object.metadata
  try {
    await client.delete(type, { namespace, name }, { propagationPolicy, preconditions: { uid, resourceVersion } })
  } catch (error) {
    if (isStatus(error, 'NotFound')) return
    if (!isStatus(error, 'Conflict')) throw error
    const live = await client.get(type, { namespace, name })
    if (live.metadata.uid !== uid || !deepEqual(live.metadata.ownerReferences, object.metadata.ownerReferences))
      throw error
    await client.delete(type, { namespace, name }, { propagationPolicy, preconditions: { uid } })
  }
}

async function removeFinalizer(
  client: Client,
  { type, namespace, name }: GraphNode,
  object: Stored<KubeObject>,
  finalizer: string,
): Promise<void> {
  const { uid, resourceVersion, finalizers = [] } = object.metadata
  if (!finalizers.includes(finalizer)) return
  const body = { metadata: { uid, resourceVersion, finalizers: finalizers.filter((known) => known !== finalizer) } }
  try {
    await client.patch(type, { namespace, name }, { type: 'merge', body })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
