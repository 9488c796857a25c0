import { deepEqual, SYSTEM_TENANT, VPC_FINALIZER, type Stored, type TenantNetwork } from '@centaurus/api'
import { DEFAULT_VPC, FIRST_IDENTITY, SYSTEM_VNI, type Vpc, type VpcStatus } from '@centaurus/api/centaurus/v1'
import { READY, withCondition } from '../membership/partition-status.ts'
import { describeHiddenNodes, isUnsaid } from './hidden-nodes.ts'

/** What a partition has to do about one of its tenants' networks. */
export type VpcStep =
  | { readonly type: 'nothing' }
  /** Give it a number; `vni`: this one. */
  | { readonly type: 'number'; readonly vni: number | undefined }
  /** Say what operators grant its tenant, and which nodes it hides. */
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
  /** Of all nodes; undefined: not known yet, so that nothing new is said of them. */
  readonly nodeAddresses: readonly string[] | undefined
}

/** Pure; done again after each change. */
export function planVpc(vpc: Stored<Vpc>, facts: VpcFacts): VpcStep {
  const { metadata, status } = vpc
  const { tenant, name, isUsed, tenantNetwork, nodeAddresses } = facts
  if (metadata.deletionTimestamp !== undefined) {
    const isKept = metadata.finalizers?.includes(VPC_FINALIZER) === true
    return isKept && !isUsed ? { type: 'release' } : { type: 'nothing' }
  }
  if (status?.vni !== undefined) {
    const isTold =
      deepEqual(status.tenantNetwork, tenantNetwork) && !isUnsaid(vpc, describeHiddenNodes(vpc, nodeAddresses))
    return { type: isTold ? 'nothing' : 'tell' }
  }
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

/** With what the operators grant its tenant, and which nodes it hides. `now`: RFC 3339. */
export function toldStatus(
  vpc: Readonly<Vpc>,
  { tenantNetwork: network, nodeAddresses }: Pick<VpcFacts, 'tenantNetwork' | 'nodeAddresses'>,
  now: string,
): VpcStatus {
  const { tenantNetwork: _, ...others } = vpc.status ?? {}
  const hidden = describeHiddenNodes(vpc, nodeAddresses)
  const conditions = hidden && withCondition(others.conditions, { ...hidden, lastTransitionTime: now })
  return {
    ...others,
    ...(network === undefined ? {} : { tenantNetwork: network }),
    ...(conditions === undefined ? {} : { conditions }),
  }
}
