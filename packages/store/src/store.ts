/**
 * The Store contract: a revisioned, ordered key-value store whose revision, compaction and watch semantics are etcd v3's.
 *
 * One revision numbers one commit (which may touch many keys). Revisions are integers that grow with each commit, by one or more, start
 * at 1 for an empty store, and never exceed `Number.MAX_SAFE_INTEGER`. What lies between two commits can be read like the first of them. Keys are non-empty text ordered by their UTF-8 bytes.
 * `compactedRevision ≤ any readable revision ≤ current revision`.
 */
export interface Store {
  /** Nobody else can use the store while it is open here. Absent: other processes may. */
  readonly isExclusive?: boolean | undefined
  /** Revision of the newest durable commit. Linearizable: it waits for what other writers were told is done. */
  currentRevision(): Promise<number>
  /** The value of `key`, or `value: undefined` when there is none at that revision. */
  get(key: string, options?: ReadOptions): Promise<GetResult>
  /**
   * The value that `key` got by the commit `revision`, at once, as long as nothing newer was committed to the key, or that is not
   * compacted; else undefined. Engines that have no value at hand without waiting leave this out.
   */
  peek?(key: string, revision: number): Uint8Array | undefined
  /** Keys with a prefix, in order. Throws {@link CompactedError} or {@link FutureRevisionError} for `atRevision`. */
  range(prefix: string, options?: RangeOptions): Promise<RangeResult>
  /**
   * Checks every comparison, then makes all changes in one revision, durably, before it resolves. When a comparison fails it
   * changes nothing. A commit that changes nothing (only deletes of keys that do not exist) takes no revision.
   * A key may appear in `changes` once (`TypeError`, as for an empty or ill-formed key). The values are the store's from now on:
   * do not write to them. Throws {@link StoreFullError}, {@link StoreUnavailableError} and {@link TransactionTooLargeError}: nothing
   * was changed; an engine that is reached over a network also {@link CommitUnknownError}.
   */
  commit(transaction: Transaction): Promise<CommitResult>
  /**
   * Delivers every change under `prefix` with revision ≥ `fromRevision` in order, those of one commit together, then goes on
   * with new ones. `fromRevision` 0 or absent: from the next commit on.
   */
  watch(prefix: string, options: WatchOptions): StoreWatch
  /**
   * Forgets what was overwritten or deleted before or at `revision`; older reads and watches get {@link CompactedError}. Reads at
   * `revision` and watches from it go on working; of its own changes, `previous` may be forgotten. Throws {@link CompactedError} when
   * that is done already (another caller was faster: nothing to do) and {@link FutureRevisionError} beyond the current revision.
   */
  compact(revision: number): Promise<void>
  /** Ends watches (with `onEnd`) and releases what the engine holds. Commits in flight are finished first. */
  close(): Promise<void>
}

export interface KeyValue {
  readonly key: string
  /** Owned by the store: read only. */
  readonly value: Uint8Array
  /** Revision of the commit that created the key (again, after a delete). */
  readonly createRevision: number
  /** Revision of the commit that last changed the key. */
  readonly modRevision: number
  /** 1 when created, plus one each change. */
  readonly version: number
}

export interface ReadOptions {
  /** 0 or absent: the newest, linearizable. */
  readonly atRevision?: number | undefined
}

export interface GetResult {
  /** The store's revision when it was read. */
  readonly revision: number
  readonly entry: KeyValue | undefined
}

export interface RangeOptions extends ReadOptions {
  /** First key to return, inclusive; must start with the prefix. For paging: the last key seen plus `'\0'`. */
  readonly from?: string | undefined
  /** At most so many entries; 0 or absent: all. */
  readonly limit?: number | undefined
  /** Leaves `value` empty. */
  readonly keysOnly?: boolean | undefined
}

export interface RangeResult {
  /** The store's revision when it was read (`atRevision` if that was given). */
  readonly revision: number
  readonly entries: readonly KeyValue[]
  /** True when `limit` cut the answer. */
  readonly more: boolean
  /** How many entries there are from `from` on, those that `limit` cut included. */
  readonly count: number
}

export interface Transaction {
  readonly compare?: readonly Comparison[] | undefined
  readonly changes: readonly Change[]
}

/** Holds when the key's `modRevision` equals this; 0: the key must not exist. */
export interface Comparison {
  readonly key: string
  readonly modRevision: number
}

export type Change =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: string }

export type CommitResult =
  | { readonly committed: true; readonly revision: number }
  /** `found` holds, in the order of `compare`, what the compared keys hold now. */
  | { readonly committed: false; readonly revision: number; readonly found: readonly (KeyValue | undefined)[] }

export type StoreEvent =
  | { readonly type: 'put'; readonly entry: KeyValue; readonly previous: KeyValue | undefined }
  | {
      readonly type: 'delete'
      readonly key: string
      readonly modRevision: number
      readonly previous: KeyValue | undefined
    }

export interface WatchOptions {
  readonly fromRevision?: number | undefined
  /** Events may come without `previous`, which costs an engine a read for each. */
  readonly omitPrevious?: boolean | undefined
  /**
   * All events of one revision under the prefix, at once; never called re-entrantly, always in order of revision. A callback that
   * throws ends its watch with what it threw. Be quick: all watches are called in turn, and nothing is buffered for a slow one.
   */
  readonly onEvents: (events: readonly StoreEvent[], revision: number) => void
  /** Everything up to `revision` was delivered, though nothing under the prefix may have changed. Sent when asked for and now and then. */
  readonly onProgress?: ((revision: number) => void) | undefined
  /** Called once, last, never inside another callback: with the reason ({@link CompactedError}, an engine's error) or undefined after `close` (its own or the store's). */
  readonly onEnd: (error: Error | undefined) => void
}

export interface StoreWatch {
  /** Asks for `onProgress` with a revision that is at least the store's current one at the time of asking. */
  requestProgress(): void
  close(): void
}

/** The revision was compacted: list again, and watch from the revision of that list. */
export class CompactedError extends Error {
  override readonly name = 'CompactedError'
  readonly requested: number
  readonly compactedRevision: number
  constructor(requested: number, compactedRevision: number) {
    super(`Revision ${requested} has been compacted; the oldest readable one is ${compactedRevision}`)
    this.requested = requested
    this.compactedRevision = compactedRevision
  }
}

/** A read asked for a revision that does not exist yet. */
export class FutureRevisionError extends Error {
  override readonly name = 'FutureRevisionError'
  readonly requested: number
  readonly current: number
  constructor(requested: number, current: number) {
    super(`Revision ${requested} is in the future; the current one is ${current}`)
    this.requested = requested
    this.current = current
  }
}

/** No room on the disk, or the engine's size limit is reached. Nothing was changed: free some space and try again. */
export class StoreFullError extends Error {
  override readonly name = 'StoreFullError'
}

/** The store was closed, or its disk can no longer be trusted. */
export class StoreClosedError extends Error {
  override readonly name = 'StoreClosedError'
}

/** The engine cannot be reached. Nothing was changed, nor will it be: try again later. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError'
}

/** The connection was lost in the middle of a commit, and nobody can be asked: it may have been made, or may be made yet. Read to see. */
export class CommitUnknownError extends Error {
  override readonly name = 'CommitUnknownError'
}

/** A commit with more changes or bytes than the engine takes at once. Nothing was changed: make several. */
export class TransactionTooLargeError extends Error {
  override readonly name = 'TransactionTooLargeError'
}
