import type { Connector, FollowWatch, ObjectAction } from '../extension.ts'
import type { ResourceRegistry } from '../resource/registry.ts'
import type { TenantRegistries } from '../resource/tenant-registries.ts'
import type { WriteForwarder } from './forward-write.ts'
import type { WriteDeps } from './write-deps.ts'

/** What handling requests needs beyond writing. */
export interface ServeDeps extends WriteDeps {
  /** What is served in `system`. */
  readonly registry: ResourceRegistry
  readonly registries: TenantRegistries
  /** Filled while extensions are set up. */
  readonly connectors: readonly Connector[]
  readonly actions: readonly ObjectAction[]
  readonly writeForwarders: readonly WriteForwarder[]
  readonly watchFollowers: readonly FollowWatch[]
}
