import type { EtcdChannel } from './etcd-channel.ts'
import type { KeySpace } from './key-space.ts'
import { decodeRange, encodeRange, encodeTxn, endOfPrefix, METHODS, type RangeAnswer } from './messages.ts'
import { parseMark } from './slot-mark.ts'
import type { Head } from './watch-feed.ts'

/** Marks read at once: the newest is nearly always the first. */
const MARKS_READ = 4
const TIDY_TIMEOUT_MS = 5_000
/** Slots tidied away at once: half of etcd's `--max-txn-ops`. */
const TIDY_KEYS_MAX = 64

/** The moment of now; one linearizable read. */
export async function readNewestCommit(channel: EtcdChannel, keys: KeySpace, timeoutMs: number): Promise<Head> {
  for (const limit of [MARKS_READ, 0]) {
    const answer = await readMarks(channel, { slots: keys.slots, limit, timeoutMs })
    const committedRevision = newestCommit(answer)
    if (committedRevision !== undefined) return { revision: answer.revision, committedRevision }
  }
  throw new Error('Cannot read the commit slots of etcd')
}

function newestCommit({ entries, more }: RangeAnswer): number | undefined {
  let newest = 0
  for (const { value, modRevision } of entries) {
    const mark = parseMark(value)
    if (mark.type === 'commit') return Math.max(newest, modRevision)
    newest = Math.max(newest, mark.committedRevision)
  }
  return more ? undefined : newest
}

async function readMarks(
  channel: EtcdChannel,
  options: { readonly slots: string; readonly limit: number; readonly timeoutMs: number; readonly before?: number },
): Promise<RangeAnswer> {
  const { slots, limit, timeoutMs, before } = options
  const modRevisionMax = before === undefined ? undefined : before - 1
  const frame = encodeRange({ key: slots, end: endOfPrefix(slots), limit, newestFirst: true, modRevisionMax })
  return decodeRange(await channel.callRepeatedly(METHODS.range, frame, timeoutMs), 0)
}

/**
 * Deletes slots that nobody has used since revision `before`, but for one's own. The newest commit's mark stays, since it tells how
 * far watches are. A process that is still there and misses its slot makes it again.
 */
export async function tidySlots(
  channel: EtcdChannel,
  options: { readonly slots: string; readonly except: string; readonly before: number },
): Promise<void> {
  const { slots, except, before } = options
  const timeoutMs = TIDY_TIMEOUT_MS
  const newest = newestCommit(await readMarks(channel, { slots, limit: 0, timeoutMs }))
  const { entries } = await readMarks(channel, { slots, limit: 0, timeoutMs, before })
  const old = entries.filter(
    ({ key, value, modRevision }) => !key.startsWith(except) && modRevision !== newest && !keeps(value, newest),
  )
  for (let start = 0; start < old.length; start += TIDY_KEYS_MAX) {
    const some = old.slice(start, start + TIDY_KEYS_MAX)
    const frame = encodeTxn({
      compare: some.map(({ key, modRevision }) => ({ key, modRevision })),
      success: some.map(({ key }) => ({ type: 'delete', key })),
      failure: [],
    })
    await channel.callRepeatedly(METHODS.txn, frame, timeoutMs)
  }
}

function keeps(value: Uint8Array, newest: number | undefined): boolean {
  const mark = parseMark(value)
  return mark.type === 'fence' && mark.committedRevision === newest
}
