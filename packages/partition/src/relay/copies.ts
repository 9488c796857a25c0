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
        const origin = readOrigin(entry.value)
        if (origin === undefined) continue
        yield [`/registry/${tenant}/${resource}/${entry.key}`, { ...origin, tenant, modRevision: entry.revision }]
      }
    }
  }
}

/**
 * The origin in stored bytes, which are not parsed: there may be 100,000s of copies. Inside a text the quotes would have a backslash, and no other part of
 * a relayed object has such a key.
 */
export function readOrigin(value: Uint8Array): Origin | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const partition = readText(bytes, ORIGIN_ANNOTATION)
  if (partition === undefined) return undefined
  return { partition, revision: Number(readText(bytes, ORIGIN_REVISION_ANNOTATION) ?? 0) }
}

/** Neither names of partitions nor revisions hold anything that JSON escapes. */
function readText(bytes: Buffer, annotation: string): string | undefined {
  const head = `"${annotation}":"`
  const at = bytes.indexOf(head)
  if (at < 0) return undefined
  const start = at + head.length
  return bytes.toString('utf8', start, bytes.indexOf('"', start))
}
