import {
  controllerOf,
  deepEqual,
  isPodActive,
  objectKey,
  selectorFromLabels,
  selectorFromObject,
  type KubeObject,
  type LabelSelector,
  type ResourceType,
  type Stored,
} from '@centaurus/api'
import { replicasets, type ReplicaSet, type ReplicaSetStatus } from '@centaurus/api/apps/v1'
import {
  pods,
  replicationcontrollers,
  type Pod,
  type PodTemplateSpec,
  type ReplicationController,
} from '@centaurus/api/core/v1'
import type { Informer, RunningController } from '@centaurus/client'
import { reconcileClaim } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { addOwnerIndex, groupOf, ownedBy, watchOwned, watchSelf } from '../frame/owners.ts'
import { buildPod, createPodsSlowly, deletePods, isPodTerminating, messageOf } from '../frame/pods.ts'
import { planAvailabilityCheck, planReplicas, planReplicaStatus } from './plan.ts'

/** Keeps as many pods as each ReplicaSet asks for. */
export function startReplicaSetController(deps: ControllerDeps): RunningController {
  return startReplicaController<ReplicaSet>(deps, {
    name: 'replicaset-controller',
    type: replicasets,
    selectorOf: (set) => selectorFromObject(set.spec.selector),
    countsTerminating: true,
  })
}

/** Keeps as many pods as each ReplicationController asks for. */
export function startReplicationController(deps: ControllerDeps): RunningController {
  return startReplicaController<ReplicationController>(deps, {
    name: 'replication-controller',
    type: replicationcontrollers,
    selectorOf: (controller) => selectorFromLabels(controller.spec?.selector ?? {}),
    countsTerminating: false,
  })
}

/** The fields by which both kinds are the same. */
interface ReplicaKind extends KubeObject {
  spec?:
    | { replicas?: number | undefined; minReadySeconds?: number | undefined; template?: PodTemplateSpec | undefined }
    | undefined
  status?: ReplicaSetStatus | undefined
}

interface ReplicaControllerOptions<T extends ReplicaKind> {
  readonly name: string
  readonly type: ResourceType<T>
  readonly selectorOf: (owner: T) => LabelSelector
  readonly countsTerminating: boolean
}

function startReplicaController<T extends ReplicaKind>(
  deps: ControllerDeps,
  options: ReplicaControllerOptions<T>,
): RunningController {
  const owners = deps.informers.informer(options.type)
  const owned = deps.informers.informer(pods)
  addOwnerIndex(owned)
  addOwnerIndex(owners)
  const adopters = (pod: Stored<Pod>): string[] =>
    owners
      .list(pod.metadata.namespace)
      .filter((owner) => options.selectorOf(owner).matches(pod.metadata.labels))
      .map(objectKey)
  return startReconciler(deps, {
    name: options.name,
    informer: owners,
    needs: [owned],
    watch: ({ queue }) => [
      watchSelf(owners, queue),
      watchOwned({ queue, owners, owned, group: options.type.group, kind: options.type.kind, adopters }),
    ],
    reconcile: (key, context) => reconcileReplicas(key, context, { ...options, owners, owned }),
  })
}

interface ReplicaInformers<T extends ReplicaKind> extends ReplicaControllerOptions<T> {
  readonly owners: Informer<T>
  readonly owned: Informer<Pod>
}

async function reconcileReplicas<T extends ReplicaKind>(
  key: string,
  context: ReconcilerContext,
  options: ReplicaInformers<T>,
): Promise<{ requeueAfterMs: number } | undefined> {
  const owner = options.owners.get(key)
  if (owner === undefined) {
    context.writes.forget(key)
    return undefined
  }
  const { type, owned } = options
  const claimed = await reconcileClaim(context, owner, {
    key,
    ownerType: type,
    type: pods,
    informer: owned,
    selector: options.selectorOf(owner),
  })
  const activePods = claimed.filter(isPodActive)
  const failure =
    owner.metadata.deletionTimestamp === undefined
      ? await adjustReplicas(key, context, { ...options, owner, activePods })
      : undefined
  const nowMs = context.clock.now()
  const minReadySeconds = owner.spec?.minReadySeconds ?? 0
  const status = planReplicaStatus({
    old: owner.status ?? { replicas: 0 },
    replicas: owner.spec?.replicas ?? 1,
    minReadySeconds,
    template: owner.spec?.template,
    generation: owner.metadata.generation,
    activePods,
    terminatingPods: options.countsTerminating ? claimed.filter(isPodTerminating).length : undefined,
    failure: failure === undefined ? undefined : messageOf(failure),
    nowMs,
  })
  if (!deepEqual(owner.status, status)) await context.client.updateStatus(type, { ...owner, status })
  if (failure !== undefined) throw failure
  const requeueAfterMs = planAvailabilityCheck(activePods, minReadySeconds, nowMs)
  return requeueAfterMs === undefined ? undefined : { requeueAfterMs }
}

/** Returns what went wrong, so that the status can tell before the retry. */
async function adjustReplicas<T extends ReplicaKind>(
  key: string,
  context: ReconcilerContext,
  {
    owner,
    owned,
    owners,
    activePods,
  }: ReplicaInformers<T> & { readonly owner: Stored<T>; readonly activePods: readonly Stored<Pod>[] },
): Promise<Error | undefined> {
  const replicas = owner.spec?.replicas ?? 1
  const isShrinking = activePods.length > replicas
  const plan = planReplicas({
    replicas,
    activePods,
    relatedPods: isShrinking ? relatedPods(owner, { owners, owned, activePods }) : [],
    nowMs: context.clock.now(),
  })
  const writer = { context, key, informer: owned, owner }
  try {
    if (plan.create > 0) {
      const pod = buildPod(owner.spec!.template!, owner)
      await createPodsSlowly(
        writer,
        Array.from({ length: plan.create }, () => pod),
      )
    }
    if (plan.remove.length > 0) await deletePods(writer, plan.remove)
    return undefined
  } catch (error) {
    return error as Error
  }
}

/** Active pods of the replica sets that have the same controller, such as the older ones of a Deployment. */
function relatedPods<T extends ReplicaKind>(
  owner: Stored<T>,
  {
    owners,
    owned,
    activePods,
  }: Pick<ReplicaInformers<T>, 'owners' | 'owned'> & { readonly activePods: readonly Stored<Pod>[] },
): readonly Pod[] {
  const parent = controllerOf(owner)
  if (parent === undefined || groupOf(parent.apiVersion) === '') return activePods
  const siblings = ownedBy(owners, { metadata: { uid: parent.uid } })
  return siblings.flatMap((sibling) => ownedBy(owned, sibling).filter(isPodActive))
}
