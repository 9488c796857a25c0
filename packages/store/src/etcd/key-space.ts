import type { KeyValue } from '../store.ts'

/** Where one store's keys are in an etcd that others may use as well. */
export interface KeySpace {
  /** Goes before every key of the contract. */
  readonly data: string
  /** Bytes of {@link data}. */
  readonly dataBytes: number
  /** Prefix of the keys that tell what became of commits. */
  readonly slots: string
  /** Cuts {@link data} off an entry's key. */
  withoutData(entry: KeyValue): KeyValue
}

const PREFIX = /^(?:\/[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)+$/

/** Throws `TypeError` for a prefix that is not made of names. No name starts with a dot, so no store is inside another's keys. */
export function createKeySpace(prefix: string): KeySpace {
  if (!PREFIX.test(prefix)) {
    throw new TypeError(
      `Cannot use etcd prefix ${JSON.stringify(prefix)}: it must look like /centaurus or /team-a/east, in lower case`,
    )
  }
  const data = `${prefix}/.data`
  return {
    data,
    dataBytes: Buffer.byteLength(data),
    slots: `${prefix}/.commits/`,
    withoutData: (entry) => ({ ...entry, key: entry.key.slice(data.length) }),
  }
}
