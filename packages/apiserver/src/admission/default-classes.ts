import { parseTime } from '@centaurus/api'
import { persistentvolumeclaims, type PersistentVolumeClaim } from '@centaurus/api/core/v1'
import { ingressclasses, ingresses, type Ingress } from '@centaurus/api/networking/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import type { KubeObject, Stored } from '@centaurus/api'
import type { AdmissionStep } from './admission.ts'
import { isWriteTo } from './refuse.ts'

const DEFAULT_STORAGE_CLASS = 'storageclass.kubernetes.io/is-default-class'
const BETA_DEFAULT_STORAGE_CLASS = 'storageclass.beta.kubernetes.io/is-default-class'
const DEFAULT_INGRESS_CLASS = 'ingressclass.kubernetes.io/is-default-class'
const INGRESS_CLASS_ANNOTATION = 'kubernetes.io/ingress.class'
const BETA_STORAGE_CLASS = 'volume.beta.kubernetes.io/storage-class'

/** Gives a claim that names no class the default one. Source: kubernetes plugin/pkg/admission/storage/storageclass/setdefault, v1.37. */
export const defaultStorageClass: AdmissionStep = {
  name: 'DefaultStorageClass',
  handles: (write) => write.operation === 'create' && isWriteTo(write, persistentvolumeclaims),
  mutate({ draft, request }, { reader }) {
    const claim = draft as PersistentVolumeClaim
    if (claim.spec === undefined || claim.spec.storageClassName !== undefined) return
    if (claim.metadata.annotations?.[BETA_STORAGE_CLASS] !== undefined) return
    const all = reader.list(storageclasses, '', { tenant: request.target.tenant })
    const found = newest(all.filter((entry) => isMarked(entry, [DEFAULT_STORAGE_CLASS, BETA_DEFAULT_STORAGE_CLASS])))
    if (found !== undefined) claim.spec.storageClassName = found.metadata.name
  },
}

/** The same for ingresses. Source: kubernetes plugin/pkg/admission/network/defaultingressclass, v1.37. */
export const defaultIngressClass: AdmissionStep = {
  name: 'DefaultIngressClass',
  handles: (write) => write.operation === 'create' && isWriteTo(write, ingresses),
  mutate({ draft, request }, { reader }) {
    const ingress = draft as Ingress
    const spec = (ingress.spec ??= {})
    if (spec.ingressClassName !== undefined) return
    if (ingress.metadata.annotations?.[INGRESS_CLASS_ANNOTATION] !== undefined) return
    const all = reader.list(ingressclasses, '', { tenant: request.target.tenant })
    const found = newest(all.filter((entry) => isMarked(entry, [DEFAULT_INGRESS_CLASS])))
    if (found !== undefined) spec.ingressClassName = found.metadata.name
  },
}

function isMarked({ metadata }: KubeObject, annotations: readonly string[]): boolean {
  return annotations.some((annotation) => metadata.annotations?.[annotation] === 'true')
}

/** With several defaults the newest counts, then the first by name. */
function newest<T extends KubeObject>(objects: readonly Stored<T>[]): Stored<T> | undefined {
  return objects.toSorted((a, b) => {
    const age = (parseTime(b.metadata.creationTimestamp) ?? 0) - (parseTime(a.metadata.creationTimestamp) ?? 0)
    return age !== 0 ? age : a.metadata.name < b.metadata.name ? -1 : 1
  })[0]
}
