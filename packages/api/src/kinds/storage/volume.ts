import type { PersistentVolume, PersistentVolumeSpec } from '../../generated/types/core/v1.ts'
import { checkDnsSubdomain } from '../../meta/names.ts'
import { formatTime } from '../../meta/time.ts'
import {
  FieldPath,
  forbiddenField,
  invalid,
  notSupported,
  required,
  type FieldError,
} from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { roundUpResources } from '../pod/default-containers.ts'
import { defaultLegacyVolume } from '../pod/default-volumes.ts'
import { checkNoBacksteps } from '../pod/paths.ts'
import { validateNodeSelector } from '../pod/validate-affinity.ts'
import { validateNFS } from '../pod/validate-volumes.ts'
import { checkImmutable, checkOneOf, checkRequired, invalidFor, tryQuantity } from '../shared/check.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { describeChange } from '../shared/describe-change.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { formatAccessModes } from './access-modes.ts'
import { checkCSIDriverName } from './driver-name.ts'
import { validateAccessModes, VOLUME_MODES } from './validate-claim.ts'

const path = new FieldPath('spec')
const RECLAIM_POLICIES = ['Delete', 'Recycle', 'Retain']
const SOURCES = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'glusterfs',
  'flocker',
  'nfs',
  'rbd',
  'quobyte',
  'cephfs',
  'iscsi',
  'cinder',
  'fc',
  'flexVolume',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'scaleIO',
  'local',
  'storageos',
  'csi',
] as const

/** Persistent volumes. Source: pkg/apis/core/v1/defaults.go, pkg/apis/core/validation, pkg/registry/core/persistentvolume v1.37. */
export const persistentVolumeBehavior: KindBehavior<PersistentVolume> = {
  hasGeneration: false,
  setDefaults: (draft) => {
    const spec = (draft.spec ??= {})
    if (draft.status !== undefined) draft.status.phase = draft.status.phase || 'Pending'
    spec.persistentVolumeReclaimPolicy = spec.persistentVolumeReclaimPolicy || 'Retain'
    spec.volumeMode ??= 'Filesystem'
    roundUpResources(spec.capacity)
    if (spec.hostPath !== undefined) spec.hostPath.type ??= ''
    defaultLegacyVolume(spec)
  },
  prepareForCreate: (draft, { nowMs }) => {
    draft.status = { phase: 'Pending', lastPhaseTransitionTime: formatTime(nowMs) }
  },
  prepareForStatusUpdate: (draft, old, { nowMs }) => {
    const status = (draft.status ??= {})
    const before = old.status?.lastPhaseTransitionTime
    if (status.phase === old.status?.phase) status.lastPhaseTransitionTime ??= before
    else if (status.lastPhaseTransitionTime === undefined || status.lastPhaseTransitionTime === before) {
      status.lastPhaseTransitionTime = formatTime(nowMs)
    }
  },
  validate: ({ spec }) => validateVolume(spec ?? {}),
  validateUpdate: validateVolumeUpdate,
  selectableFields: ({ metadata }) => ({ name: metadata.name ?? '' }),
  selectableFieldNames: ['name'],
  columns: [
    nameColumn,
    column('Capacity', 'Size of the volume'),
    column('Access Modes', 'How the volume can be mounted'),
    column('Reclaim Policy', 'What happens when the claim is gone'),
    column('Status', 'Whether the volume is available, bound or released'),
    column('Claim', 'Claim that the volume belongs to'),
    column('StorageClass', 'Class of the volume'),
    column('VolumeAttributesClass', 'Class of the attributes of the volume'),
    column('Reason', 'Why the volume is in this state'),
    ageColumn,
    column('VolumeMode', 'File system or block device', { wide: true }),
  ],
  row: ({ metadata, spec = {}, status }, nowMs) => [
    metadata.name,
    tryQuantity(spec.capacity?.['storage'])?.text ?? '0',
    formatAccessModes(spec.accessModes),
    spec.persistentVolumeReclaimPolicy ?? '',
    metadata.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating',
    spec.claimRef === undefined ? '' : `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}`,
    metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? spec.storageClassName ?? '',
    spec.volumeAttributesClassName ?? '<unset>',
    status?.reason ?? '',
    formatAge(metadata.creationTimestamp, nowMs),
    spec.volumeMode ?? '<unset>',
  ],
}

function validateVolume(spec: Readonly<PersistentVolumeSpec>): FieldError[] {
  const modes = path.child('accessModes')
  const reclaim = path.child('persistentVolumeReclaimPolicy')
  const errors = [
    ...((spec.accessModes ?? []).length === 0 ? [required(modes)] : []),
    ...validateAccessModes(spec.accessModes ?? [], modes),
    ...validateCapacity(spec.capacity ?? {}),
    ...checkOneOf(spec.persistentVolumeReclaimPolicy, reclaim, RECLAIM_POLICIES),
    ...(spec.nodeAffinity === undefined ? [] : validateNodeAffinity(spec.nodeAffinity)),
    ...validateSource(spec),
  ]
  if (spec.hostPath?.path === '/' && spec.persistentVolumeReclaimPolicy === 'Recycle') {
    errors.push(forbiddenField(reclaim, "may not be 'recycle' for a hostPath mount of '/'"))
  }
  const className = spec.storageClassName
  if (className) errors.push(...invalidFor(path.child('storageClassName'), className, checkDnsSubdomain(className)))
  errors.push(...checkOneOf(spec.volumeMode, path.child('volumeMode'), VOLUME_MODES))
  if (spec.volumeAttributesClassName === undefined) return errors
  const attributes = path.child('volumeAttributesClassName')
  errors.push(...checkRequired(spec.volumeAttributesClassName, attributes, 'an empty string is disallowed'))
  if (spec.csi === undefined)
    errors.push(required(path.child('csi'), 'has to be specified when using volumeAttributesClassName'))
  return errors
}

function validateCapacity(capacity: Readonly<Record<string, string>>): FieldError[] {
  const at = path.child('capacity')
  const names = Object.keys(capacity)
  const errors = names.length === 0 ? [required(at)] : []
  if (names.length !== 1 || names[0] !== 'storage') errors.push(notSupported(at, capacity, ['storage']))
  for (const [name, text] of Object.entries(capacity)) {
    const quantity = tryQuantity(text)
    if (quantity !== undefined && quantity.nanos <= 0n)
      errors.push(invalid(at.key(name), quantity.text, 'must be greater than zero'))
  }
  return errors
}

function validateNodeAffinity({ required: selector }: NonNullable<PersistentVolumeSpec['nodeAffinity']>): FieldError[] {
  const at = path.child('nodeAffinity', 'required')
  return selector === undefined
    ? [required(at, 'must specify required node constraints')]
    : validateNodeSelector(selector, at)
}

function validateSource(spec: Readonly<PersistentVolumeSpec>): FieldError[] {
  const [first, ...others] = SOURCES.filter((source) => spec[source] !== undefined)
  if (first === undefined) return [required(path, 'must specify a volume type')]
  const errors = others.map((source) => forbiddenField(path.child(source), 'may not specify more than 1 volume type'))
  const at = path.child(first)
  if (first === 'nfs') errors.push(...validateNFS(spec.nfs!, at))
  if (first === 'hostPath' || first === 'local') {
    const target = spec[first]!.path ?? ''
    errors.push(...checkRequired(target, at.child('path')), ...checkNoBacksteps(target, at.child('path')))
  }
  if (first === 'local' && spec.nodeAffinity === undefined) {
    errors.push(required(path.child('nodeAffinity'), 'Local volume requires node affinity'))
  }
  if (first === 'csi') {
    errors.push(...checkCSIDriverName(spec.csi!.driver, at.child('driver')))
    errors.push(...checkRequired(spec.csi!.volumeHandle, at.child('volumeHandle')))
  }
  return errors
}

/** Source: ValidatePersistentVolumeUpdate. */
function validateVolumeUpdate(
  { spec = {} }: Readonly<PersistentVolume>,
  { spec: old = {} }: Readonly<PersistentVolume>,
): FieldError[] {
  const errors: FieldError[] = []
  const sourceOf = (from: PersistentVolumeSpec): Record<string, unknown> =>
    Object.fromEntries(SOURCES.map((name) => [name, from[name]]))
  const now = sourceOf(spec)
  // The secret for growing may be added later.
  if (old.csi !== undefined && old.csi.controllerExpandSecretRef === undefined && spec.csi !== undefined) {
    now['csi'] = { ...spec.csi, controllerExpandSecretRef: undefined }
  }
  if (!semanticEqual(now, sourceOf(old))) {
    const detail = `spec.persistentvolumesource is immutable after creation\n${describeChange(sourceOf(old), now)}`
    errors.push(forbiddenField(path.child('persistentvolumesource'), detail))
  }
  errors.push(...checkImmutable(spec.volumeMode, old.volumeMode, new FieldPath('volumeMode')))
  if (old.nodeAffinity !== undefined) {
    errors.push(...checkImmutable(spec.nodeAffinity, old.nodeAffinity, new FieldPath('nodeAffinity')))
  }
  if (old.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName === undefined) {
    errors.push(
      forbiddenField(path.child('volumeAttributesClassName'), 'update from non-nil value to nil is forbidden'),
    )
  }
  return errors
}
