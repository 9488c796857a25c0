import type { Clock } from '@centaurus/base'
import {
  CommitUnknownError,
  StoreFullError,
  StoreUnavailableError,
  TransactionTooLargeError,
  type CommitResult,
  type KeyValue,
  type Transaction,
} from '../store.ts'
import type { CommitSlot, CommitSlots } from './commit-slots.ts'
import { TRY_TIMEOUT_MS, type EtcdChannel } from './etcd-channel.ts'
import { explainRefusal, GrpcError, isNoSpace, isRefusal, isTooLarge, isTooManyOperations } from './grpc-error.ts'
import type { KeySpace } from './key-space.ts'
import { decodeRange, decodeTxn, encodeRange, encodeTxn, METHODS, type Operation, type TxnAnswer } from './messages.ts'
import { encodeMark, parseMark } from './slot-mark.ts'

/** How long a commit is tried, milliseconds. */
const COMMIT_TIMEOUT_MS = 15_000
/** How long its outcome is looked for after its answer was lost. etcd itself gives up on a proposal after some 7 s. */
const RESOLVE_TIMEOUT_MS = 20_000

export interface CommitterDeps {
  readonly channel: EtcdChannel
  readonly slots: CommitSlots
  readonly keys: KeySpace
  readonly clock: Clock
}

/** What became of a transaction whose answer was lost. */
type Outcome = { readonly type: 'committed'; readonly revision: number } | { readonly type: 'void' }

/** Makes commits, and finds out what became of those whose answer was lost. */
export class Committer {
  readonly #deps: CommitterDeps

  constructor(deps: CommitterDeps) {
    this.#deps = deps
  }

  /** See `Store.commit`. */
  async commit(transaction: Transaction): Promise<CommitResult> {
    const { slots } = this.#deps
    const slot = await slots.acquire()
    let isKnown = true
    try {
      return await this.#tryCommit(transaction, slot)
    } catch (error) {
      isKnown = !(error instanceof CommitUnknownError)
      throw error
    } finally {
      if (isKnown) slots.release(slot)
      else slots.retire()
    }
  }

  async #tryCommit(transaction: Transaction, slot: CommitSlot): Promise<CommitResult> {
    const { channel, clock } = this.#deps
    const deadlineMs = clock.monotonicMs() + COMMIT_TIMEOUT_MS
    for (let attempt = 0; ; attempt++) {
      if (attempt > 0) await channel.pause(channel.backOffMs(attempt))
      const session = await channel.session(deadlineMs)
      const leftMs = deadlineMs - clock.monotonicMs()
      if (leftMs <= 0) throw new StoreUnavailableError('Cannot commit: etcd does not answer; nothing was changed')
      let answer: TxnAnswer
      try {
        const frame = this.#encode(transaction, slot)
        answer = decodeTxn(await session.unary(METHODS.txn, frame, Math.min(leftMs, TRY_TIMEOUT_MS)), 0)
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error
        const isFull = isNoSpace(error)
        if (isRefusal(error) && !isFull) throw explainCommitRefusal(error, transaction)
        if (!isFull) channel.noteFailure(session, error)
        const outcome = await (isFull ? this.#look(slot, error) : this.#resolve(slot, error))
        if (outcome.type === 'committed') return { committed: true, revision: outcome.revision }
        if (isFull) throw explainCommitRefusal(error, transaction)
        continue
      }
      const result = this.#read(answer, transaction, slot)
      if (result !== undefined) return result
    }
  }

  #encode({ compare = [], changes }: Transaction, slot: CommitSlot): Buffer {
    const { keys } = this.#deps
    const dataCompare = compare.map(({ key, modRevision }) => ({ key: keys.data + key, modRevision }))
    const read: Operation = { type: 'range', key: slot.key }
    const failure: Operation[] = [...dataCompare.map(({ key }): Operation => ({ type: 'range', key })), read]
    if (changes.length === 0) return encodeTxn({ compare: dataCompare, success: [read], failure })
    const mark: Operation = { type: 'put', key: slot.key, value: encodeMark({ type: 'commit' }) }
    const writes = changes.map((change): Operation => ({ ...change, key: keys.data + change.key }))
    // A commit that changes nothing takes no revision, so it must not write its slot either. Most deletes say what they delete.
    const surelyChanges = changes.some(
      ({ type, key }) => type === 'put' || compare.some((one) => one.key === key && one.modRevision > 0),
    )
    const ifAnyExists: Operation = {
      type: 'ifAnyExists',
      keys: changes.map(({ key }) => keys.data + key),
      operations: [...writes, mark],
    }
    return encodeTxn({
      compare: [...dataCompare, { key: slot.key, modRevision: slot.modRevision }],
      success: surelyChanges ? [...writes, mark] : [ifAnyExists, read],
      failure,
    })
  }

  /** Undefined: the slot was not as expected, because somebody tidied it away; nothing was done, so try again. */
  #read(
    { revision, succeeded, found }: TxnAnswer,
    transaction: Transaction,
    slot: CommitSlot,
  ): CommitResult | undefined {
    const { compare = [], changes } = transaction
    if (succeeded) {
      if (changes.length === 0) return { committed: true, revision }
      const mark = found.at(-1)
      const modRevision = found.length === 0 ? revision : (mark?.modRevision ?? 0)
      if (modRevision > slot.modRevision) slot.committedRevision = modRevision
      slot.modRevision = modRevision
      return { committed: true, revision }
    }
    slot.modRevision = found.at(-1)?.modRevision ?? 0
    const entries = found.slice(0, compare.length).map((entry) => entry && this.#deps.keys.withoutData(entry))
    const allHold = compare.every(({ modRevision }, i) => (entries[i]?.modRevision ?? 0) === modRevision)
    return allHold ? undefined : { committed: false, revision, found: entries }
  }

  /**
   * Finds what became of a transaction that etcd answered with "no space": the one that steps over the limit is made before it is
   * refused. Source: quotaApplierV3.Txn, server/etcdserver/apply.go v3.5. Throws {@link CommitUnknownError} when nobody can be asked.
   */
  async #look(slot: CommitSlot, cause: GrpcError): Promise<Outcome> {
    const { channel } = this.#deps
    let found: KeyValue | undefined
    try {
      const message = await channel.callRepeatedly(METHODS.range, encodeRange({ key: slot.key }), RESOLVE_TIMEOUT_MS)
      found = decodeRange(message, 0).entries[0]
    } catch (error) {
      throw unknownOutcome(cause, error)
    }
    const before = slot.modRevision
    slot.modRevision = found?.modRevision ?? 0
    if (found === undefined || found.modRevision === before) return { type: 'void' }
    slot.committedRevision = found.modRevision
    return { type: 'committed', revision: found.modRevision }
  }

  /** Makes sure that the transaction never happens, or finds that it has. Throws {@link CommitUnknownError} when it cannot. */
  async #resolve(slot: CommitSlot, cause: GrpcError): Promise<Outcome> {
    const { channel } = this.#deps
    const fence = encodeTxn({
      compare: [slot],
      success: [
        { type: 'put', key: slot.key, value: encodeMark({ type: 'fence', committedRevision: slot.committedRevision }) },
      ],
      failure: [{ type: 'range', key: slot.key }],
    })
    let answer: TxnAnswer
    try {
      answer = decodeTxn(await channel.callRepeatedly(METHODS.txn, fence, RESOLVE_TIMEOUT_MS), 0)
    } catch (error) {
      throw unknownOutcome(cause, error)
    }
    if (answer.succeeded) {
      slot.modRevision = answer.revision
      return { type: 'void' }
    }
    return readFenced(answer.found[0], slot, cause)
  }
}

/** The fence failed: because the commit was there first, or because an earlier try of the same fence was. */
function readFenced(found: KeyValue | undefined, slot: CommitSlot, cause: GrpcError): Outcome {
  if (found === undefined) throw unknownOutcome(cause, new Error('its slot is gone'))
  slot.modRevision = found.modRevision
  if (parseMark(found.value).type === 'fence') return { type: 'void' }
  slot.committedRevision = found.modRevision
  return { type: 'committed', revision: found.modRevision }
}

function unknownOutcome(cause: GrpcError, error: unknown): CommitUnknownError {
  return new CommitUnknownError(
    `Cannot tell whether a commit was made: ${cause.message}; then: ${(error as Error).message}. Read to see what is there`,
    { cause },
  )
}

function explainCommitRefusal(error: GrpcError, { compare = [], changes }: Transaction): Error {
  if (isNoSpace(error)) {
    return new StoreFullError(
      'Cannot commit: etcd has reached its size limit. Compact and defragment it or raise --quota-backend-bytes, then disarm its alarm (etcdctl alarm disarm)',
      { cause: error },
    )
  }
  if (isTooManyOperations(error)) {
    const most = Math.max(compare.length, changes.length)
    return new TransactionTooLargeError(
      `Cannot change ${most} keys in one commit: etcd takes fewer (--max-txn-ops, 128 by default, less a few of our own)`,
      { cause: error },
    )
  }
  if (isTooLarge(error)) {
    const bytes = changes.reduce((sum, change) => sum + (change.type === 'put' ? change.value.byteLength : 0), 0)
    return new TransactionTooLargeError(
      `Cannot commit ${bytes} bytes at once: etcd takes fewer (--max-request-bytes, 1.5 MiB by default)`,
      { cause: error },
    )
  }
  return explainRefusal(error)
}
