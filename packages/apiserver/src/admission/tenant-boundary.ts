import { ALL_TENANTS, SYSTEM_TENANT } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { ingressclasses } from '@centaurus/api/networking/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from './admission.ts'
import { isWriteTo, refuseAdmission } from './refuse.ts'

/** On a class of `system`: tenants get a copy of it, which they can use and not change. */
export const OFFERED_LABEL = 'centaurus.io/offered'

const CLASSES = [storageclasses, priorityclasses, ingressclasses]

/** What in a tenant is the operators' to decide, beside what only they may make at all: offered classes, and where pods run. */
export const tenantBoundary: AdmissionStep = {
  name: 'TenantBoundary',
  handles: ({ request }) => request.target.tenant !== SYSTEM_TENANT && request.target.tenant !== ALL_TENANTS,
  validate(write, context) {
    refuseInTheEnd(write, context)
    if (write.request.isInProcess === true) return
    if (isWriteTo(write, pods)) refusePlacement(write)
    else if (CLASSES.some((type) => isWriteTo(write, type))) refuseOffered(write)
  },
}

/** Nobody, not even a controller, makes anything in a tenant that is being deleted: what was found empty stays empty. */
function refuseInTheEnd(write: AdmittedWrite, { tenants }: AdmissionContext): void {
  if (write.operation !== 'create' || tenants.find(write.request.target.tenant)?.phase !== 'Terminating') return
  throw refuseAdmission(write, 'unable to create new content because the cluster is being terminated')
}

/** The scheduler claims a node's room before it binds a pod; who names the node would take the room from others. */
function refusePlacement(write: AdmittedWrite): void {
  if (write.operation !== 'create' || ((write.draft as Pod).spec?.nodeName ?? '') === '') return
  throw refuseAdmission(write, 'spec.nodeName may not be set: the scheduler chooses the node')
}

function refuseOffered(write: AdmittedWrite): void {
  const isOffered = [write.draft, write.old].some((object) => object?.metadata.labels?.[OFFERED_LABEL] !== undefined)
  if (isOffered) throw refuseAdmission(write, 'this class is provided by the cluster')
}
