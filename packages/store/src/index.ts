export { COMPACTION_INTERVAL_MS, type AutomaticCompaction } from './compaction.ts'
export { openEmbeddedStore, type EmbeddedStoreOptions } from './embedded/embedded-store.ts'
export { StoreFileError, StoreLockedError } from './embedded/errors.ts'
export { ETCD_PREFIX_DEFAULT, openEtcdStore, type EtcdStoreOptions } from './etcd/etcd-store.ts'
export type { EtcdTls } from './etcd/grpc-session.ts'
export { createMemoryStore, type MemoryStoreOptions } from './memory/memory-store.ts'
export { continueRevisions } from './migrate/continue-revisions.ts'
export {
  migrateStore,
  type MigrateOptions,
  type MigrationProgress,
  type MigrationReport,
} from './migrate/migrate-store.ts'
export { MigrationError } from './migrate/migration-record.ts'
export { timedRevisions, type RevisionNumbers } from './mvcc/revision-numbers.ts'
export { isSameSpan, REVISION_SPAN, REVISION_SPANS_MAX, withRevisionBase } from './revision-base/revision-base.ts'
export {
  CommitUnknownError,
  CompactedError,
  FutureRevisionError,
  StoreClosedError,
  StoreFullError,
  StoreUnavailableError,
  TransactionTooLargeError,
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
