import {
  isLocalVolumeOf,
  isLocalVolumeReclaimable,
  isStatus,
  LOCAL_VOLUME_FINALIZER,
  LOCAL_VOLUME_NODE_LABEL,
  type Stored,
} from '@centaurus/api'
import { persistentvolumes, type PersistentVolume } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import {
  createWorkQueue,
  runController,
  type Client,
  type EventRecorder,
  type Informer,
  type InformerFactory,
  type RunningController,
} from '@centaurus/client'

import type { LocalVolumes } from '../volumes/local-volumes.ts'

/** How often a volume is looked at that a pod which nobody wants any more still uses. */
const IN_USE_RECHECK_MS = 2_000

export interface LocalVolumeReclaimerDeps {
  readonly client: Client
  readonly informers: InformerFactory
  /** The informers are for all nodes of this process: one list of volumes serves them all. */
  readonly sharesInformers: boolean
  readonly clock: Clock
  readonly logger: Logger
  readonly recorder: EventRecorder
  readonly nodeName: string
  readonly volumes: LocalVolumes
  /** Whether containers of a pod with that claim may still run here. */
  readonly isInUse: (namespace: string, claimName: string) => boolean
}

/** What the node owes a volume. */
export interface ReclaimPlan {
  readonly removesData: boolean
  /** Afterwards: delete the volume, or let it go that was deleted. */
  readonly next: 'delete' | 'finalize'
}

/** Undefined: leave it as it is. A bound volume that was deleted waits for its claim. Pure. */
export function planReclaim(nodeName: string, volume: Stored<PersistentVolume>): ReclaimPlan | undefined {
  if (!isLocalVolumeOf(nodeName, volume)) return undefined
  const { metadata, status } = volume
  const isDeleted = metadata.deletionTimestamp !== undefined
  if (isDeleted && metadata.finalizers?.includes(LOCAL_VOLUME_FINALIZER) !== true) return undefined
  if (isLocalVolumeReclaimable(volume)) return { removesData: true, next: isDeleted ? 'finalize' : 'delete' }
  return isDeleted && status?.phase !== 'Bound' && volume.spec?.persistentVolumeReclaimPolicy !== 'Delete'
    ? { removesData: false, next: 'finalize' }
    : undefined
}

/** Removes the folders of this node's volumes that are to be reclaimed, and then the volumes. While it is away they stay, and so does the data. */
export function startLocalVolumeReclaimer(deps: LocalVolumeReclaimerDeps): RunningController {
  const { nodeName, clock, logger } = deps
  const select = deps.sharesInformers ? undefined : ownVolumes(nodeName)
  const informer = deps.informers.informer(persistentvolumes, select)
  const queue = createWorkQueue({ clock })
  const onVolume = (volume: Stored<PersistentVolume>): void => {
    if (planReclaim(nodeName, volume) !== undefined) queue.add(volume.metadata.name)
  }
  const unsubscribe = informer.addHandler({ onAdd: onVolume, onUpdate: onVolume })
  const running = runController({
    name: 'local-volume-reclaimer',
    queue,
    workers: 1,
    logger,
    reconcile: (name) => reclaim(name, informer, deps),
  })
  return {
    name: running.name,
    queue,
    async close() {
      unsubscribe()
      await running.close()
    },
  }
}

function ownVolumes(nodeName: string): { readonly labelSelector: string } {
  return { labelSelector: `${LOCAL_VOLUME_NODE_LABEL}=${nodeName}` }
}

async function reclaim(
  name: string,
  informer: Informer<PersistentVolume>,
  deps: LocalVolumeReclaimerDeps,
): Promise<{ readonly requeueAfterMs: number } | undefined> {
  const volume = informer.get(name)
  const plan = volume === undefined ? undefined : planReclaim(deps.nodeName, volume)
  if (volume === undefined || plan === undefined) return undefined
  const { claimRef } = volume.spec ?? {}
  if (deps.isInUse(claimRef?.namespace ?? '', claimRef?.name ?? '')) return { requeueAfterMs: IN_USE_RECHECK_MS }
  if (plan.removesData) await removeData(volume, deps)
  await release(volume, plan, deps.client)
  return undefined
}

async function removeData(
  volume: Stored<PersistentVolume>,
  { client, nodeName, volumes, recorder }: LocalVolumeReclaimerDeps,
): Promise<void> {
  // The cache may be behind somebody who took the volume back: ask before what cannot be undone.
  const { items } = await client.list(persistentvolumes, ownVolumes(nodeName)) // a node may get a volume only while a pod uses it
  const now = items.find(({ metadata }) => metadata.uid === volume.metadata.uid)
  if (now === undefined || !isLocalVolumeReclaimable(now))
    throw new Error(`Cannot reclaim volume "${volume.metadata.name}": it changed meanwhile`)
  try {
    await volumes.remove(volume)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    recorder.record(
      { apiVersion: 'v1', kind: 'PersistentVolume', metadata: volume.metadata },
      { type: 'Warning', reason: 'VolumeFailedDelete', message },
    )
    throw error
  }
}

async function release(volume: Stored<PersistentVolume>, { next }: ReclaimPlan, client: Client): Promise<void> {
  const { metadata } = volume
  try {
    if (next === 'delete') {
      await client.delete(persistentvolumes, { name: metadata.name }, { preconditions: { uid: metadata.uid } })
      return
    }
    const finalizers = (metadata.finalizers ?? []).filter((entry) => entry !== LOCAL_VOLUME_FINALIZER)
    await client.update(persistentvolumes, { ...volume, metadata: { ...metadata, finalizers } })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
