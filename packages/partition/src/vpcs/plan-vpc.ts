import { deepEqual, SYSTEM_TENANT, VPC_FINALIZER, type Stored, type TenantNetwork } from '@centaurus/api'
import { DEFAULT_VPC, FIRST_IDENTITY, SYSTEM_VNI, type Vpc, type VpcStatus } from '@centaurus/api/centaurus/v1'
import { READY, withCondition } from '../membership/partition-status.ts'

/** What a partition has to do about one of its tenants' networks. */
export type VpcStep =
  | { readonly type: 'nothing' }
  /** Give it a number; `vni`: this one. */
  | { readonly type: 'number'; readonly vni: number | undefined }
  /** Tell nodes what operators say of its tenant. */
  | { readonly type: 'tell' }
  /** It is to be deleted, and nobody uses it: delete what belongs to it, then let it go. */
  | { readonly type: 'release' }

export interface VpcFacts {
  readonly tenant: string
  /** Its name in its tenant. */
  readonly name: string
  /** Whether pods have addresses of it, or will have. */
  readonly isUsed: boolean
  /** `Tenant.spec.network`. */
  readonly tenantNetwork: TenantNetwork | undefined
}

/** Pure; done again after each change. */
export function planVpc({ metadata, status }: Stored<Vpc>, facts: VpcFacts): VpcStep {
  const { tenant, name, isUsed, tenantNetwork } = facts
  if (metadata.deletionTimestamp !== undefined) {
    const isKept = metadata.finalizers?.includes(VPC_FINALIZER) === true
    return isKept && !isUsed ? { type: 'release' } : { type: 'nothing' }
  }
  if (status?.vni !== undefined) return { type: deepEqual(status.tenantNetwork, tenantNetwork) ? 'nothing' : 'tell' }
  const isOperators = tenant === SYSTEM_TENANT && name === DEFAULT_VPC
  return { type: 'number', vni: isOperators ? SYSTEM_VNI : undefined }
}

/** `now`: RFC 3339. */
export function numberedStatus(
  { status }: Readonly<Vpc>,
  { vni, now }: { readonly vni: number; readonly now: string },
): VpcStatus {
  const conditions = withCondition(status?.conditions, {
    type: READY,
    status: 'True',
    reason: 'Numbered',
    message: `Its number is ${vni}`,
    lastTransitionTime: now,
  })
  return { ...status, vni, nextIdentity: status?.nextIdentity ?? FIRST_IDENTITY, conditions }
}

/** With what the operators say of its tenant. */
export function toldStatus(status: Readonly<VpcStatus> | undefined, network: TenantNetwork | undefined): VpcStatus {
  const { tenantNetwork: _, ...others } = status ?? {}
  return network === undefined ? others : { ...others, tenantNetwork: network }
}
