import type { PersistentVolumeClaim } from '../../generated/types/core/v1.ts'
import { FieldPath, forbiddenField, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { roundUpResources } from '../pod/default-containers.ts'
import { defaultClaimSpec } from '../pod/default-volumes.ts'
import { checkImmutable, tryQuantity } from '../shared/check.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { describeChange } from '../shared/describe-change.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { formatAccessModes } from './access-modes.ts'
import { validateClaimSpec } from './validate-claim.ts'

const path = new FieldPath('spec')
const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class'

/** Persistent volume claims. Source: pkg/apis/core/validation, pkg/registry/core/persistentvolumeclaim v1.37. */
export const persistentVolumeClaimBehavior: KindBehavior<PersistentVolumeClaim> = {
  hasGeneration: false,
  setDefaults: (draft) => {
    const spec = (draft.spec ??= {})
    defaultClaimSpec(spec)
    roundUpResources(spec.resources?.requests)
    roundUpResources(spec.resources?.limits)
    roundUpResources(draft.status?.capacity)
    if (draft.status !== undefined) draft.status.phase = draft.status.phase || 'Pending'
  },
  prepareForCreate: (draft) => {
    draft.status = { phase: 'Pending' }
    alignDataSources(draft)
  },
  prepareForUpdate: alignDataSources,
  validate: ({ spec }) => validateClaimSpec(spec, path),
  validateUpdate: validateClaimUpdate,
  selectableFields: ({ metadata }) => ({ name: metadata.name ?? '' }),
  selectableFieldNames: ['name'],
  columns: [
    nameColumn,
    column('Status', 'Whether the claim is bound'),
    column('Volume', 'Volume that the claim has'),
    column('Capacity', 'Size of the volume'),
    column('Access Modes', 'How the volume can be mounted'),
    column('StorageClass', 'Class that the claim asks for'),
    column('VolumeAttributesClass', 'Class of attributes that the claim asks for'),
    ageColumn,
    column('VolumeMode', 'File system or block device', { wide: true }),
  ],
  row: ({ metadata, spec = {}, status }, nowMs) => [
    metadata.name,
    metadata.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating',
    spec.volumeName ?? '',
    spec.volumeName ? (tryQuantity(status?.capacity?.['storage'])?.text ?? '0') : '',
    spec.volumeName ? formatAccessModes(status?.accessModes) : '',
    metadata.annotations?.[CLASS_ANNOTATION] ?? spec.storageClassName ?? '',
    spec.volumeAttributesClassName ?? '<unset>',
    formatAge(metadata.creationTimestamp, nowMs),
    spec.volumeMode ?? '<unset>',
  ],
}

/** Either of the two fields fills the other. Source: NormalizeDataSources, pkg/api/persistentvolumeclaim v1.37. */
function alignDataSources({ spec }: PersistentVolumeClaim): void {
  if (spec === undefined) return
  const { dataSource, dataSourceRef } = spec
  if (dataSource !== undefined && dataSourceRef === undefined) spec.dataSourceRef = { ...dataSource }
  if (dataSource !== undefined || dataSourceRef === undefined || dataSourceRef.namespace) return
  const { apiGroup, kind, name } = dataSourceRef
  spec.dataSource = apiGroup === undefined ? { kind, name } : { apiGroup, kind, name }
}

/** Source: ValidatePersistentVolumeClaimUpdate. */
function validateClaimUpdate(
  claim: Readonly<PersistentVolumeClaim>,
  old: Readonly<PersistentVolumeClaim>,
): FieldError[] {
  const errors: FieldError[] = []
  const spec = claim.spec ?? {}
  const before = old.spec ?? {}
  const isBound = claim.status?.phase === 'Bound'
  const requests = { ...spec.resources?.requests }
  const oldStorage = before.resources?.requests?.['storage']
  if (isBound && oldStorage !== undefined) requests['storage'] = oldStorage
  const now = {
    ...spec,
    volumeName: before.volumeName ? spec.volumeName : before.volumeName,
    // A claim that asked for no class is given the default one later.
    storageClassName: before.storageClassName === undefined && !isBound ? undefined : spec.storageClassName,
    volumeAttributesClassName: isBound ? before.volumeAttributesClassName : spec.volumeAttributesClassName,
    resources: { ...spec.resources, requests },
  }
  if (!semanticEqual(now, before)) {
    const rule =
      'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'
    errors.push(forbiddenField(path, `${rule}\n${describeChange(before, now)}`))
  }
  const size = tryQuantity(spec.resources?.requests?.['storage'])?.nanos ?? 0n
  const capacity = tryQuantity(old.status?.capacity?.['storage'])?.nanos ?? 0n
  if (size < (tryQuantity(oldStorage)?.nanos ?? 0n) && size <= capacity) {
    errors.push(
      forbiddenField(path.child('resources', 'requests', 'storage'), 'field can not be less than status.capacity'),
    )
  }
  errors.push(...checkImmutable(spec.volumeMode, before.volumeMode, new FieldPath('volumeMode')))
  if (
    old.status?.currentVolumeAttributesClassName !== undefined &&
    !spec.volumeAttributesClassName &&
    before.volumeAttributesClassName
  ) {
    const what = spec.volumeAttributesClassName === undefined ? 'nil' : 'empty string'
    const detail = `update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`
    errors.push(forbiddenField(path.child('volumeAttributesClassName'), detail))
  }
  return errors
}
