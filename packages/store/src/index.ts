export { COMPACTION_INTERVAL_MS, type AutomaticCompaction } from './compaction.ts'
export { openEmbeddedStore, type EmbeddedStoreOptions } from './embedded/embedded-store.ts'
export { StoreFileError, StoreLockedError } from './embedded/errors.ts'
export { createMemoryStore, type MemoryStoreOptions } from './memory/memory-store.ts'
export { REVISION_SPAN, withRevisionBase } from './revision-base/revision-base.ts'
export {
  CompactedError,
  FutureRevisionError,
  StoreClosedError,
  StoreFullError,
  type Change,
  type CommitResult,
  type Comparison,
  type GetResult,
  type KeyValue,
  type RangeOptions,
  type RangeResult,
  type ReadOptions,
  type Store,
  type StoreEvent,
  type StoreWatch,
  type Transaction,
  type WatchOptions,
} from './store.ts'
