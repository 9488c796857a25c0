import { deepEqual, isStatus, objectKey, selectorFromObject, type Stored } from '@centaurus/api'
import { deployments, replicasets, type Deployment, type ReplicaSet } from '@centaurus/api/apps/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { Informer, RunningController } from '@centaurus/client'
import { nameOf, reconcileClaim } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { addOwnerIndex, ownedBy, watchOwned, watchSelf } from '../frame/owners.ts'
import { isNamespaceTerminating, messageOf } from '../frame/pods.ts'
import { progressDeadlineSeconds } from './limits.ts'
import { planDeployment, type DeploymentPlan } from './plan.ts'
import { hasTemplate } from './sets.ts'
import { setDeploymentCondition } from './status.ts'

interface Informers {
  readonly owners: Informer<Deployment>
  readonly sets: Informer<ReplicaSet>
  readonly podCache: Informer<Pod>
}

/** Rolls Deployments out by creating and scaling replica sets. */
export function startDeploymentController(deps: ControllerDeps): RunningController {
  const owners = deps.informers.informer(deployments)
  const sets = deps.informers.informer(replicasets)
  const podCache = deps.informers.informer(pods)
  addOwnerIndex(sets)
  addOwnerIndex(podCache)
  const adopters = (set: Stored<ReplicaSet>): string[] =>
    owners
      .list(set.metadata.namespace)
      .filter((owner) => selectorFromObject(owner.spec.selector).matches(set.metadata.labels))
      .map(objectKey)
  return startReconciler(deps, {
    name: 'deployment-controller',
    informer: owners,
    needs: [sets, podCache],
    watch: ({ queue }) => [
      watchSelf(owners, queue),
      watchOwned({ queue, owners, owned: sets, group: 'apps', kind: 'Deployment', adopters }),
      podCache.addHandler({
        // The last old pod to go lets a Recreate go on.
        onDelete: (pod) => enqueueRecreate(pod, { owners, sets, enqueue: (key) => queue.add(key) }),
      }),
    ],
    reconcile: (key, context) => reconcileDeployment(key, context, { owners, sets, podCache }),
  })
}

function enqueueRecreate(
  pod: Stored<Pod>,
  { owners, sets, enqueue }: Pick<Informers, 'owners' | 'sets'> & { readonly enqueue: (key: string) => void },
): void {
  const setName = pod.metadata.ownerReferences?.find((owner) => owner.controller && owner.kind === 'ReplicaSet')?.name
  if (setName === undefined) return
  const set = sets.get(`${pod.metadata.namespace}/${setName}`)
  const owner = set?.metadata.ownerReferences?.find((reference) => reference.controller)
  if (owner === undefined) return
  const key = `${pod.metadata.namespace}/${owner.name}`
  if (owners.get(key)?.spec.strategy?.type === 'Recreate') enqueue(key)
}

async function reconcileDeployment(
  key: string,
  context: ReconcilerContext,
  { owners, sets, podCache }: Informers,
): Promise<{ requeueAfterMs: number } | undefined> {
  const deployment = owners.get(key)
  if (deployment === undefined) {
    context.writes.forget(key)
    return undefined
  }
  if (deepEqual(deployment.spec.selector, {})) return refuseEverything(context, deployment)
  const selector = selectorFromObject(deployment.spec.selector)
  const replicaSets = await reconcileClaim(context, deployment, {
    key,
    ownerType: deployments,
    type: replicasets,
    informer: sets,
    selector,
  })
  const isRecreate = deployment.spec.strategy?.type === 'Recreate'
  const owned = isRecreate ? replicaSets.flatMap((set) => ownedBy(podCache, set)) : []
  const plan = planDeployment({ deployment, replicaSets, pods: owned, nowMs: context.clock.now() })
  await applyPlan(context, deployment, { key, plan, sets })
  return plan.requeueAfterMs === undefined ? undefined : { requeueAfterMs: plan.requeueAfterMs }
}

async function applyPlan(
  context: ReconcilerContext,
  deployment: Stored<Deployment>,
  { key, plan, sets }: { readonly key: string; readonly plan: DeploymentPlan; readonly sets: Informer<ReplicaSet> },
): Promise<void> {
  const { client, writes } = context
  if (plan.create !== undefined) {
    const created = await createSet(context, deployment, plan.create)
    if (created === undefined) return
    writes.wrote(key, sets, created)
    const size = plan.create.spec.replicas ?? 0
    if (size > 0) recordScaling(context, deployment, { name: created.metadata.name, from: 0, to: size })
  }
  for (const { from, to } of plan.update) {
    writes.wrote(key, sets, await client.update(replicasets, to))
    const sizes = { name: from.metadata.name, from: from.spec.replicas ?? 1, to: to.spec.replicas ?? 1 }
    if (sizes.from !== sizes.to) recordScaling(context, deployment, sizes)
  }
  for (const set of plan.remove) {
    try {
      await client.delete(replicasets, nameOf(set), { preconditions: { uid: set.metadata.uid } })
      writes.deleted(key, sets, set)
    } catch (error) {
      if (!isStatus(error, 'NotFound')) throw error
    }
  }
  const isSame =
    deepEqual(deployment.status ?? {}, plan.status) &&
    deepEqual(deployment.metadata.annotations ?? {}, plan.annotations)
  if (isSame) return
  const metadata = { ...deployment.metadata, annotations: plan.annotations }
  await client.updateStatus(deployments, { ...deployment, metadata, status: plan.status })
}

function recordScaling(
  { events }: ReconcilerContext,
  deployment: Stored<Deployment>,
  { name, from, to }: { readonly name: string; readonly from: number; readonly to: number },
): void {
  const message = `Scaled ${to > from ? 'up' : 'down'} replica set ${name} from ${from} to ${to}`
  events.record(deployment, { type: 'Normal', reason: 'ScalingReplicaSet', message })
}

/** Undefined when the set exists already: our cache is behind, or another template has the same hash and the next try takes another name. */
async function createSet(
  context: ReconcilerContext,
  deployment: Stored<Deployment>,
  set: ReplicaSet,
): Promise<Stored<ReplicaSet> | undefined> {
  const { client } = context
  try {
    return await client.create(replicasets, set)
  } catch (error) {
    if (isStatus(error, 'AlreadyExists')) {
      await resolveCollision(context, deployment, set)
      return undefined
    }
    if (!isNamespaceTerminating(error)) await reportCreateError(context, deployment, { set, error })
    throw error
  }
}

async function resolveCollision(
  { client }: ReconcilerContext,
  deployment: Stored<Deployment>,
  set: ReplicaSet,
): Promise<void> {
  const existing = await client.get(replicasets, nameOf(set))
  const isOurs = existing.metadata.ownerReferences?.some(
    (owner) => owner.controller && owner.uid === deployment.metadata.uid,
  )
  if (isOurs && hasTemplate(existing, deployment.spec.template)) return
  const collisionCount = (deployment.status?.collisionCount ?? 0) + 1
  await client.updateStatus(deployments, { ...deployment, status: { ...deployment.status, collisionCount } })
}

async function reportCreateError(
  { client, events, clock }: ReconcilerContext,
  deployment: Stored<Deployment>,
  { set, error }: { readonly set: ReplicaSet; readonly error: unknown },
): Promise<void> {
  const message = `Failed to create new replica set "${set.metadata.name}": ${messageOf(error)}`
  events.record(deployment, { type: 'Warning', reason: 'ReplicaSetCreateError', message })
  if (progressDeadlineSeconds(deployment) === undefined) return
  const init = { type: 'Progressing', status: 'False', reason: 'ReplicaSetCreateError', message }
  const conditions = setDeploymentCondition(deployment.status?.conditions ?? [], init, clock.now())
  if (deepEqual(conditions, deployment.status?.conditions ?? [])) return
  await client.updateStatus(deployments, { ...deployment, status: { ...deployment.status, conditions } })
}

async function refuseEverything(
  { client, events }: ReconcilerContext,
  deployment: Stored<Deployment>,
): Promise<undefined> {
  const message = 'This deployment is selecting all pods. A non-empty selector is required.'
  events.record(deployment, { type: 'Warning', reason: 'SelectingAll', message })
  const { generation = 0 } = deployment.metadata
  if ((deployment.status?.observedGeneration ?? 0) >= generation) return
  await client.updateStatus(deployments, {
    ...deployment,
    status: { ...deployment.status, observedGeneration: generation },
  })
}
