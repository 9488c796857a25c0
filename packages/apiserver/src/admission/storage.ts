import { compareQuantities, parseQuantity } from '@centaurus/api'
import { persistentvolumeclaims, persistentvolumes, type PersistentVolumeClaim } from '@centaurus/api/core/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import type { AdmissionStep, AdmittedWrite } from './admission.ts'
import { isWriteTo, refuseAdmission } from './refuse.ts'

const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class'

/**
 * Keeps claims and volumes until the protection controllers say that nobody uses them.
 * Source: kubernetes plugin/pkg/admission/storage/storageobjectinuseprotection, v1.37.
 */
export const storageObjectInUseProtection: AdmissionStep = {
  name: 'StorageObjectInUseProtection',
  handles: (write) => write.operation === 'create' && protectionOf(write) !== undefined,
  mutate(write) {
    const { metadata } = write.draft
    const finalizer = protectionOf(write)
    if (finalizer === undefined || metadata.finalizers?.includes(finalizer) === true) return
    metadata.finalizers = [...(metadata.finalizers ?? []), finalizer]
  },
}

function protectionOf(write: AdmittedWrite): string | undefined {
  if (isWriteTo(write, persistentvolumeclaims)) return 'kubernetes.io/pvc-protection'
  return isWriteTo(write, persistentvolumes) ? 'kubernetes.io/pv-protection' : undefined
}

/** Lets claims grow only where their class can. Source: kubernetes plugin/pkg/admission/storage/persistentvolume/resize, v1.37. */
export const persistentVolumeClaimResize: AdmissionStep = {
  name: 'PersistentVolumeClaimResize',
  handles: (write) => write.operation === 'update' && isWriteTo(write, persistentvolumeclaims),
  validate(write, { reader }) {
    const claim = write.draft as PersistentVolumeClaim
    const old = write.old as PersistentVolumeClaim
    if (compareQuantities(requestOf(claim), requestOf(old)) <= 0) return
    if (old.status?.phase !== 'Bound') {
      throw refuseAdmission(write, 'Only bound persistent volume claims can be expanded')
    }
    const name = classOf(claim)
    const found =
      name === '' || name !== classOf(old)
        ? undefined
        : reader.get(storageclasses, { name }, { tenant: write.request.target.tenant })
    if (found?.allowVolumeExpansion === true) return
    const why =
      'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize'
    throw refuseAdmission(write, why)
  },
}

function requestOf({ spec }: PersistentVolumeClaim): ReturnType<typeof parseQuantity> {
  return parseQuantity(spec?.resources?.requests?.['storage'] ?? '0')
}

function classOf({ metadata, spec }: PersistentVolumeClaim): string {
  return metadata.annotations?.[CLASS_ANNOTATION] ?? spec?.storageClassName ?? ''
}
