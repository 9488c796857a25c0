import { forbidden } from '@centaurus/api'
import { DEFAULT_VPC, VPC_ANNOTATION, vpcs } from '@centaurus/api/centaurus/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from '../admission/admission.ts'
import { isWriteTo, refuseAdmission } from '../admission/refuse.ts'

/** A pod begins in a network that is there, and stays in it. */
export const podNetwork: AdmissionStep = {
  name: 'PodNetwork',
  handles: (write) => write.operation !== 'delete' && isWriteTo(write, pods) && mentionsNetwork(write),
  async ready(write, context) {
    if (write.operation === 'create' && findVpc(write, context) === undefined) await context.cache.waitCurrent()
  },
  validate(write, context) {
    const name = networkOf(write.draft)
    if (write.operation === 'update') {
      if (write.old === undefined || networkOf(write.old) === name) return
      throw refuseAdmission(write, `annotation "${VPC_ANNOTATION}" may not change: a pod stays in its network`)
    }
    if ((write.draft as Pod).spec?.hostNetwork === true) return
    const vpc = findVpc(write, context)
    if (vpc === undefined) {
      const what = `there is no Vpc "${name}", which annotation "${VPC_ANNOTATION}" names`
      throw refuseAdmission(write, `${what}; make it, or leave the annotation out`)
    }
    if (vpc.metadata.deletionTimestamp !== undefined)
      throw refuseAdmission(write, `Vpc "${name}" is being deleted, and takes no new pods`)
  },
}

/** A tenant's own network is there as long as the tenant. */
export const defaultVpcStays: AdmissionStep = {
  name: 'DefaultVpcStays',
  handles: (write) => write.operation === 'delete' && isWriteTo(write, vpcs),
  validate({ request, draft }, { tenants }) {
    if (draft.metadata.name !== DEFAULT_VPC) return
    if (request.isInProcess === true && tenants.find(request.target.tenant)?.phase === 'Terminating') return
    throw forbidden(vpcs, DEFAULT_VPC, 'this network may not be deleted')
  },
}

function mentionsNetwork({ draft, old }: AdmittedWrite): boolean {
  return [draft, old].some((pod) => pod?.metadata.annotations?.[VPC_ANNOTATION] !== undefined)
}

function networkOf({ metadata }: AdmittedWrite['draft']): string {
  return metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC
}

function findVpc({ request, draft }: AdmittedWrite, { reader }: AdmissionContext) {
  return reader.get(vpcs, { name: networkOf(draft) }, { tenant: request.target.tenant })
}
