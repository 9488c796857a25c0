import {
  controllerOf,
  deepEqual,
  isPodReady,
  isStatus,
  objectKey,
  selectorFromObject,
  type Stored,
} from '@centaurus/api'
import type { Scale } from '@centaurus/api/autoscaling/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { OwnerReference } from '@centaurus/api/meta/v1'
import { poddisruptionbudgets, type PodDisruptionBudget } from '@centaurus/api/policy/v1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import type { ResourceDiscovery } from '../frame/discovery.ts'
import { groupOf, watchSelf } from '../frame/owners.ts'
import { messageOf } from '../frame/pods.ts'
import { addLabelIndex, selectByLabels } from '../frame/selection.ts'
import { needsScale, planBudget, planFailedBudget } from './plan.ts'

/** A pod's controller may itself be controlled: ReplicaSet, Deployment, and what a user puts above. */
const CONTROLLERS_DEEP_MAX = 8

interface DisruptionDeps extends ControllerDeps {
  readonly discovery: ResourceDiscovery
}

/** Keeps the status of PodDisruptionBudgets, by which evictions are granted. */
export function startDisruptionController(deps: DisruptionDeps): RunningController {
  const budgets = deps.informers.informer(poddisruptionbudgets)
  const podCache = deps.informers.informer(pods)
  addLabelIndex(podCache)
  return startReconciler(deps, {
    name: 'disruption-controller',
    component: 'controllermanager',
    informer: budgets,
    needs: [podCache],
    watch({ queue }) {
      const touch = (pod: Stored<Pod>): void => {
        for (const budget of budgets.list(pod.metadata.namespace)) {
          if (selectorFromObject(budget.spec?.selector).matches(pod.metadata.labels)) queue.add(objectKey(budget))
        }
      }
      return [
        watchSelf(budgets, queue),
        podCache.addHandler({
          onAdd: touch,
          onUpdate(pod, old) {
            if (describe(pod) === describe(old)) return
            touch(old)
            touch(pod)
          },
          onDelete: touch,
        }),
      ]
    },
    reconcile: (key, context) => reconcileBudget(key, { ...context, discovery: deps.discovery }, { budgets, podCache }),
  })
}

function describe(pod: Pod): string {
  return JSON.stringify([pod.metadata.labels, pod.metadata.deletionTimestamp !== undefined, isPodReady(pod)])
}

interface Informers {
  readonly budgets: Informer<PodDisruptionBudget>
  readonly podCache: Informer<Pod>
}

async function reconcileBudget(
  key: string,
  context: ReconcilerContext & DisruptionDeps,
  { budgets, podCache }: Informers,
): Promise<ReconcileResult> {
  const budget = budgets.get(key)
  if (budget === undefined) return undefined
  const { client, clock, events } = context
  const selected = selectPods(podCache, budget)
  if (selected.length === 0)
    events.record(budget, { type: 'Normal', reason: 'NoPods', message: 'No matching pods found' })
  try {
    const expectedScale = needsScale(budget) ? await sumScales(context, budget, selected) : 0
    const plan = planBudget({ budget, pods: selected, expectedScale, nowMs: clock.now() })
    if (!deepEqual(budget.status, plan.status))
      await client.updateStatus(poddisruptionbudgets, { ...budget, status: plan.status })
    return plan.requeueAfterMs === undefined ? undefined : { requeueAfterMs: plan.requeueAfterMs }
  } catch (error) {
    if (isStatus(error, 'Conflict')) throw error
    const message = messageOf(error)
    const text = `Failed to calculate the number of expected pods: ${message}`
    events.record(budget, { type: 'Warning', reason: 'CalculateExpectedPodCountFailed', message: text })
    const status = planFailedBudget(budget, message, clock.now())
    if (!deepEqual(budget.status, status)) await client.updateStatus(poddisruptionbudgets, { ...budget, status })
    throw error
  }
}

function selectPods(podCache: Informer<Pod>, { metadata, spec }: Stored<PodDisruptionBudget>): readonly Stored<Pod>[] {
  const selector = selectorFromObject(spec?.selector)
  const labels = spec?.selector?.matchLabels ?? {}
  const namespace = metadata.namespace ?? ''
  const candidates =
    Object.keys(labels).length > 0 ? selectByLabels(podCache, namespace, labels) : podCache.list(namespace)
  return candidates.filter((pod) => selector.matches(pod.metadata.labels))
}

/** What the controllers of the pods want together. Pods without a controller count for nothing, which an event tells. */
async function sumScales(
  context: ReconcilerContext & DisruptionDeps,
  budget: Stored<PodDisruptionBudget>,
  list: readonly Stored<Pod>[],
): Promise<number> {
  const scales = new Map<string, number>()
  const seen = new Set<string>()
  let hasUnmanaged = false
  for (const pod of list) {
    const owner = controllerOf(pod)
    if (owner === undefined) hasUnmanaged = true
    if (owner === undefined || seen.has(owner.uid)) continue
    seen.add(owner.uid)
    const { uid, replicas } = await findScale(context, {
      owner,
      namespace: pod.metadata.namespace ?? '',
      pod: pod.metadata.name,
    })
    scales.set(uid, replicas)
  }
  if (hasUnmanaged) {
    const message =
      'Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.'
    context.events.record(budget, { type: 'Warning', reason: 'UnmanagedPods', message })
  }
  return [...scales.values()].reduce((sum, replicas) => sum + replicas, 0)
}

/** The scale of the topmost controller that has one. */
async function findScale(
  { client, discovery }: DisruptionDeps,
  { owner, namespace, pod }: { readonly owner: OwnerReference; readonly namespace: string; readonly pod: string },
): Promise<{ uid: string; replicas: number }> {
  const served = await discovery.resources()
  let found: { uid: string; replicas: number } | undefined
  let next: OwnerReference | undefined = owner
  for (let depth = 0; next !== undefined && depth < CONTROLLERS_DEEP_MAX; depth++) {
    const { apiVersion, kind, name, uid }: OwnerReference = next
    const type = served.find((resource) => resource.kind === kind && resource.group === groupOf(apiVersion))
    if (type === undefined) break
    const at = { namespace: type.namespaced ? namespace : undefined, name }
    try {
      const object = await client.get(type, at)
      if (object.metadata.uid !== uid) break
      next = controllerOf(object)
      const scale = await client.getSubresource<Scale>(type, at, 'scale')
      found = { uid, replicas: scale.spec?.replicas ?? 0 }
    } catch (error) {
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'MethodNotAllowed')) throw error
      if (next?.uid === uid) break
    }
  }
  if (found === undefined) throw new Error(`found no controllers for pod ${JSON.stringify(pod)}`)
  return found
}
