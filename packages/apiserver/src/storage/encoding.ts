import type { KubeObject } from '@centaurus/api'

const METADATA_START = Buffer.from('"metadata":{')
const RESOURCE_VERSION_START = '"resourceVersion":"'

/**
 * Bytes that the store holds for an object: JSON with `kind`, `apiVersion` and `metadata` first and no resourceVersion, which is the
 * revision of the write that stores it. {@link writeWithRevision} splices it in, so that serving needs no parse.
 */
export function encodeStored(object: KubeObject): Buffer {
  const { kind, apiVersion, metadata } = object
  // members keep the place where they stood first; leaving one out by a rest pattern would cost several microseconds
  const stored: KubeObject = Object.assign({ kind, apiVersion, metadata }, object)
  if (metadata.resourceVersion !== undefined) stored.metadata = { ...metadata, resourceVersion: undefined }
  return encodeExact(JSON.stringify(stored))
}

/** UTF-8 in an array of its own: `Buffer.from` would keep an 8 KiB pool alive for a small one. */
export function encodeExact(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  bytes.write(text)
  return bytes
}

/** Where the resourceVersion goes in stored bytes: after `"metadata":{`. */
export function findSplice(value: Uint8Array): number {
  const at = asBuffer(value).indexOf(METADATA_START)
  return at < 0 ? -1 : at + METADATA_START.length
}

/** Text that makes stored bytes served bytes when it is put at {@link findSplice}. */
export function revisionText(revision: number): string {
  return `${RESOURCE_VERSION_START}${revision}",`
}

interface Spliced {
  readonly value: Uint8Array
  readonly splice: number
  /** ASCII. */
  readonly text: string
}

/** Writes served bytes into `target` at `offset`; returns where they end. `target` must have the room. */
export function writeServed(target: Buffer, offset: number, { value, splice, text }: Spliced): number {
  target.set(splice === value.byteLength ? value : value.subarray(0, splice), offset)
  target.write(text, offset + splice, 'latin1')
  target.set(value.subarray(splice), offset + splice + text.length)
  return offset + value.byteLength + text.length
}

/** The same memory as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * The resourceVersion in stored bytes: that of the partition from which the object came and where it was changed last, so that who holds that version
 * goes on with it. Undefined: the object was changed here, and its resourceVersion is the revision.
 */
export function keptVersion(value: Uint8Array, splice: number): string | undefined {
  const start = splice + RESOURCE_VERSION_START.length
  // an `r` first is nearly always enough to see: a name, a namespace or an uid comes there else
  if (splice < 0 || value[splice + 1] !== R || value[start] === undefined) return undefined
  const bytes = asBuffer(value)
  if (bytes.toString('latin1', splice, start) !== RESOURCE_VERSION_START) return undefined
  return bytes.toString('latin1', start, bytes.indexOf('"', start))
}

const R = 0x72

/** Stored bytes that keep the resourceVersion which the object had at `revision` of this store, for another store. */
export function keepVersion(value: Uint8Array, revision: number): Uint8Array {
  const splice = findSplice(value)
  if (splice < 0 || keptVersion(value, splice) !== undefined) return value
  const text = revisionText(revision)
  const kept = Buffer.allocUnsafeSlow(value.byteLength + text.length)
  writeServed(kept, 0, { value, splice, text })
  return kept
}

/** Stored bytes without the resourceVersion that {@link keepVersion} put in. */
export function dropVersion(value: Uint8Array): Uint8Array {
  const splice = findSplice(value)
  const kept = keptVersion(value, splice)
  if (kept === undefined) return value
  const end = splice + RESOURCE_VERSION_START.length + kept.length + 2
  return Buffer.concat([value.subarray(0, splice), value.subarray(end)])
}

/** Parses stored bytes, whose resourceVersion is their revision; the object is the caller's own. */
export function parseStored(value: Uint8Array): KubeObject {
  return JSON.parse(asBuffer(value).toString('utf8')) as KubeObject
}
