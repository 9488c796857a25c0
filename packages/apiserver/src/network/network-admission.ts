import { deepEqual, forbidden, SYSTEM_TENANT } from '@centaurus/api'
import { DEFAULT_VPC, VPC_ANNOTATION, vpcs, type Vpc } from '@centaurus/api/centaurus/v1'
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

/** Who could name any address would send as whoever's it is, and those whom a partner's firewall lets in are others' to choose. */
export const egressAddressesOfOperators: AdmissionStep = {
  name: 'EgressAddresses',
  handles: (write) => write.operation !== 'delete' && isWriteTo(write, vpcs),
  validate(write) {
    const { request, isChangedByTenant } = write
    // copies that the relay makes, and moved tenants, are the server's own writes
    const isOfCluster = request.isInProcess === true || request.user.tenant === SYSTEM_TENANT
    if (isOfCluster && isChangedByTenant !== true) return
    const [now, before] = [write.draft, write.old].map((vpc) => (vpc as Vpc | undefined)?.spec?.egressAddresses ?? [])
    if (deepEqual(now, before)) return
    const why = 'addresses by which the world sees pods are the cluster’s: ask its operators to change them'
    throw refuseAdmission(write, `spec.egressAddresses may not be written by a tenant: ${why}`)
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
