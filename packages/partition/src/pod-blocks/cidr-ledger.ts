import { isRecord } from '@centaurus/api'
import { decodeText, encodeText } from '@centaurus/base'
import type { Store } from '@centaurus/store'

/** Who has which range of addresses for pods. */
const PREFIX = '/centaurus/nodecidrs/'

export interface CidrHolder {
  readonly node: string
  readonly uid: string
  /** When the node was gone. */
  readonly releasedAtMs?: number | undefined
}

export interface CidrLedger {
  /** By range. Call it once, before anything else. */
  load(): Promise<ReadonlyMap<string, CidrHolder>>
  /** False: somebody else has written it, or removed it, since it was read. */
  put(cidr: string, holder: CidrHolder): Promise<boolean>
  remove(cidr: string): Promise<void>
}

/** Keeps it in the partition's store, a key a range. A write compares what this process read or wrote last. */
export function createCidrLedger(store: Store): CidrLedger {
  const revisions = new Map<string, number>()
  return {
    async load() {
      const holders = new Map<string, CidrHolder>()
      revisions.clear()
      let from: string | undefined
      for (;;) {
        const { entries, more } = await store.range(PREFIX, from === undefined ? {} : { from })
        for (const { key, value, modRevision } of entries) {
          const cidr = key.slice(PREFIX.length).replace('_', '/')
          holders.set(cidr, parseHolder(decodeText(value), key))
          revisions.set(cidr, modRevision)
        }
        if (!more) return holders
        from = `${entries.at(-1)!.key}\0`
      }
    },
    async put(cidr, holder) {
      const key = keyOf(cidr)
      const { committed, revision } = await store.commit({
        compare: [{ key, modRevision: revisions.get(cidr) ?? 0 }],
        changes: [{ type: 'put', key, value: encodeText(JSON.stringify(holder)) }],
      })
      if (committed) revisions.set(cidr, revision)
      return committed
    },
    async remove(cidr) {
      const key = keyOf(cidr)
      const modRevision = revisions.get(cidr)
      if (modRevision === undefined) return
      revisions.delete(cidr)
      await store.commit({ compare: [{ key, modRevision }], changes: [{ type: 'delete', key }] })
    },
  }
}

function keyOf(cidr: string): string {
  return PREFIX + cidr.replace('/', '_')
}

function parseHolder(text: string, key: string): CidrHolder {
  const value: unknown = JSON.parse(text)
  if (!isRecord(value) || typeof value['node'] !== 'string' || typeof value['uid'] !== 'string')
    throw new Error(`What the store has at ${key} does not say which node has the range`)
  const { node, uid, releasedAtMs } = value
  return typeof releasedAtMs === 'number' ? { node, uid, releasedAtMs } : { node, uid }
}
