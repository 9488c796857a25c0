import type { GetResult, RangeOptions, RangeResult, ReadOptions } from '../store.ts'
import type { Mvcc } from './mvcc.ts'
import { checkKey, checkText } from './sort-key.ts'
import { toKeyValue, type ReadValue } from './version.ts'

/** Answers {@link Store.get} from the index; `readValue` fetches the bytes. */
export function readGet(mvcc: Mvcc, key: string, options: ReadOptions & { readonly readValue: ReadValue }): GetResult {
  checkKey(key)
  const at = mvcc.readableRevision(options.atRevision)
  const version = mvcc.get(key, at)
  return { revision: mvcc.visibleRevision, entry: version && toKeyValue(version, options.readValue) }
}

/** Answers {@link Store.range} from the index; `readValue` fetches the bytes of the entries returned. */
export function readRange(
  mvcc: Mvcc,
  prefix: string,
  options: RangeOptions & { readonly readValue: ReadValue },
): RangeResult {
  const from = rangeStart(prefix, options.from)
  const revision = mvcc.readableRevision(options.atRevision)
  const limit = options.limit === undefined || options.limit <= 0 ? Number.POSITIVE_INFINITY : options.limit
  const { versions, count } = mvcc.range(prefix, from, { revision, limit })
  const read = options.keysOnly === true ? undefined : options.readValue
  const entries = versions.map((version) => toKeyValue(version, read))
  return { revision, entries, more: count > entries.length, count }
}

/** The first key of a range. Throws `TypeError` unless it starts with the prefix. */
export function rangeStart(prefix: string, from = prefix): string {
  checkText(prefix)
  if (!from.startsWith(prefix)) {
    throw new TypeError(
      `Cannot range from ${JSON.stringify(from)}: it must start with the prefix ${JSON.stringify(prefix)}`,
    )
  }
  checkText(from)
  return from
}
