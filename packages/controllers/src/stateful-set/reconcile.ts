import { deepEqual, isDeleting, isStatus, objectKey, selectorFromObject, type Stored } from '@centaurus/api'
import { controllerrevisions, statefulsets, type ControllerRevision, type StatefulSet } from '@centaurus/api/apps/v1'
import { persistentvolumeclaims, pods, type PersistentVolumeClaim, type Pod } from '@centaurus/api/core/v1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { nameOf, reconcileClaim } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { addOwnerIndex, watchOwned, watchSelf } from '../frame/owners.ts'
import { isNamespaceTerminating, messageOf } from '../frame/pods.ts'
import {
  planRevisionCleanup,
  planRevisions,
  removeRevisions,
  RevisionCollisionError,
  writeRevision,
} from '../frame/revisions.ts'
import { nameOfRevision, planStatefulSet } from './plan.ts'
import { buildClaims, buildStatefulPod, ordinalOf, planClaimOwners, podRevision, type StatefulPodInit } from './pod.ts'

const HISTORY_LIMIT_DEFAULT = 10

interface Informers {
  readonly owners: Informer<StatefulSet>
  readonly podCache: Informer<Pod>
  readonly claims: Informer<PersistentVolumeClaim>
  readonly revisions: Informer<ControllerRevision>
}

/** Keeps the numbered pods of StatefulSets, with their claims. */
export function startStatefulSetController(deps: ControllerDeps): RunningController {
  const informers: Informers = {
    owners: deps.informers.informer(statefulsets),
    podCache: deps.informers.informer(pods),
    claims: deps.informers.informer(persistentvolumeclaims),
    revisions: deps.informers.informer(controllerrevisions),
  }
  const { owners, podCache, claims, revisions } = informers
  addOwnerIndex(podCache)
  addOwnerIndex(revisions)
  const adopters = (object: Stored<Pod> | Stored<ControllerRevision>): string[] =>
    owners
      .list(object.metadata.namespace)
      .filter((owner) => selectorFromObject(owner.spec.selector).matches(object.metadata.labels))
      .map(objectKey)
  return startReconciler(deps, {
    name: 'statefulset-controller',
    informer: owners,
    needs: [podCache, claims, revisions],
    watch({ queue }) {
      const owner = { queue, owners, group: 'apps', kind: 'StatefulSet', adopters } as const
      return [
        watchSelf(owners, queue),
        watchOwned({ ...owner, owned: podCache }),
        watchOwned({ ...owner, owned: revisions }),
      ]
    },
    reconcile: (key, context) => reconcileStatefulSet(key, context, informers),
  })
}

async function reconcileStatefulSet(
  key: string,
  context: ReconcilerContext,
  informers: Informers,
): Promise<ReconcileResult> {
  const set = informers.owners.get(key)
  if (set === undefined) return context.writes.forget(key)
  if (isDeleting(set)) return undefined // the garbage collector takes away what would be made now
  const selector = selectorFromObject(set.spec.selector)
  const claim = { key, ownerType: statefulsets, selector } as const
  const claimed = await reconcileClaim(context, set, { ...claim, type: pods, informer: informers.podCache })
  const owned = claimed.filter((pod) => ordinalOf(set, pod) !== undefined)
  const existing = await reconcileClaim(context, set, {
    ...claim,
    type: controllerrevisions,
    informer: informers.revisions,
  })
  const collisionCount = set.status?.collisionCount ?? 0
  const planned = planRevisions({ owner: set, template: set.spec.template, collisionCount, existing })
  const updateRevision = await writeRevision(context, planned, { key, informer: informers.revisions }).catch(
    (error: unknown) => growCollisionCount(context, set, error),
  )
  const currentRevision =
    existing.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? updateRevision
  const plan = planStatefulSet({
    set,
    pods: owned,
    currentRevision,
    updateRevision,
    collisionCount,
    nowMs: context.clock.now(),
  })
  const step = { key, set, informers }
  const failure = await applyStep(context, step, { create: plan.create, remove: plan.remove, pods: owned })
  if (failure === undefined || plan.create.length === 0) {
    if (!deepEqual(set.status, plan.status)) {
      context.writes.wrote(
        key,
        informers.owners,
        await context.client.updateStatus(statefulsets, { ...set, status: plan.status }),
      )
    }
  }
  if (failure !== undefined) throw failure
  const live = new Set([nameOfRevision(currentRevision), nameOfRevision(updateRevision), ...owned.map(podRevision)])
  const unused = planned.old.filter((revision) => !live.has(nameOfRevision(revision)))
  await removeRevisions(
    context,
    planRevisionCleanup(unused, { limit: set.spec.revisionHistoryLimit ?? HISTORY_LIMIT_DEFAULT, isLive: () => false }),
  )
  return plan.requeueAfterMs === undefined ? undefined : { requeueAfterMs: plan.requeueAfterMs }
}

async function growCollisionCount(
  { client }: ReconcilerContext,
  set: Stored<StatefulSet>,
  error: unknown,
): Promise<never> {
  if (error instanceof RevisionCollisionError) {
    const collisionCount = (set.status?.collisionCount ?? 0) + 1
    await client.updateStatus(statefulsets, { ...set, status: { replicas: 0, ...set.status, collisionCount } })
  }
  throw error
}

interface Step {
  readonly key: string
  readonly set: Stored<StatefulSet>
  readonly informers: Informers
}

interface StepChanges {
  readonly create: readonly StatefulPodInit[]
  readonly remove: readonly Stored<Pod>[]
  readonly pods: readonly Stored<Pod>[]
}

async function applyStep(
  context: ReconcilerContext,
  step: Step,
  { create, remove, pods: owned }: StepChanges,
): Promise<Error | undefined> {
  try {
    for (const pod of owned) await fixClaims(context, step, pod)
    const created = await Promise.allSettled(create.map((init) => createOne(context, step, init)))
    const failed = created.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    for (const pod of remove) await removeOne(context, step, pod)
    return undefined
  } catch (error) {
    return error as Error
  }
}

/** A pod's claims exist, and have the owners that the retention policy gives them. */
async function fixClaims(
  context: ReconcilerContext,
  { key, set, informers: { claims } }: Step,
  pod: Stored<Pod>,
): Promise<void> {
  const ordinal = ordinalOf(set, pod)!
  if (pod.status?.phase === 'Pending') await createClaims(context, { key, set, claims }, ordinal)
  for (const wanted of buildClaims(set, ordinal)) {
    const claim = claims.get(objectKey(wanted))
    const ownerReferences = claim && planClaimOwners(set, claim, { pod, ordinal })
    if (claim === undefined || ownerReferences === undefined) continue
    const metadata = { ...claim.metadata, ownerReferences }
    context.writes.wrote(key, claims, await context.client.update(persistentvolumeclaims, { ...claim, metadata }))
  }
}

async function createClaims(
  { client, events, writes }: ReconcilerContext,
  {
    key,
    set,
    claims,
  }: { readonly key: string; readonly set: Stored<StatefulSet>; readonly claims: Informer<PersistentVolumeClaim> },
  ordinal: number,
): Promise<void> {
  for (const wanted of buildClaims(set, ordinal)) {
    const known = claims.get(objectKey(wanted))
    if (known?.metadata.deletionTimestamp !== undefined)
      throw new Error(`Claim "${known.metadata.name}" is being deleted: a pod can't use it`)
    if (known !== undefined) continue
    const what = `Create Claim ${wanted.metadata.name} Pod ${set.metadata.name}-${ordinal} in StatefulSet ${set.metadata.name}`
    const ownerReferences = planClaimOwners(set, wanted, { pod: undefined, ordinal }) ?? []
    try {
      writes.wrote(
        key,
        claims,
        await client.create(persistentvolumeclaims, { ...wanted, metadata: { ...wanted.metadata, ownerReferences } }),
      )
      events.record(set, { type: 'Normal', reason: 'SuccessfulCreate', message: `${what} success` })
    } catch (error) {
      if (isStatus(error, 'AlreadyExists')) continue
      events.record(set, {
        type: 'Warning',
        reason: 'FailedCreate',
        message: `${what.replace(' Pod ', ' for Pod ')} failed error: ${messageOf(error)}`,
      })
      throw error
    }
  }
}

async function createOne(context: ReconcilerContext, step: Step, init: StatefulPodInit): Promise<void> {
  const { key, set, informers } = step
  const pod = buildStatefulPod(set, init)
  const { name } = pod.metadata
  try {
    await createClaims(context, { key, set, claims: informers.claims }, init.ordinal)
    context.writes.wrote(key, informers.podCache, await context.client.create(pods, pod))
    context.events.record(set, {
      type: 'Normal',
      reason: 'SuccessfulCreate',
      message: `Create Pod ${name} in StatefulSet ${set.metadata.name} successful`,
    })
  } catch (error) {
    if (isNamespaceTerminating(error)) return
    if (!isStatus(error, 'AlreadyExists')) {
      const message = `Create Pod ${name} in StatefulSet ${set.metadata.name} failed error: ${messageOf(error)}`
      context.events.record(set, { type: 'Warning', reason: 'FailedCreate', message })
    }
    throw error
  }
}

async function removeOne(
  { client, events, writes }: ReconcilerContext,
  { key, set, informers }: Step,
  pod: Stored<Pod>,
): Promise<void> {
  const { name, uid } = pod.metadata
  const what = `Delete Pod ${name} in StatefulSet ${set.metadata.name}`
  try {
    await client.delete(pods, nameOf(pod), { preconditions: { uid } })
    events.record(set, { type: 'Normal', reason: 'SuccessfulDelete', message: `${what} successful` })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) {
      events.record(set, {
        type: 'Warning',
        reason: 'FailedDelete',
        message: `${what} failed error: ${messageOf(error)}`,
      })
      throw error
    }
  }
  writes.deleted(key, informers.podCache, pod)
}
