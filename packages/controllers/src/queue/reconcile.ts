import {
  controllerOf,
  formatKey,
  isDeleting,
  objectKey,
  tenantOfViewed,
  type KubeObject,
  type Stored,
} from '@centaurus/api'
import { queuedworkloads, queueNameOf, queues, type QueuedWorkload } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import type { ReconcileResult, RunningController, WorkQueue } from '@centaurus/client'
import { startReconciler, type ControllerDeps } from '../frame/controller.ts'
import { addOwnerIndex } from '../frame/owners.ts'
import { applyPlan } from './apply-plan.ts'
import { consolidate, CONSOLIDATE_AFTER_MS } from './consolidation.ts'
import { createJobOwner, unschedulableMessage } from './job-owner.ts'
import { ofAnyKind, type OwnerKind } from './owner-kind.ts'
import { createPodGroupOwner, createPodOwner } from './pod-owner.ts'
import { reportQueue, reportWorkloads } from './report.ts'
import { BY_TENANT, type SyncDeps } from './sync-deps.ts'
import { syncOwner, syncWorkload } from './sync-workload.ts'
import { TenantQueues } from './tenant-queues.ts'

/** Changes that come together are decided together. */
const PLAN_AFTER_MS = 10
/** A plan is long when it writes much, and what it let happen is what the next one waits for. */
const REST_MS_MAX = 20
/** How often a tenant's workloads are told anew why they wait, and a queue what is in it. */
const REPORT_AFTER_MS = 1_000

export interface QueueControllerOptions {
  /** Further kinds that wait in queues, such as TrainingJobs. */
  readonly owners?: readonly OwnerKind<KubeObject>[] | undefined
  /** Default {@link CONSOLIDATE_AFTER_MS}. */
  readonly consolidateAfterMs?: number | undefined
}

/**
 * Admits what waits in queues. Makes a QueuedWorkload for each object that names a queue; decides for each tenant who runs; writes that into the
 * QueuedWorkload, and only then lets the object's pods start, or ends them. What it knows it has from these objects, so it may end at any moment.
 */
export function startQueueController(deps: ControllerDeps, options: QueueControllerOptions = {}): RunningController {
  const { informers, clock } = deps
  const workloadInformer = informers.informer(queuedworkloads)
  const queueInformer = informers.informer(queues)
  const podInformer = informers.informer(pods)
  const nodeInformer = informers.informer(nodes)
  const { consolidateAfterMs = CONSOLIDATE_AFTER_MS } = options
  const classes = informers.informer(priorityclasses)
  addOwnerIndex(podInformer)
  workloadInformer.addIndex(BY_TENANT, (workload) => [tenantOfViewed(workload)])
  const kinds: readonly OwnerKind<KubeObject>[] = [
    ofAnyKind(createJobOwner(informers)),
    ofAnyKind(createPodGroupOwner(informers)),
    ofAnyKind(createPodOwner(informers)),
    ...(options.owners ?? []),
  ]
  const tenants = new Map<string, TenantQueues>()
  const tenantOf = (tenant: string): TenantQueues => {
    const known = tenants.get(tenant) ?? new TenantQueues()
    tenants.set(tenant, known)
    return known
  }
  const sweeps: SyncDeps['sweeps'] = new Map()
  const fullSweepsMs: SyncDeps['fullSweepsMs'] = new Map()
  const shared = {
    kinds,
    classes,
    workloadInformer,
    queueInformer,
    podInformer,
    tenantOf,
    sweeps,
    fullSweepsMs,
    nodeInformer,
    consolidateAfterMs,
  }
  return startReconciler<QueuedWorkload>(deps, {
    name: 'queue-controller',
    restMsMax: REST_MS_MAX,
    informer: workloadInformer,
    needs: [queueInformer, podInformer, nodeInformer, classes, ...kinds.map(({ informer }) => informer)],
    watch: ({ queue }) => [
      ...watchKinds(kinds, queue),
      watchPods(shared, queue),
      queueInformer.addHandler({
        onAdd: (object) => changed(object, queue, () => tenantOf(tenantOfViewed(object)).putQueue(object)),
        onUpdate(object, old) {
          const isNews = object.metadata.generation !== old.metadata.generation || isDeleting(object)
          if (isNews) changed(object, queue, () => tenantOf(tenantOfViewed(object)).putQueue(object))
        },
        onDelete: (object) => changed(object, queue, () => tenantOf(tenantOfViewed(object)).removeQueue(object)),
      }),
      workloadInformer.addHandler({
        onAdd: (object) => noteWorkload(object, { queue, tenantOf, nowMs: clock.now() }),
        onUpdate: (object) => noteWorkload(object, { queue, tenantOf, nowMs: clock.now() }),
        onDelete(object) {
          tenantOf(tenantOfViewed(object)).remove(object)
          touch(object, queue)
          queue.add(`workload ${objectKey(object)}`)
        },
      }),
    ],
    reconcile: (key, context) => reconcileKey(key, { ...context, ...shared }),
  })
}

function watchKinds(kinds: readonly OwnerKind<KubeObject>[], queue: WorkQueue): (() => void)[] {
  return kinds.map(({ kind, informer }) => {
    const add = (object: Stored<KubeObject>): void => queue.add(`owner ${kind} ${objectKey(object)}`)
    const isQueued = (object: Stored<KubeObject>): boolean => queueNameOf(object) !== undefined
    return informer.addHandler({
      onAdd: (object) => isQueued(object) && add(object),
      onUpdate: (object, old) => (isQueued(object) || isQueued(old)) && add(object),
      onDelete: (object) => isQueued(object) && add(object),
    })
  })
}

/** Whose pods come, go or find no node is looked at. */
function watchPods({ podInformer, kinds }: Pick<SyncDeps, 'podInformer' | 'kinds'>, queue: WorkQueue): () => void {
  const add = (pod: Stored<Pod>): void => {
    const namespace = pod.metadata.namespace ?? ''
    const owner = controllerOf(pod)
    const kind = kinds.find((each) => each.kind === owner?.kind && each.apiVersion === owner.apiVersion)
    const key = owner === undefined ? undefined : formatKey(namespace, owner.name)
    const found = key === undefined ? undefined : kind?.informer.get(key)
    if (found !== undefined && queueNameOf(found) !== undefined)
      queue.addAfter(`owner ${kind!.kind} ${key}`, PLAN_AFTER_MS)
    const group = pod.spec?.schedulingGroup?.podGroupName
    if (group) queue.addAfter(`owner PodGroup ${formatKey(namespace, group)}`, PLAN_AFTER_MS)
  }
  return podInformer.addHandler({
    onAdd: add,
    onUpdate(pod, old) {
      add(pod)
      if (unschedulableMessage(pod) !== unschedulableMessage(old))
        queue.addAfter(`report ${tenantOfViewed(pod)}`, REPORT_AFTER_MS)
    },
    onDelete: add,
  })
}

function changed(object: Stored<KubeObject>, queue: WorkQueue, change: () => void): void {
  change()
  const tenant = tenantOfViewed(object)
  queue.addAfter(`plan ${tenant}`, PLAN_AFTER_MS)
  queue.addAfter(`report ${tenant}`, REPORT_AFTER_MS)
  queue.add(`queue ${object.metadata.name}`)
}

function noteWorkload(
  object: Stored<QueuedWorkload>,
  {
    queue,
    tenantOf,
    nowMs,
  }: { readonly queue: WorkQueue; readonly tenantOf: SyncDeps['tenantOf']; readonly nowMs: number },
): void {
  const waitMs = tenantOf(tenantOfViewed(object)).put(object, nowMs)
  if (waitMs > 0) queue.addAfter(`workload ${objectKey(object)}`, waitMs)
  const owner = controllerOf(object)
  if (owner !== undefined) queue.add(`owner ${owner.kind} ${formatKey(object.metadata.namespace ?? '', owner.name)}`)
  queue.add(`workload ${objectKey(object)}`)
  touch(object, queue)
}

function touch(object: Stored<QueuedWorkload>, queue: WorkQueue): void {
  const tenant = tenantOfViewed(object)
  queue.addAfter(`plan ${tenant}`, PLAN_AFTER_MS)
  queue.addAfter(`report ${tenant}`, REPORT_AFTER_MS)
  queue.addAfter(`queue ${object.spec.queueName}`, REPORT_AFTER_MS)
}

async function reconcileKey(key: string, deps: SyncDeps): Promise<ReconcileResult> {
  const [what, ...rest] = key.split(' ')
  const [first = '', second = ''] = rest
  switch (what) {
    case 'plan':
      return applyPlan(first, deps)
    case 'report':
      return reportWorkloads(first, deps)
    case 'queue':
      return reportQueue(first, deps)
    case 'consolidate':
      return consolidate(first, deps)
    case 'workload':
      return syncWorkload(first, deps)
    default:
      return syncOwner(first, second, deps)
  }
}
