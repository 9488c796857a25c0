import { SYSTEM_TENANT } from '@centaurus/api'
import {
  persistentvolumes,
  pods,
  services,
  type PersistentVolume,
  type Pod,
  type Service,
} from '@centaurus/api/core/v1'
import { ingressclasses } from '@centaurus/api/networking/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from './admission.ts'
import { portsOf } from './node-ports.ts'
import { findBaselineViolations } from './pod-security.ts'
import { isWriteTo, refuseAdmission } from './refuse.ts'
import { addressOf } from './service-allocation.ts'
import { isView } from '../views/view-names.ts'

/** On a class of `system`: tenants get a copy of it, which they can use and not change. */
export const OFFERED_LABEL = 'centaurus.io/offered'

const CLASSES = [storageclasses, priorityclasses, ingressclasses]

/** What in a tenant is the operators' to decide, beside what only they may make at all: offered classes, and where pods run. */
export const tenantBoundary: AdmissionStep = {
  name: 'TenantBoundary',
  handles: ({ request }) => request.target.tenant !== SYSTEM_TENANT && !isView(request.target.tenant),
  // Before any other partition is asked for a port: the time that this takes would tell something too.
  async ready(write) {
    if (write.request.isInProcess !== true && isWriteTo(write, services)) refuseChosenAddress(write)
  },
  validate(write, context) {
    refuseInTheEnd(write, context)
    if (write.operation !== 'delete' && isPod(write)) refusePod(write, context)
    if (write.request.isInProcess === true && write.isChangedByTenant !== true) return
    if (isWriteTo(write, persistentvolumes)) refuseHostVolume(write)
    else if (isWriteTo(write, services)) {
      if (write.isChangedByTenant === true) refuseChosenAddress(write)
      refuseExternalAddress(write)
    } else if (CLASSES.some((type) => isWriteTo(write, type))) refuseOffered(write)
  },
}

/** Nobody, not even a controller, makes anything in a tenant that is being deleted: what was found empty stays empty. */
function refuseInTheEnd(write: AdmittedWrite, { tenants }: AdmissionContext): void {
  if (write.operation !== 'create' || tenants.find(write.request.target.tenant)?.phase !== 'Terminating') return
  throw refuseAdmission(write, 'unable to create new content because the cluster is being terminated')
}

/** The tenant says what is written: by a user of its own, or by what its webhooks and policies made of another's write. */
function isOfTenant({ request, isChangedByTenant }: AdmittedWrite): boolean {
  return request.user.tenant !== SYSTEM_TENANT || isChangedByTenant === true
}

function isPod(write: AdmittedWrite): boolean {
  return ['', 'ephemeralcontainers', 'resize'].some((subresource) => isWriteTo(write, pods, subresource))
}

/**
 * Whoever makes the Pod, since controllers make what a tenant's templates say. The scheduler claims a node's room before it binds a Pod:
 * who names the node would take the room from others. What the baseline of pod security refuses would reach the node, and with it other
 * tenants; operators may trust a tenant with it.
 */
function refusePod(write: AdmittedWrite, { tenants }: AdmissionContext): void {
  const pod = write.draft as Pod
  if (write.operation === 'create' && (pod.spec?.nodeName ?? '') !== '') {
    throw refuseAdmission(write, 'spec.nodeName may not be set: the scheduler chooses the node')
  }
  if (tenants.find(write.request.target.tenant)?.isPrivileged === true) return
  const violations = findBaselineViolations(pod)
  if (violations.length === 0) return
  throw refuseAdmission(write, `violates PodSecurity "baseline:latest": ${violations.join(', ')}`)
}

/** Folders and disks of nodes; provisioners make volumes of these, in the server's own name. */
function refuseHostVolume(write: AdmittedWrite): void {
  const { spec } = write.draft as PersistentVolume
  const isHost = spec?.hostPath !== undefined || spec?.local !== undefined
  if (write.operation === 'create' && isHost && isOfTenant(write)) {
    throw refuseAdmission(write, 'hostPath and local volumes may not be used: claim storage of a class')
  }
}

/**
 * Who may have traffic to any address could have that to others' Services. Source: kubernetes plugin/pkg/admission/network/denyserviceexternalips,
 * v1.37 (CVE-2020-8554).
 */
function refuseExternalAddress(write: AdmittedWrite): void {
  if (write.operation === 'delete') return
  const had = new Set((write.old as Service | undefined)?.spec?.externalIPs)
  const added = ((write.draft as Service).spec?.externalIPs ?? []).some((address) => !had.has(address))
  if (added) throw refuseAdmission(write, 'Use of external IPs is denied by admission control.')
}

/**
 * All tenants' addresses and node ports come from one network. Who could name one would find out which are taken, so the answer is the same
 * whether it is or not; operators name them, also in a tenant.
 */
function refuseChosenAddress(write: AdmittedWrite): void {
  if (write.operation === 'delete' || !isOfTenant(write)) return
  const before = (write.old as Service | undefined)?.spec
  const { spec } = write.draft as Service
  const address = addressOf(spec)
  if (address !== undefined && address !== addressOf(before)) {
    throw refuseAdmission(write, 'spec.clusterIP may not be chosen: leave it out, and one is assigned')
  }
  const had = portsOf(before)
  if (Array.from(portsOf(spec)).some((port) => !had.has(port))) {
    throw refuseAdmission(write, 'node ports may not be chosen: leave them out, and they are assigned')
  }
}

function refuseOffered(write: AdmittedWrite): void {
  const isOffered = [write.draft, write.old].some((object) => object?.metadata.labels?.[OFFERED_LABEL] !== undefined)
  if (isOffered) throw refuseAdmission(write, 'this class is provided by the cluster')
}
