import {
  controllerOf,
  deepEqual,
  formatKey,
  isConditionTrue,
  isDeleting,
  isStatus,
  objectKey,
  ownerReferenceTo,
  tenantOfViewed,
  viewedName,
  type KubeObject,
  type Stored,
} from '@centaurus/api'
import {
  PREEMPTIBLE_ANNOTATION,
  QUEUED_FINALIZER,
  queuedworkloads,
  queueNameOf,
  type QueuedWorkload,
  type QueuedWorkloadSpec,
} from '@centaurus/api/centaurus/v1'
import type { PriorityClass } from '@centaurus/api/scheduling/v1'
import type { Informer, ReconcileResult } from '@centaurus/client'
import type { OwnerKind, WantedWorkload } from './owner-kind.ts'
import { ignoringConflict, readWorkload, writeStatus, type SyncDeps } from './sync-deps.ts'
import { endMove } from './consolidation.ts'
import {
  isLeaving,
  isMoving,
  stateOf,
  withEviction,
  withFinished,
  withoutHeld,
  withRelease,
} from './workload-status.ts'

/** Names of workloads tell whose they are, and end in a part of the owner's uid. */
const NAME_LENGTH_MAX = 253
const UID_PART = 5

/** Name of the QueuedWorkload of an owner. */
export function workloadNameOf(kind: string, { metadata }: Stored<KubeObject>): string {
  const end = `-${metadata.uid.slice(0, UID_PART)}`
  return `${kind.toLowerCase()}-${metadata.name}`.slice(0, NAME_LENGTH_MAX - end.length).replace(/[-.]+$/, '') + end
}

/** Brings one owner and its workload to what they should be. */
export async function syncOwner(kindName: string, key: string, deps: SyncDeps): Promise<ReconcileResult> {
  const kind = deps.kinds.find((each) => each.kind === kindName)
  const owner = kind?.informer.get(key)
  if (kind === undefined || owner === undefined || isDeleting(owner)) return undefined // the garbage collector has the workload
  const name = workloadNameOf(kind.kind, owner)
  const workload = deps.workloadInformer.get(formatKey(owner.metadata.namespace ?? '', name))
  const queueName = queueNameOf(owner)
  const end = kind.endOf(owner)
  if (end !== undefined) {
    if (workload === undefined || isConditionTrue(workload.status?.conditions, 'Finished')) return undefined
    return void (await writeStatus(workload, withFinished(workload, end, deps.clock.now()), deps))
  }
  if (queueName === undefined)
    return void (workload !== undefined && !isDeleting(workload) && (await removeWorkload(workload, deps)))
  const wanted = kind.wantedOf(owner)
  if (workload === undefined) {
    if (wanted === undefined) return undefined
    if (!kind.isRestartable && kind.activePods(owner) > 0) return undefined
    if (!kind.isHeld(owner)) await kind.stop(owner, deps)
    await createWorkload({ kind, owner, name, spec: specOf(owner, queueName, wanted, deps) }, deps)
    return undefined
  }
  if (wanted !== undefined && (await updateSpec(workload, specOf(owner, queueName, wanted, deps), deps)))
    return undefined
  return act({ kind, owner, workload }, deps)
}

/** What is left to do for a workload whatever its owner is: one that is deleted keeps its quota until its owner has stopped. */
export async function syncWorkload(key: string, deps: SyncDeps): Promise<ReconcileResult> {
  const workload = deps.workloadInformer.get(key)
  if (workload === undefined) return undefined
  const nowMs = deps.clock.now()
  const tenant = tenantOfViewed(workload)
  if (stateOf(workload).type === 'waiting' && deps.tenantOf(tenant).put(workload, nowMs) === 0)
    deps.queue.add(`plan ${tenant}`)
  if (!isDeleting(workload) || workload.metadata.finalizers?.includes(QUEUED_FINALIZER) !== true) return undefined
  const found = ownerOf(workload, deps)
  if (found !== undefined && !isDeleting(found.owner)) {
    if (stateOf(workload).type === 'admitted') await found.kind.stop(found.owner, deps)
    if (found.kind.activePods(found.owner) > 0) return undefined // their end comes
  }
  const finalizers = workload.metadata.finalizers.filter((name) => name !== QUEUED_FINALIZER)
  await ignoringConflict(
    deps.client.update(queuedworkloads, { ...workload, metadata: { ...workload.metadata, finalizers } }),
  )
  return undefined
}

function ownerOf(
  workload: Stored<QueuedWorkload>,
  { kinds }: SyncDeps,
): { kind: OwnerKind<KubeObject>; owner: Stored<KubeObject> } | undefined {
  const reference = controllerOf(workload)
  const kind = kinds.find((each) => each.kind === reference?.kind)
  const owner = kind?.informer.get(formatKey(workload.metadata.namespace ?? '', reference?.name ?? ''))
  return kind === undefined || owner?.metadata.uid !== reference?.uid || owner === undefined
    ? undefined
    : { kind, owner }
}

function specOf(
  owner: Stored<KubeObject>,
  queueName: string,
  wanted: WantedWorkload,
  { classes }: SyncDeps,
): QueuedWorkloadSpec {
  const tenant = tenantOfViewed(owner)
  const isPreemptible = owner.metadata.annotations?.[PREEMPTIBLE_ANNOTATION] !== 'false'
  const { maximumExecutionTimeSeconds } = wanted
  return {
    queueName: viewedName(queueName, tenant),
    priority: wanted.priority ?? priorityOf(wanted.priorityClassName, tenant, classes),
    preemptible: isPreemptible,
    ...(maximumExecutionTimeSeconds === undefined ? {} : { maximumExecutionTimeSeconds }),
    podSets: wanted.podSets.map((set) => ({ ...set })),
  }
}

/** As the admission of pods finds it. */
function priorityOf(name: string | undefined, tenant: string, classes: Informer<PriorityClass>): number {
  if (name) return classes.get(viewedName(name, tenant))?.value ?? classes.get(name)?.value ?? 0
  const defaults = classes.list().filter((one) => tenantOfViewed(one) === tenant && one.globalDefault === true)
  return defaults.length === 0 ? 0 : Math.min(...defaults.map(({ value = 0 }) => value))
}

async function createWorkload(
  {
    kind,
    owner,
    name,
    spec,
  }: {
    readonly kind: OwnerKind<KubeObject>
    readonly owner: Stored<KubeObject>
    readonly name: string
    readonly spec: QueuedWorkloadSpec
  },
  { client }: SyncDeps,
): Promise<void> {
  const { apiVersion } = kind
  const ownerReferences = [ownerReferenceTo({ ...owner, apiVersion, kind: kind.kind })]
  const { namespace } = owner.metadata
  try {
    await client.create(queuedworkloads, {
      metadata: { name, namespace, ownerReferences, finalizers: [QUEUED_FINALIZER] },
      spec,
    })
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error // the cache was behind
  }
}

/** True: it was changed, or is told to end so that it can be. */
async function updateSpec(
  workload: Stored<QueuedWorkload>,
  wanted: QueuedWorkloadSpec,
  deps: SyncDeps,
): Promise<boolean> {
  const { active } = workload.spec
  const spec = active === undefined ? wanted : { ...wanted, active }
  if (deepEqual(workload.spec, spec) || isDeleting(workload)) return false
  const state = stateOf(workload)
  if (state.type === 'finished') return false
  const isSameUse = deepEqual([workload.spec.podSets, workload.spec.queueName], [spec.podSets, spec.queueName])
  if (state.type === 'admitted' && !isSameUse) {
    if (isGrowthOfGroup(workload, spec)) return false // what comes later waits until those before it have gone
    if (state.isLeaving) return false
    const message = 'What its owner asks for has changed'
    await writeStatus(
      workload,
      withEviction(workload, { reason: 'OwnerChanged', message, nowMs: deps.clock.now() }),
      deps,
    )
    return true
  }
  await ignoringConflict(deps.client.update(queuedworkloads, { ...workload, spec }))
  return true
}

/** Pods of a group come and go one by one. */
function isGrowthOfGroup(workload: Stored<QueuedWorkload>, spec: QueuedWorkloadSpec): boolean {
  return controllerOf(workload)?.kind === 'PodGroup' && workload.spec.queueName === spec.queueName
}

/** Starts, stops or lets go, as the workload says. */
async function act(
  {
    kind,
    owner,
    workload,
  }: {
    readonly kind: OwnerKind<KubeObject>
    readonly owner: Stored<KubeObject>
    readonly workload: Stored<QueuedWorkload>
  },
  deps: SyncDeps,
): Promise<ReconcileResult> {
  const state = stateOf(workload)
  if (state.type === 'finished') return undefined
  const isWanted = state.type === 'admitted' && !isLeaving(workload) && !isMoving(workload)
  if (isWanted === kind.isHeld(owner)) {
    // A cache that is behind must not start what was evicted since, nor end what was admitted.
    const current = await readWorkload(objectKey(workload), deps)
    if (current?.metadata.resourceVersion !== workload.metadata.resourceVersion) return undefined // its event comes
  }
  if (isWanted) {
    await kind.start(owner, state.counts, deps)
    const total = state.counts.reduce((sum, count) => sum + count, 0)
    const isShrinking = state.held.some((count, i) => count > (state.counts[i] ?? 0))
    if (isShrinking && kind.activePods(owner) <= total) await writeStatus(workload, withoutHeld(workload), deps)
    return undefined
  }
  await kind.stop(owner, deps)
  if (kind.activePods(owner) > 0) return undefined // their end comes
  if (isDeleting(workload)) {
    deps.queue.add(`workload ${objectKey(workload)}`)
    return undefined
  }
  if (state.type !== 'admitted') return undefined
  if (!isLeaving(workload)) return endMove(workload, deps)
  await writeStatus(workload, withRelease(workload, deps.clock.now()), deps)
  return undefined
}

async function removeWorkload({ metadata }: Stored<QueuedWorkload>, { client }: SyncDeps): Promise<void> {
  const { namespace, name, uid } = metadata
  try {
    await client.delete(queuedworkloads, { namespace, name }, { preconditions: { uid } })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
