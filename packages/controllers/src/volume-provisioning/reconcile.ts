import { isStatus, LOCAL_PROVISIONER, objectKey, type Stored } from '@centaurus/api'
import {
  nodes,
  persistentvolumeclaims,
  persistentvolumes,
  type PersistentVolume,
  type PersistentVolumeClaim,
} from '@centaurus/api/core/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import type { RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { AUTHORITY_RECHECK_MS } from '../frame/node-authority.ts'
import { watchSelf } from '../frame/owners.ts'
import { SELECTED_NODE } from '../volume-binding/plan.ts'
import { planProvisioning } from './plan.ts'

/**
 * Makes a volume on the node that the scheduler selected, for each claim of a class of {@link LOCAL_PROVISIONER}. The node's agent
 * makes the folder when a pod wants it, and removes it when the volume is reclaimed. Events are those of the external provisioners.
 */
export function startVolumeProvisioningController(deps: ControllerDeps): RunningController {
  const informer = deps.informers.informer(persistentvolumeclaims)
  const classes = deps.informers.informer(storageclasses)
  const nodeInformer = deps.informers.informer(nodes)
  return startReconciler(deps, {
    name: 'local-volume-provisioning-controller',
    component: LOCAL_PROVISIONER,
    informer,
    needs: [classes, nodeInformer],
    watch: ({ queue }) => [
      watchSelf(informer, queue),
      classes.addHandler({
        onAdd: ({ metadata }) => {
          for (const claim of informer.list())
            if (claim.spec?.storageClassName === metadata.name && !claim.spec.volumeName) queue.add(objectKey(claim))
        },
      }),
    ],
    async reconcile(key, context) {
      const claim = informer.get(key)
      if (claim === undefined) return undefined
      const storageClass = classes.get(claim.spec?.storageClassName ?? '')
      const selected = claim.metadata.annotations?.[SELECTED_NODE]
      const node = selected === undefined ? undefined : nodeInformer.get(selected)
      const isNodeUnknown = node === undefined && context.nodeAuthority?.isAuthoritative(undefined) === false
      if (selected !== undefined && isNodeUnknown) return { requeueAfterMs: AUTHORITY_RECHECK_MS }
      const resourcePartition = selected === undefined ? undefined : context.nodeAuthority?.partitionOf?.(selected)
      const plan = planProvisioning(claim, { storageClass, node, resourcePartition })
      if (plan.type === 'create') await createVolume(context, claim, plan.volume)
      if (plan.type === 'fail' || plan.type === 'reschedule') {
        context.events.record(claim, { type: 'Warning', reason: 'ProvisioningFailed', message: plan.message })
      }
      if (plan.type === 'reschedule') await unselectNode(context, claim)
      return undefined
    },
  })
}

async function createVolume(
  { client, events }: ReconcilerContext,
  claim: Stored<PersistentVolumeClaim>,
  volume: PersistentVolume,
): Promise<void> {
  const message = `External provisioner is provisioning volume for claim "${objectKey(claim)}"`
  events.record(claim, { type: 'Normal', reason: 'Provisioning', message })
  try {
    await client.create(persistentvolumes, volume)
  } catch (error) {
    if (isStatus(error, 'AlreadyExists')) return
    throw error
  }
  const done = `Successfully provisioned volume ${volume.metadata.name}`
  events.record(claim, { type: 'Normal', reason: 'ProvisioningSucceeded', message: done })
}

/** Source: rescheduleProvisioning, sig-storage-lib-external-provisioner v11. */
async function unselectNode({ client }: ReconcilerContext, claim: Stored<PersistentVolumeClaim>): Promise<void> {
  const { [SELECTED_NODE]: _node, ...annotations } = claim.metadata.annotations ?? {}
  await client.update(persistentvolumeclaims, { ...claim, metadata: { ...claim.metadata, annotations } })
}
