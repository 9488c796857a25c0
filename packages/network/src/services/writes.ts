import type { ServiceBackendRecord, ServiceFrontendRecord, ServiceKey, ServiceSourceKey } from '../layouts/services.ts'
import type { Filters } from './keys.ts'

/** One write to one of the kernel's tables. */
export type ServiceWrite =
  | { readonly table: 'backends'; readonly index: number; readonly value: ServiceBackendRecord }
  | { readonly table: 'chunks'; readonly index: number; readonly backends: readonly number[] }
  /** `value` undefined: removed. */
  | { readonly table: 'frontends'; readonly key: ServiceKey; readonly value: ServiceFrontendRecord | undefined }
  | { readonly table: 'sources'; readonly key: ServiceSourceKey; readonly isAllowed: boolean }
  | { readonly table: 'state'; readonly epoch: number; readonly filters: Filters }

/** What was found in the kernel. */
export interface TableContent {
  readonly frontends: readonly { readonly key: ServiceKey; readonly value: ServiceFrontendRecord }[]
  /** All that are not zero. */
  readonly backends: readonly { readonly index: number; readonly value: ServiceBackendRecord }[]
  readonly sources: readonly ServiceSourceKey[]
  readonly epoch: number
  /** Indexes of backends in a chunk. */
  readChunk(index: number): readonly number[]
}
