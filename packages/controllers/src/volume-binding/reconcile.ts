import { isStatus, objectKey, type Stored } from '@centaurus/api'
import {
  persistentvolumeclaims,
  persistentvolumes,
  type PersistentVolume,
  type PersistentVolumeClaim,
} from '@centaurus/api/core/v1'
import { storageclasses, type StorageClass } from '@centaurus/api/storage/v1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { chooseVolume, planVolumePhase } from './plan.ts'

const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed'
const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller'
const SELECTED_NODE = 'volume.kubernetes.io/selected-node'
/** Keys of volumes; claims have `namespace/name`. */
const VOLUME_PREFIX = '/volume/'
/** Asked again when nothing fits, in case an event was missed. Source: pvClaimBinderSyncPeriod v1.37. */
const RETRY_MS = 15_000

interface Informers {
  readonly claims: Informer<PersistentVolumeClaim>
  readonly volumes: Informer<PersistentVolume>
  readonly classes: Informer<StorageClass>
}

/** Binds claims to volumes that exist already. It provisions and deletes none. */
export function startVolumeBindingController(deps: ControllerDeps): RunningController {
  const informers: Informers = {
    claims: deps.informers.informer(persistentvolumeclaims),
    volumes: deps.informers.informer(persistentvolumes),
    classes: deps.informers.informer(storageclasses),
  }
  const { claims, volumes, classes } = informers
  return startReconciler(deps, {
    name: 'persistentvolume-binder-controller',
    component: 'persistentvolume-controller',
    // One at a time: two claims must not be given one volume.
    workers: 1,
    informer: claims,
    needs: [volumes, classes],
    watch({ queue }) {
      const onClaim = (claim: Stored<PersistentVolumeClaim>): void => {
        queue.add(objectKey(claim))
        if (claim.spec?.volumeName) queue.add(VOLUME_PREFIX + claim.spec.volumeName)
      }
      const onVolume = (volume: Stored<PersistentVolume>): void => {
        queue.add(VOLUME_PREFIX + volume.metadata.name)
        if (volume.spec?.claimRef !== undefined)
          return queue.add(`${volume.spec.claimRef.namespace}/${volume.spec.claimRef.name}`)
        for (const claim of claims.list()) if (claim.status?.phase !== 'Bound') queue.add(objectKey(claim))
      }
      return [
        claims.addHandler({ onAdd: onClaim, onUpdate: onClaim, onDelete: onClaim }),
        volumes.addHandler({ onAdd: onVolume, onUpdate: onVolume, onDelete: onVolume }),
      ]
    },
    reconcile: (key, context) =>
      key.startsWith(VOLUME_PREFIX)
        ? reconcileVolume(key.slice(VOLUME_PREFIX.length), context, informers)
        : reconcileClaim(key, context, informers),
  })
}

async function reconcileVolume(
  name: string,
  { client }: ReconcilerContext,
  { volumes, claims }: Informers,
): Promise<ReconcileResult> {
  const volume = volumes.get(name)
  if (volume === undefined) return
  const reference = volume.spec?.claimRef
  const at = reference === undefined ? undefined : { namespace: reference.namespace, name: reference.name ?? '' }
  let claim = at === undefined ? undefined : claims.get(`${at.namespace}/${at.name}`)
  if (at !== undefined && claim === undefined) {
    claim = await client.get(persistentvolumeclaims, at).catch((error: unknown) => {
      if (isStatus(error, 'NotFound')) return undefined
      throw error // never call a volume released on doubt
    })
  }
  const phase = planVolumePhase(volume, claim)
  if (volume.status?.phase !== phase)
    await client.updateStatus(persistentvolumes, { ...volume, status: { ...volume.status, phase } })
}

async function reconcileClaim(
  key: string,
  context: ReconcilerContext,
  { claims, volumes, classes }: Informers,
): Promise<ReconcileResult> {
  const claim = claims.get(key)
  if (claim === undefined) return context.writes.forget(key)
  if (claim.metadata.annotations?.[BIND_COMPLETED] !== undefined) return checkBound(context, claim, volumes)
  if (claim.metadata.deletionTimestamp !== undefined) return undefined
  const { client, events, writes } = context
  const volume = chooseVolume(claim, volumes.list())
  const className = claim.spec?.storageClassName ?? ''
  const waits =
    classes.get(className)?.volumeBindingMode === 'WaitForFirstConsumer' &&
    claim.metadata.annotations?.[SELECTED_NODE] === undefined
  if (waits && volume?.spec?.claimRef === undefined) {
    const message = 'waiting for first consumer to be created before binding'
    events.record(claim, { type: 'Normal', reason: 'WaitForFirstConsumer', message })
    return { requeueAfterMs: RETRY_MS }
  }
  if (volume === undefined) {
    if (claim.status?.phase !== 'Pending')
      await client.updateStatus(persistentvolumeclaims, { ...claim, status: { ...claim.status, phase: 'Pending' } })
    const message = 'no persistent volumes available for this claim and no storage class is set'
    if (className === '') events.record(claim, { type: 'Normal', reason: 'FailedBinding', message })
    return { requeueAfterMs: RETRY_MS }
  }
  const bound = await bindVolume(context, claim, volume)
  writes.wrote(key, volumes, bound)
  const annotations = {
    ...claim.metadata.annotations,
    [BIND_COMPLETED]: 'yes',
    ...(claim.spec?.volumeName ? {} : { [BOUND_BY_CONTROLLER]: 'yes' }),
  }
  const spec = { ...claim.spec, volumeName: bound.metadata.name }
  const updated = await client.update(persistentvolumeclaims, {
    ...claim,
    metadata: { ...claim.metadata, annotations },
    spec,
  })
  writes.wrote(key, claims, await writeBoundStatus(context, updated, bound))
  return undefined
}

/** The volume first: it is what two claims could want. */
async function bindVolume(
  { client }: ReconcilerContext,
  { metadata }: Stored<PersistentVolumeClaim>,
  volume: Stored<PersistentVolume>,
): Promise<Stored<PersistentVolume>> {
  if (volume.spec?.claimRef?.uid === metadata.uid) return volume
  const { namespace, name, uid, resourceVersion } = metadata
  const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid, resourceVersion }
  const byUs = volume.spec?.claimRef === undefined ? { [BOUND_BY_CONTROLLER]: 'yes' } : {}
  const annotations = { ...volume.metadata.annotations, ...byUs }
  return client.update(persistentvolumes, {
    ...volume,
    metadata: { ...volume.metadata, annotations },
    spec: { ...volume.spec, claimRef },
  })
}

async function writeBoundStatus(
  { client }: ReconcilerContext,
  claim: Stored<PersistentVolumeClaim>,
  volume: Stored<PersistentVolume>,
): Promise<Stored<PersistentVolumeClaim>> {
  const { capacity, accessModes } = volume.spec ?? {}
  const status = {
    ...claim.status,
    phase: 'Bound',
    ...(capacity === undefined ? {} : { capacity }),
    ...(accessModes === undefined ? {} : { accessModes }),
  }
  return client.updateStatus(persistentvolumeclaims, { ...claim, status })
}

/** A bound claim whose volume is gone, or is another's, has lost its data. */
async function checkBound(
  context: ReconcilerContext,
  claim: Stored<PersistentVolumeClaim>,
  volumes: Informer<PersistentVolume>,
): Promise<ReconcileResult> {
  const { client, events } = context
  const name = claim.spec?.volumeName ?? ''
  const cached = volumes.get(name)
  const volume =
    cached ??
    (await client.get(persistentvolumes, { name }).catch((error: unknown) => {
      if (isStatus(error, 'NotFound')) return undefined
      throw error
    }))
  if (volume?.spec?.claimRef?.uid === claim.metadata.uid) {
    if (claim.status?.phase !== 'Bound') await writeBoundStatus(context, claim, volume)
    return
  }
  if (claim.status?.phase === 'Lost') return
  const message =
    volume === undefined
      ? 'Bound claim has lost its PersistentVolume. Data on the volume is lost!'
      : 'Two claims are bound to the same volume, this one is bound incorrectly'
  events.record(claim, { type: 'Warning', reason: volume === undefined ? 'ClaimLost' : 'ClaimMisbound', message })
  await client.updateStatus(persistentvolumeclaims, { ...claim, status: { ...claim.status, phase: 'Lost' } })
}
