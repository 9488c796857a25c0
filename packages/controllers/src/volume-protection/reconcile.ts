import { isStatus, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import { persistentvolumeclaims, persistentvolumes, pods, type Pod } from '@centaurus/api/core/v1'
import type { RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { watchSelf } from '../frame/owners.ts'
import { claimKeysOf, indexByClaim, podsUsing } from '../frame/pod-claims.ts'
import { CLAIM_FINALIZER, planProtection, usesClaim, VOLUME_FINALIZER, type ProtectionPlan } from './plan.ts'

/** Lets a deleted claim go when no pod on a node uses it. Source: pkg/controller/volume/pvcprotection v1.37. */
export function startClaimProtectionController(deps: ControllerDeps): RunningController {
  const informer = deps.informers.informer(persistentvolumeclaims)
  const podInformer = deps.informers.informer(pods)
  indexByClaim(podInformer)
  return startReconciler(deps, {
    name: 'persistentvolumeclaim-protection-controller',
    informer,
    needs: [podInformer],
    watch({ queue }) {
      const onPod = (pod: Stored<Pod>): void => {
        for (const key of claimKeysOf(pod)) queue.add(key)
      }
      return [watchSelf(informer, queue), podInformer.addHandler({ onAdd: onPod, onUpdate: onPod, onDelete: onPod })]
    },
    async reconcile(key, context) {
      const claim = informer.get(key)
      if (claim === undefined) return undefined
      const isUsed = (list: readonly Stored<Pod>[]): boolean => list.some((pod) => usesClaim(pod, claim))
      const plan = planProtection(claim, { finalizer: CLAIM_FINALIZER, used: isUsed(podsUsing(podInformer, key)) })
      if (plan === 'remove') {
        // A pod that the cache does not show yet may be on its node already.
        const { items } = await context.client.list(pods, { namespace: claim.metadata.namespace })
        if (isUsed(items)) return undefined
      }
      await write(context, persistentvolumeclaims, { object: claim, plan, finalizer: CLAIM_FINALIZER })
      return undefined
    },
  })
}

/** Lets a deleted volume go when it is bound to no claim. Source: pkg/controller/volume/pvprotection v1.37. */
export function startVolumeProtectionController(deps: ControllerDeps): RunningController {
  const informer = deps.informers.informer(persistentvolumes)
  return startReconciler(deps, {
    name: 'persistentvolume-protection-controller',
    informer,
    watch: ({ queue }) => [watchSelf(informer, queue)],
    async reconcile(key, context) {
      const object = informer.get(key)
      if (object === undefined) return undefined
      const finalizer = VOLUME_FINALIZER
      const plan = planProtection(object, { finalizer, used: object.status?.phase === 'Bound' })
      await write(context, persistentvolumes, { object, plan, finalizer })
      return undefined
    },
  })
}

async function write<T extends KubeObject>(
  { client }: ReconcilerContext,
  type: ResourceType<T>,
  { object, plan, finalizer }: { object: Stored<T>; plan: ProtectionPlan; finalizer: string },
): Promise<void> {
  if (plan === 'keep') return
  const others = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer)
  const finalizers = plan === 'add' ? [...others, finalizer] : others
  try {
    await client.update(type, { ...object, metadata: { ...object.metadata, finalizers } })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
