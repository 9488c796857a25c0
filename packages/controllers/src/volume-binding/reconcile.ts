import { isStatus, objectKey, type Stored } from '@centaurus/api'
import {
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
} from '@centaurus/api/core/v1'
import { storageclasses, type StorageClass } from '@centaurus/api/storage/v1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { indexByClaim, podsUsing } from '../frame/pod-claims.ts'
import { BOUND_BY_CONTROLLER, chooseVolume, isDelayed, planUnbound, planVolume, type VolumePlan } from './plan.ts'

const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed'
/** On claims: who is to make their volume. Source: component-helpers storage/volume AnnStorageProvisioner, v0.37. */
const STORAGE_PROVISIONERS = [
  'volume.kubernetes.io/storage-provisioner',
  'volume.beta.kubernetes.io/storage-provisioner',
]
const DEFAULT_CLASS = 'storageclass.kubernetes.io/is-default-class'
/** Keys of volumes; claims have `namespace/name`. */
const VOLUME_PREFIX = '/volume/'
/** Asked again when nothing fits, in case an event was missed. Source: pvClaimBinderSyncPeriod v1.37. */
const RETRY_MS = 15_000

interface Informers {
  readonly claims: Informer<PersistentVolumeClaim>
  readonly volumes: Informer<PersistentVolume>
  readonly classes: Informer<StorageClass>
  readonly pods: Informer<Pod>
}

/** Binds claims to volumes, asks provisioners for those that are missing, and says what becomes of released ones. */
export function startVolumeBindingController(deps: ControllerDeps): RunningController {
  const informers: Informers = {
    claims: deps.informers.informer(persistentvolumeclaims),
    volumes: deps.informers.informer(persistentvolumes),
    classes: deps.informers.informer(storageclasses),
    pods: deps.informers.informer(pods),
  }
  indexByClaim(informers.pods)
  const { claims, volumes, classes } = informers
  return startReconciler(deps, {
    name: 'persistentvolume-binder-controller',
    component: 'persistentvolume-controller',
    // One at a time: two claims must not be given one volume.
    workers: 1,
    informer: claims,
    needs: [volumes, classes, informers.pods],
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
  context: ReconcilerContext,
  { volumes, claims }: Informers,
): Promise<ReconcileResult> {
  const { client } = context
  const volume = volumes.get(name)
  if (volume === undefined) return
  const reference = volume.spec?.claimRef
  const at = reference === undefined ? undefined : { namespace: reference.namespace, name: reference.name ?? '' }
  let claim = at === undefined ? undefined : claims.get(`${at.namespace}/${at.name}`)
  if (at !== undefined && (claim === undefined || claim.metadata.uid !== reference?.uid)) {
    claim = await client.get(persistentvolumeclaims, at).catch((error: unknown) => {
      if (isStatus(error, 'NotFound')) return undefined
      throw error // never call a volume released on doubt
    })
  }
  await writeVolume(context, volume, planVolume(volume, claim))
}

async function writeVolume(
  { client, events }: ReconcilerContext,
  volume: Stored<PersistentVolume>,
  plan: VolumePlan,
): Promise<void> {
  const { metadata, spec, status } = volume
  if (plan.type === 'wait') return
  if (plan.type === 'unbind') {
    const { [BOUND_BY_CONTROLLER]: byUs, ...annotations } = metadata.annotations ?? {}
    const { claimRef, ...free } = spec ?? {}
    // What a user reserved stays reserved for the claim of that name.
    const next = byUs === undefined ? { ...free, claimRef: { ...claimRef, uid: undefined } } : free
    await client.update(persistentvolumes, { ...volume, metadata: { ...metadata, annotations }, spec: next })
    return
  }
  if (status?.phase === plan.phase) return
  const message = plan.failure?.message
  const next = { ...status, phase: plan.phase, ...(message === undefined ? {} : { message }) }
  await client.updateStatus(persistentvolumes, { ...volume, status: next })
  if (plan.failure !== undefined) events.record(volume, { type: 'Warning', ...plan.failure })
}

async function reconcileClaim(key: string, context: ReconcilerContext, informers: Informers): Promise<ReconcileResult> {
  const { claims, volumes, classes } = informers
  const claim = claims.get(key)
  if (claim === undefined) return context.writes.forget(key)
  if (claim.metadata.annotations?.[BIND_COMPLETED] !== undefined) return checkBound(context, claim, volumes)
  if (claim.metadata.deletionTimestamp !== undefined) return undefined
  const { client, writes } = context
  const delayed = isDelayed(classes.get(claim.spec?.storageClassName ?? ''))
  const volume = chooseVolume(claim, volumes.list(), { delayed })
  if (volume === undefined) {
    writes.wrote(key, claims, await keepPending(context, claim, informers))
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

/** Says why it waits, or who is to make its volume. */
async function keepPending(
  { client, events }: ReconcilerContext,
  claim: Stored<PersistentVolumeClaim>,
  { classes, pods: podInformer }: Informers,
): Promise<Stored<PersistentVolumeClaim>> {
  const { metadata, spec, status } = claim
  if (spec?.storageClassName === undefined && !spec?.volumeName) {
    const found = classes.list().find((entry) => entry.metadata.annotations?.[DEFAULT_CLASS] === 'true')
    const storageClassName = found?.metadata.name
    if (storageClassName !== undefined)
      return client.update(persistentvolumeclaims, { ...claim, spec: { ...spec, storageClassName } })
  }
  const plan = planUnbound(claim, {
    storageClass: classes.get(spec?.storageClassName ?? ''),
    waitingPods: podsUsing(podInformer, objectKey(claim)).flatMap((pod) =>
      pod.spec?.nodeName ? [] : [pod.metadata.name],
    ),
  })
  if (plan.type === 'wait') events.record(claim, { type: 'Normal', reason: plan.reason, message: plan.message })
  if (plan.type === 'fail')
    events.record(claim, { type: 'Warning', reason: 'ProvisioningFailed', message: plan.message })
  if (plan.type === 'provision') {
    events.record(claim, { type: 'Normal', reason: 'ExternalProvisioning', message: plan.message })
    if (STORAGE_PROVISIONERS.some((name) => metadata.annotations?.[name] !== plan.provisioner)) {
      const asked = Object.fromEntries(STORAGE_PROVISIONERS.map((name) => [name, plan.provisioner]))
      const annotations = { ...metadata.annotations, ...asked }
      return client.update(persistentvolumeclaims, { ...claim, metadata: { ...metadata, annotations } })
    }
  }
  if (status?.phase === 'Pending') return claim
  return client.updateStatus(persistentvolumeclaims, { ...claim, status: { ...status, phase: 'Pending' } })
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
