import { deepEqual, isStatus, objectKey, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import { trainingjobs, trainingreports, type TrainingJob, type TrainingReport } from '@centaurus/api/centaurus/v1'
import { configmaps, nodes, pods, services, type Pod } from '@centaurus/api/core/v1'
import { rolebindings, roles } from '@centaurus/api/rbac/v1'
import { podgroups, type PodGroup } from '@centaurus/api/scheduling/v1beta1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { addOwnerIndex, ownedBy, watchOwned, watchSelf } from '../frame/owners.ts'
import { createPodsSlowly, deletePods, timeMs, type PodWriter } from '../frame/pods.ts'
import { TrainingCapacity } from './capacity.ts'
import { isTrainingFinished, planTrainingJob, type TrainingPlan } from './plan.ts'
import { applyReport } from './progress.ts'
import { isPlannedAlike, PLAN_MS, TrainingSizes } from './sizes.ts'
import { surveyTrainingJob } from './survey.ts'
import { buildHosts, buildService, isOwnedBy, owned } from './worker-pods.ts'

/** Speeds and waits change without an event of the job. */
const RECHECK_MS = 15_000

interface TrainingInformers {
  readonly owners: Informer<TrainingJob>
  readonly podCache: Informer<Pod>
  readonly reports: Informer<TrainingReport>
  readonly groups: Informer<PodGroup>
}

/** Runs TrainingJobs with as many workers as there is room for and as help. */
export function startTrainingJobController(deps: ControllerDeps): RunningController {
  const { informers, clock } = deps
  const owners = informers.informer(trainingjobs)
  const podCache = informers.informer(pods)
  const nodeCache = informers.informer(nodes)
  const reports = informers.informer(trainingreports)
  const groups = informers.informer(podgroups)
  const caches: TrainingInformers = { owners, podCache, reports, groups }
  addOwnerIndex(podCache)
  let sizes: TrainingSizes | undefined
  return startReconciler(deps, {
    name: 'training-job-controller',
    informer: owners,
    needs: [podCache, nodeCache, reports, groups],
    watch: ({ queue }) => {
      // What one leaves, or others need, changes the sizes of all, which are planned together a little later.
      const replan = (): void => {
        for (const job of owners.list()) if (!isTrainingFinished(job)) queue.addAfter(objectKey(job), PLAN_MS)
      }
      const capacity = new TrainingCapacity({ nodes: nodeCache, pods: podCache }, replan)
      const onChange = (key: string): void => queue.add(key)
      const planner = new TrainingSizes({
        jobs: owners,
        pods: podCache,
        reports,
        capacity,
        now: () => clock.now(),
        onChange,
      })
      sizes = planner
      const watchOf = <T extends KubeObject>(informer: Informer<T>): (() => void) =>
        watchOwned({ queue, owners, owned: informer, group: 'centaurus.io', kind: 'TrainingJob' })
      return [
        watchSelf(owners, queue),
        owners.addHandler({
          onUpdate: (job, old) => void (isPlannedAlike(job, old) || replan()),
          onDelete: ({ metadata }) => {
            planner.forget(metadata.uid)
            replan()
          },
        }),
        watchOf(podCache),
        watchOf(reports),
        watchOf(groups),
        () => capacity.close(),
      ]
    },
    reconcile: (key, context) => reconcileTrainingJob(key, context, { ...caches, sizes: sizes! }),
  })
}

async function reconcileTrainingJob(
  key: string,
  context: ReconcilerContext,
  { sizes, ...caches }: TrainingInformers & { readonly sizes: TrainingSizes },
): Promise<ReconcileResult> {
  const { owners, podCache, reports } = caches
  const stored = owners.get(key)
  if (stored === undefined) return context.writes.forget(key)
  const nowMs = context.clock.now()
  if (isTrainingFinished(stored)) return endFinished(key, context, { job: stored, podCache, nowMs })
  await ensureSurroundings(key, context, { job: stored, groups: caches.groups })
  const list = ownedBy(podCache, stored)
  const report = reports.get(key)?.spec ?? {}
  const { ready } = surveyTrainingJob(stored, list, nowMs)
  const job = { ...stored, status: applyReport(stored, report, { ready, nowMs }) }
  const plan = planTrainingJob(surveyTrainingJob(job, list, nowMs), sizes.of(key))
  await carryOut({ context, key, informer: podCache, owner: stored }, { job: stored, plan, owners })
  if (job.spec.launcher !== undefined) await writeHosts(context, job, ownedBy(podCache, job))
  return { requeueAfterMs: Math.min(RECHECK_MS, plan.requeueAfterMs ?? RECHECK_MS) }
}

/** What is said is stored before pods go by it: a failure is counted before its pod is gone, a new world before its first pod is made. */
async function carryOut(
  writer: PodWriter,
  { job, plan, owners }: { job: Stored<TrainingJob>; plan: TrainingPlan; owners: Informer<TrainingJob> },
): Promise<void> {
  const { context, key } = writer
  const before = job.status?.workers?.desired ?? 0
  if (!deepEqual(plan.status, job.status ?? {})) {
    const written = await context.client.updateStatus(trainingjobs, { ...job, status: plan.status })
    context.writes.wrote(key, owners, written)
    recordEvents(context, { job, plan, before })
  }
  await deletePods(writer, plan.remove)
  await createPodsSlowly(writer, plan.create)
}

function recordEvents(
  { events }: ReconcilerContext,
  { job, plan, before }: { job: Stored<TrainingJob>; plan: TrainingPlan; before: number },
): void {
  const { workers, message = '', phase, restarts = 0 } = plan.status
  const desired = workers?.desired ?? 0
  if (restarts > (job.status?.restarts ?? 0))
    events.record(job, {
      type: 'Warning',
      reason: 'WorkersFailed',
      message: `Workers have failed, ${restarts} times so far`,
    })
  if (phase !== job.status?.phase && (phase === 'Succeeded' || phase === 'Failed'))
    events.record(job, { type: phase === 'Failed' ? 'Warning' : 'Normal', reason: phase, message })
  else if (desired !== before)
    events.record(job, {
      type: 'Normal',
      reason: 'Scaled',
      message: `From ${before} to ${desired} workers: ${message}`,
    })
}

/** Pods that run on are ended, and in time the job goes. */
async function endFinished(
  key: string,
  context: ReconcilerContext,
  { job, podCache, nowMs }: { job: Stored<TrainingJob>; podCache: Informer<Pod>; nowMs: number },
): Promise<ReconcileResult> {
  const isRunning = ({ metadata, status }: Stored<Pod>): boolean =>
    metadata.deletionTimestamp === undefined && status?.phase !== 'Succeeded' && status?.phase !== 'Failed'
  await deletePods({ context, key, informer: podCache, owner: job }, ownedBy(podCache, job).filter(isRunning))
  const { ttlSecondsAfterFinished } = job.spec
  const endMs = timeMs(job.status?.completionTime)
  if (ttlSecondsAfterFinished === undefined || endMs === undefined) return undefined
  const leftMs = endMs + ttlSecondsAfterFinished * 1_000 - nowMs
  if (leftMs > 0) return { requeueAfterMs: leftMs }
  const { namespace = '', name, uid } = job.metadata
  await ignoring('NotFound', context.client.delete(trainingjobs, { namespace, name }, { preconditions: { uid } }))
  return undefined
}

/** What is made beside the job once: a name for each worker, their gang, and a report that its workers, and nobody else of the namespace, may write. */
async function ensureSurroundings(
  key: string,
  context: ReconcilerContext,
  { job, groups }: { job: Stored<TrainingJob>; groups: Informer<PodGroup> },
): Promise<void> {
  const { name } = job.metadata
  const minCount = job.spec.workers.min
  const group = groups.get(key)
  if (group === undefined) {
    const metadata = owned(job, name)
    await create(context, services, buildService(job))
    await create(context, trainingreports, { metadata: owned(job, name), spec: {} })
    await create(context, roles, {
      metadata: owned(job, reporterName(job)),
      rules: [
        {
          apiGroups: ['centaurus.io'],
          resources: ['trainingreports'],
          resourceNames: [name],
          verbs: ['get', 'patch', 'update'],
        },
      ],
    })
    await create(context, rolebindings, {
      metadata: owned(job, reporterName(job)),
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: reporterName(job) },
      subjects: serviceAccountsOf(job).map((account) => ({
        kind: 'ServiceAccount',
        name: account,
        namespace: job.metadata.namespace ?? '',
      })),
    })
    // The last one: when it is there, the others are.
    await create(context, podgroups, { metadata, spec: { schedulingPolicy: { gang: { minCount } } } })
    return
  }
  if (!isOwnedBy(job, group) || group.spec.schedulingPolicy.gang?.minCount === minCount) return
  const written = await context.client.update(podgroups, {
    ...group,
    spec: { ...group.spec, schedulingPolicy: { gang: { minCount } } },
  })
  context.writes.wrote(key, groups, written)
}

function reporterName({ metadata }: Stored<TrainingJob>): string {
  return `${metadata.name}-reporter`
}

function serviceAccountsOf({ spec }: TrainingJob): string[] {
  const templates = [spec.workers.template, spec.launcher?.template]
  return [
    ...new Set(templates.flatMap((each) => (each === undefined ? [] : [each.spec?.serviceAccountName || 'default']))),
  ]
}

async function writeHosts(
  context: ReconcilerContext,
  job: Stored<TrainingJob>,
  list: readonly Stored<Pod>[],
): Promise<void> {
  const { workers } = surveyTrainingJob(job, list, context.clock.now())
  const wanted = buildHosts(job, workers)
  const { namespace = '', name = '' } = wanted.metadata
  try {
    const found = await context.client.get(configmaps, { namespace, name })
    if (isOwnedBy(job, found) && !deepEqual(found.data, wanted.data))
      await context.client.update(configmaps, { ...found, ...(wanted.data === undefined ? {} : { data: wanted.data }) })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
    await create(context, configmaps, wanted)
  }
}

async function create<T extends KubeObject>(
  { client }: ReconcilerContext,
  type: ResourceType<T>,
  object: T,
): Promise<void> {
  await ignoring('AlreadyExists', client.create(type, object))
}

async function ignoring(reason: 'AlreadyExists' | 'NotFound', work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isStatus(error, reason)) throw error
  }
}
