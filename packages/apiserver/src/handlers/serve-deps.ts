import type { Connector, ObjectAction } from '../extension.ts'
import type { ResourceRegistry } from '../resource/registry.ts'
import type { WriteDeps } from './write-deps.ts'

/** What handling requests needs beyond writing. */
export interface ServeDeps extends WriteDeps {
  readonly registry: ResourceRegistry
  /** Filled while extensions are set up. */
  readonly connectors: readonly Connector[]
  readonly actions: readonly ObjectAction[]
}
