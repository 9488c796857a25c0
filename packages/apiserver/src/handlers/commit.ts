import { alreadyExists, conflict, type KubeObject } from '@centaurus/api'
import type { Change, CommitResult, Comparison, KeyValue } from '@centaurus/store'
import { reserveByAdmission, type AdmittedWrite } from '../admission/admission.ts'
import type { Fence } from '../storage/epochs.ts'
import { groupResource, type Target } from '../resource/target.ts'
import { encodeStored } from '../storage/encoding.ts'
import { storeStatus } from '../storage/store-status.ts'
import { StoredObject, type CachedObject } from '../watch-cache/cached-object.ts'
import type { WriteDeps } from './write-deps.ts'

/** How often a write is tried again when something that it reserved was taken meanwhile. */
const RESERVE_ATTEMPTS_MAX = 20

export interface CommitOptions {
  readonly target: Target
  /** `namespace/name`, or `name`. */
  readonly key: string
  /** Revision that the object must have; 0: it must not exist. */
  readonly atRevision: number
}

/** The write happened; or another came first, and `found` is what is there now. */
export type CommitOutcome =
  | { readonly committed: true; readonly object: CachedObject }
  | { readonly committed: false; readonly found: CachedObject | undefined }

/**
 * Puts `write.draft`, together with what admission reserves for it, in one revision. When only a reservation was lost it reserves
 * anew. The draft belongs to the cache afterwards: do not change it.
 */
export async function commitPut(deps: WriteDeps, write: AdmittedWrite, options: CommitOptions): Promise<CommitOutcome> {
  const storeKey = options.target.prefix + options.key
  const { fence } = write.request
  return tryCommit(deps, { ...options, fence }, async (run) => {
    // Each attempt starts from what the caller wanted, not from an address that the one before did not get.
    const draft = { ...write.draft }
    const owner = deps.tenants.fence(options.target.tenant)
    const reservation = reserveByAdmission(deps.admission, { ...write, draft }, deps.admissionContext)
    const value = encodeStored(draft)
    const expected = { value, object: draft }
    deps.cache.expect(storeKey, expected)
    try {
      const result = await run({
        compare: [
          { key: storeKey, modRevision: options.atRevision },
          ...owner,
          ...reservation.compare,
          ...fenceOf(fence),
        ],
        changes: [{ type: 'put', key: storeKey, value }, ...reservation.changes],
      })
      if (result?.committed !== true) deps.cache.forget(storeKey, expected)
      return { result, object: result?.committed === true ? written(options, expected, result.revision) : undefined }
    } catch (error) {
      deps.cache.forget(storeKey, expected)
      throw error
    }
  })
}

/** What {@link commitPut} would have made of the draft, with what admission would have reserved for it. Writes nothing. */
export function rehearsePut(deps: WriteDeps, write: AdmittedWrite, { key, atRevision }: CommitOptions): CachedObject {
  const draft = { ...write.draft }
  reserveByAdmission(deps.admission, { ...write, draft }, deps.admissionContext)
  return new StoredObject(key, encodeStored(draft), atRevision)
}

/** The cache's own entry when its event was quicker, else one that shares the decoded object with it. */
function written(
  { target, key }: CommitOptions,
  { value, object }: { readonly value: Uint8Array; readonly object: KubeObject },
  revision: number,
): CachedObject {
  const present = target.cache.get(key)
  if (present?.revision === revision) return present
  const cached = new StoredObject(key, value, revision)
  cached.adopt(object)
  return cached
}

/** Removes the object, together with what admission releases, in one revision. `object` is what it was, at that revision. */
export async function commitDelete(
  deps: WriteDeps,
  write: AdmittedWrite,
  options: CommitOptions & { readonly current: CachedObject },
): Promise<CommitOutcome> {
  const storeKey = options.target.prefix + options.key
  return tryCommit(deps, options, async (run) => {
    const owner = deps.tenants.fence(options.target.tenant)
    const reservation = reserveByAdmission(deps.admission, write, deps.admissionContext)
    const result = await run({
      compare: [{ key: storeKey, modRevision: options.atRevision }, ...owner, ...reservation.compare],
      changes: [{ type: 'delete', key: storeKey }, ...reservation.changes],
    })
    return { result, object: result?.committed === true ? options.current.atRevision(result.revision) : undefined }
  })
}

interface Transaction {
  readonly compare: readonly Comparison[]
  readonly changes: readonly Change[]
}

type LostCommit = Extract<CommitResult, { readonly committed: false }>

interface Attempt {
  /** Undefined when others wait for something that it compares. */
  readonly result: CommitResult | undefined
  readonly object: CachedObject | undefined
}

type Run = (transaction: Transaction) => Promise<CommitResult | undefined>

async function tryCommit(
  deps: WriteDeps,
  options: CommitOptions & { readonly fence?: Fence | undefined },
  attempt: (run: Run) => Promise<Attempt>,
): Promise<CommitOutcome> {
  if (options.target.prefix === '') throw new Error(`${options.key} is in a view: find its place before writing it`)
  let leave: (() => void) | undefined
  let contended: string | undefined
  const run: Run = async (transaction) => {
    contended = leave === undefined ? reservedKeys(transaction).find((key) => deps.lanes.isBusy(key)) : undefined
    if (contended !== undefined) return undefined
    const result = await commit(deps, transaction)
    if (!result.committed) contended = contendedKey(transaction, result)
    return result
  }
  try {
    for (let i = 0; i < RESERVE_ATTEMPTS_MAX; i++) {
      const { result, object } = await attempt(run)
      if (result?.committed === true) return { committed: true, object: object! }
      if (result?.committed === false) {
        const lost = judgeLoss(options, result)
        if (lost !== undefined) return lost
      }
      // The object is as expected, so a reservation lost a race: wait among those who want the same, and look at the cluster as it is.
      if (contended !== undefined) leave ??= await deps.lanes.enter(contended)
      await deps.cache.waitCurrent()
    }
  } finally {
    leave?.()
  }
  throw conflict(groupResource(options.target), options.key, 'too many concurrent writes; please try again')
}

/** What is there instead of what the caller expected; undefined when that is as expected. Throws when its fence fell. */
function judgeLoss(
  options: CommitOptions & { readonly fence?: Fence | undefined },
  result: LostCommit,
): CommitOutcome | undefined {
  const { fence } = options
  if (fence !== undefined && (result.found.at(-1)?.modRevision ?? 0) !== fence.comparison.modRevision)
    throw fence.refuse()
  const found = result.found[0]
  if ((found?.modRevision ?? 0) === options.atRevision) return undefined
  return { committed: false, found: found === undefined ? undefined : toCached(options.key, found) }
}

/** Keys besides the object's own that the transaction both compares and changes: only one of those who want the same can have it. */
function reservedKeys({ compare, changes }: Transaction): string[] {
  if (changes.length === 1) return []
  const changed = new Set(changes.map(({ key }) => key))
  return compare.slice(1).flatMap(({ key }) => (changed.has(key) ? [key] : []))
}

/** The first reserved key that was not as compared; undefined when it was something that is only looked at. */
function contendedKey(transaction: Transaction, { found }: LostCommit): string | undefined {
  const reserved = new Set(reservedKeys(transaction))
  const { compare } = transaction
  return compare.find(({ key, modRevision }, i) => reserved.has(key) && (found[i]?.modRevision ?? 0) !== modRevision)
    ?.key
}

/** Compared last: {@link tryCommit} looks for it there. */
function fenceOf(fence: Fence | undefined): readonly Comparison[] {
  return fence === undefined ? [] : [fence.comparison]
}

async function commit(deps: WriteDeps, transaction: Transaction): Promise<CommitResult> {
  try {
    return await deps.store.commit(transaction)
  } catch (error) {
    const status = storeStatus(error)
    if (status === undefined) throw error
    deps.logger.error('Could not write to the store', { error })
    throw status
  }
}

function toCached(key: string, entry: KeyValue): CachedObject {
  return new StoredObject(key, entry.value, entry.modRevision)
}

/** What a create answers when the name is taken. */
export function nameTaken(target: Target, draft: KubeObject): Error {
  return alreadyExists(groupResource(target), draft.metadata.name ?? '')
}
