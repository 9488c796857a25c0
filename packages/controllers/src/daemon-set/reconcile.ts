import { deepEqual, isDeleting, objectKey, selectorFromObject, type Stored } from '@centaurus/api'
import { controllerrevisions, daemonsets, type ControllerRevision, type DaemonSet } from '@centaurus/api/apps/v1'
import { nodes, pods, type Node, type Pod } from '@centaurus/api/core/v1'
import type { Informer, RunningController } from '@centaurus/client'
import { KeyedBackoff } from '../frame/backoff.ts'
import { reconcileClaim } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { AUTHORITY_RECHECK_MS, resourcePartitionOf } from '../frame/node-authority.ts'
import { addOwnerIndex, watchOwned, watchSelf } from '../frame/owners.ts'
import { createPodsSlowly, deletePods } from '../frame/pods.ts'
import {
  planRevisionCleanup,
  planRevisions,
  removeRevisions,
  revisionHash,
  RevisionCollisionError,
  writeRevision,
} from '../frame/revisions.ts'
import { planDaemonSet, type DaemonSetPlan } from './plan.ts'
import { buildDaemonPod, daemonTolerations, fitNode } from './pod.ts'

/** Each look makes a burst of pods, so that tens of thousands of nodes get theirs in minutes. */
const REST_MS_MAX = 500

/** Source: failedPodsBackoff, cmd/kube-controller-manager/app/apps.go v1.37. */
const FAILED_POD_BACKOFF = { baseMs: 1_000, maxMs: 900_000 }
const HISTORY_LIMIT_DEFAULT = 10

interface Informers {
  readonly owners: Informer<DaemonSet>
  readonly podCache: Informer<Pod>
  readonly nodeCache: Informer<Node>
  readonly revisions: Informer<ControllerRevision>
  readonly backoff: KeyedBackoff
}

/** Keeps one pod of each DaemonSet on every node that fits. */
export function startDaemonSetController(deps: ControllerDeps): RunningController {
  const informers: Informers = {
    owners: deps.informers.informer(daemonsets),
    podCache: deps.informers.informer(pods),
    nodeCache: deps.informers.informer(nodes),
    revisions: deps.informers.informer(controllerrevisions),
    backoff: new KeyedBackoff(deps.clock, FAILED_POD_BACKOFF),
  }
  const { owners, podCache, nodeCache, revisions } = informers
  addOwnerIndex(podCache)
  addOwnerIndex(revisions)
  const adopters = (object: Stored<Pod> | Stored<ControllerRevision>): string[] =>
    owners
      .list(object.metadata.namespace)
      .filter((owner) => selectorFromObject(owner.spec.selector).matches(object.metadata.labels))
      .map(objectKey)
  return startReconciler(deps, {
    name: 'daemonset-controller',
    restMsMax: REST_MS_MAX,
    workers: 2,
    informer: owners,
    needs: [podCache, nodeCache, revisions],
    watch({ queue }) {
      const owner = { queue, owners, group: 'apps', kind: 'DaemonSet', adopters } as const
      return [
        watchSelf(owners, queue),
        watchOwned({ ...owner, owned: podCache }),
        watchOwned({ ...owner, owned: revisions }),
        watchNodes(informers, (key) => queue.add(key)),
      ]
    },
    reconcile: (key, context) => reconcileDaemonSet(key, context, informers),
  })
}

/** A node concerns the sets that may run on it now or might before. Heartbeats change neither labels nor spec. */
function watchNodes({ owners, nodeCache }: Informers, enqueue: (key: string) => void): () => void {
  const enqueueFitting = (...versions: readonly Node[]): void => {
    for (const owner of owners.list()) {
      const tolerations = daemonTolerations(owner.spec.template.spec!)
      const fits = versions.map((node) => fitNode(owner, tolerations, node))
      const isConcerned = versions.length === 1 ? fits[0]!.shouldContinueRunning : !deepEqual(fits[0], fits[1])
      if (isConcerned) enqueue(objectKey(owner))
    }
  }
  return nodeCache.addHandler({
    onAdd: (node) => enqueueFitting(node),
    onUpdate(node, old) {
      if (!deepEqual(node.metadata.labels, old.metadata.labels) || !deepEqual(node.spec, old.spec))
        enqueueFitting(node, old)
    },
    onDelete: (node) => enqueueFitting(node),
  })
}

async function reconcileDaemonSet(
  key: string,
  context: ReconcilerContext,
  informers: Informers,
): Promise<{ requeueAfterMs: number } | undefined> {
  const daemonSet = informers.owners.get(key)
  if (daemonSet === undefined) {
    context.writes.forget(key)
    return undefined
  }
  if (deepEqual(daemonSet.spec.selector, {})) {
    const message = 'This daemon set is selecting all pods. A non-empty selector is required.'
    context.events.record(daemonSet, { type: 'Warning', reason: 'SelectingAll', message })
    return undefined
  }
  if (isDeleting(daemonSet)) return undefined
  const selector = selectorFromObject(daemonSet.spec.selector)
  const claim = { key, ownerType: daemonsets, selector } as const
  const owned = await reconcileClaim(context, daemonSet, { ...claim, type: pods, informer: informers.podCache })
  const existing = await reconcileClaim(context, daemonSet, {
    ...claim,
    type: controllerrevisions,
    informer: informers.revisions,
  })
  const revisions = planRevisions({
    owner: daemonSet,
    template: daemonSet.spec.template,
    collisionCount: daemonSet.status?.collisionCount,
    existing,
  })
  const current = await writeRevision(context, revisions, { key, informer: informers.revisions }).catch(
    (error: unknown) => growCollisionCount(context, daemonSet, error),
  )
  const backoffKey = (node: string): string => `${daemonSet.metadata.uid}/${daemonSet.metadata.generation}/${node}`
  const isNodeListComplete = context.nodeAuthority?.isAuthoritative(undefined) ?? true
  const plan = planDaemonSet({
    daemonSet,
    nodes: informers.nodeCache.list(),
    isNodeListComplete,
    isNodeKnown: (pod) => context.nodeAuthority?.isAuthoritative(resourcePartitionOf(pod)) ?? true,
    pods: owned,
    hash: revisionHash(current),
    backoffMs: (node) => informers.backoff.waitMs(backoffKey(node)),
    nowMs: context.clock.now(),
  })
  for (const { pod, ended } of plan.remove) {
    if (ended === 'failed') informers.backoff.tried(backoffKey(pod.spec?.nodeName ?? ''))
  }
  const failure = await applyPlan(key, context, {
    daemonSet,
    plan,
    hash: revisionHash(current),
    podCache: informers.podCache,
  })
  if (!deepEqual(daemonSet.status, plan.status))
    await context.client.updateStatus(daemonsets, { ...daemonSet, status: plan.status })
  if (failure !== undefined) throw failure
  const hashes = new Set(owned.map((pod) => pod.metadata.labels?.['controller-revision-hash']))
  const limit = daemonSet.spec.revisionHistoryLimit ?? HISTORY_LIMIT_DEFAULT
  await removeRevisions(
    context,
    planRevisionCleanup(revisions.old, { limit, isLive: (revision) => hashes.has(revisionHash(revision)) }),
  )
  const waits = [plan.requeueAfterMs, isNodeListComplete ? undefined : AUTHORITY_RECHECK_MS].filter(
    (wait) => wait !== undefined,
  )
  return waits.length === 0 ? undefined : { requeueAfterMs: Math.min(...waits) }
}

async function growCollisionCount(
  { client }: ReconcilerContext,
  daemonSet: Stored<DaemonSet>,
  error: unknown,
): Promise<never> {
  if (error instanceof RevisionCollisionError && daemonSet.status !== undefined) {
    const collisionCount = (daemonSet.status.collisionCount ?? 0) + 1
    await client.updateStatus(daemonsets, { ...daemonSet, status: { ...daemonSet.status, collisionCount } })
  }
  throw error
}

interface ApplyInput {
  readonly daemonSet: Stored<DaemonSet>
  readonly plan: DaemonSetPlan
  readonly hash: string
  readonly podCache: Informer<Pod>
}

/** Returns what went wrong, so that the status is written before the retry. */
async function applyPlan(
  key: string,
  context: ReconcilerContext,
  { daemonSet, plan, hash, podCache }: ApplyInput,
): Promise<Error | undefined> {
  for (const { pod, ended } of plan.remove) {
    if (ended === undefined) continue
    const { namespace, name } = pod.metadata
    const what = ended === 'failed' ? 'will try to kill it' : 'will try to delete it'
    const message = `Found ${ended} daemon pod ${namespace}/${name} on node ${pod.spec?.nodeName ?? ''}, ${what}`
    const isFailed = ended === 'failed'
    context.events.record(daemonSet, {
      type: isFailed ? 'Warning' : 'Normal',
      reason: isFailed ? 'FailedDaemonPod' : 'SucceededDaemonPod',
      message,
    })
  }
  const writer = { context, key, informer: podCache, owner: daemonSet }
  const removal = deletePods(
    writer,
    plan.remove.map(({ pod }) => pod),
  )
  const creation = createPodsSlowly(
    writer,
    plan.create.map((node) => buildDaemonPod(daemonSet, { node, hash })),
  )
  const results = await Promise.allSettled([removal, creation])
  const failed = results.find((result) => result.status === 'rejected')
  return failed?.reason as Error | undefined
}
