import type { Clock, Logger, Random } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import type { AdmissionContext, AdmissionStep } from '../admission/admission.ts'
import type { WriteCheck } from '../extension.ts'
import type { EpochFences } from '../storage/epochs.ts'
import type { Lanes } from './lanes.ts'
import type { TenantDirectory } from '../tenants/tenant-directory.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'

/** What every write needs. */
export interface WriteDeps {
  readonly store: Store
  readonly cache: WatchCache
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly epochs: EpochFences
  readonly tenants: TenantDirectory
  /** Where writes wait that want the same key. */
  readonly lanes: Lanes
  readonly admission: readonly AdmissionStep[]
  readonly admissionContext: AdmissionContext
  /** Filled while extensions are set up. */
  readonly writeChecks: readonly WriteCheck[]
}
