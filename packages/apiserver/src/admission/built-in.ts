import type { StorageClass } from '@centaurus/api/storage/v1'
import type { AdmissionStep } from './admission.ts'
import { defaultIngressClass, defaultStorageClass } from './default-classes.ts'
import { gpuRequests } from './gpu.ts'
import { limitRanger } from './limit-ranger.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { defaultTolerationSeconds, priority, runtimeClass, taintNodesByCondition } from './pod-defaults.ts'
import type { ReviewsOptions } from './reviews.ts'
import { resourceQuota } from './resource-quota.ts'
import { createServiceAllocation, type ServiceAllocationOptions } from './service-allocation.ts'
import { serviceAccount } from './service-account.ts'
import { tenantBoundary } from './tenant-boundary.ts'
import { tenantQuota } from './tenant-quota.ts'
import { persistentVolumeClaimResize, storageObjectInUseProtection } from './storage.ts'

export interface AdmissionOptions extends ServiceAllocationOptions, ReviewsOptions {
  /** Address at which pods and clients reach this server; names the endpoints of the `kubernetes` Service. Absent: it has none. */
  readonly advertiseAddress?: string | undefined
  /** Default 6443. */
  readonly advertisePort?: number | undefined
  /** Where hosts answer their pods' DNS queries; named by the Service `kube-dns`. Absent: there is none. */
  readonly clusterDns?: string | undefined
  /** Made when the cluster is new, and never again: what people change or delete stays so. Absent: none. */
  readonly storageClass?: StorageClass | undefined
}

/** The admission steps in the order in which they run; upstream's default plugins, as far as this server has them. */
export function builtInAdmission(options: AdmissionOptions): readonly AdmissionStep[] {
  return [
    namespaceLifecycle,
    limitRanger,
    serviceAccount,
    taintNodesByCondition,
    priority,
    defaultTolerationSeconds,
    defaultStorageClass,
    storageObjectInUseProtection,
    persistentVolumeClaimResize,
    runtimeClass,
    defaultIngressClass,
    gpuRequests,
    tenantBoundary, // before the step that asks other partitions for what a Service names
    createServiceAllocation(options),
    // last: nothing may refuse the write after it was charged
    resourceQuota,
    tenantQuota,
  ]
}
