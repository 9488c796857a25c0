import { ORIGIN_ANNOTATION, ORIGIN_REVISION_ANNOTATION, type KubeObject } from '@centaurus/api'
import { encodeStored, type StoredObjects } from '@centaurus/apiserver'
import { RELAYED } from './needs.ts'
import type { RelayPut } from './wire.ts'

/** Of which original an object in this store is a copy. */
export interface Origin {
  readonly partition: string
  /** Revision of the original. */
  readonly revision: number
}

/** Undefined for what is no copy. */
export function originOf({ metadata: { annotations } }: KubeObject): Origin | undefined {
  const partition = annotations?.[ORIGIN_ANNOTATION]
  if (partition === undefined) return undefined
  return { partition, revision: Number(annotations?.[ORIGIN_REVISION_ANNOTATION] ?? 0) }
}

/** Stored bytes of a copy: the original, and where it is from. */
export function encodeCopy({ object, revision }: RelayPut, partition: string): Uint8Array {
  // What a partition stores is an object; it went through its API server.
  const original = object as unknown as KubeObject
  const annotations = {
    ...original.metadata.annotations,
    [ORIGIN_ANNOTATION]: partition,
    [ORIGIN_REVISION_ANNOTATION]: String(revision),
  }
  return encodeStored({ ...original, metadata: { ...original.metadata, annotations } })
}

export interface KnownCopy extends Origin {
  readonly tenant: string
  /** Of the copy, in this store. */
  readonly modRevision: number
}

/** Every copy in this store, by store key. */
export function* findCopies(stored: StoredObjects): Generator<[string, KnownCopy], void> {
  for (const resource of RELAYED) {
    for (const tenant of stored.tenants()) {
      for (const entry of stored.list(tenant, resource)) {
        // most of what is the partition's own need not be decoded
        if (!holdsOrigin(entry.value)) continue
        const origin = originOf(entry.object())
        if (origin === undefined) continue
        yield [`/registry/${tenant}/${resource}/${entry.key}`, { ...origin, tenant, modRevision: entry.revision }]
      }
    }
  }
}

function holdsOrigin(value: Uint8Array): boolean {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).includes(ORIGIN_TEXT)
}

const ORIGIN_TEXT = `"${ORIGIN_ANNOTATION}"`
