import { decodeProtobuf, decodeWatchEvent, encodeProtobuf, encodeWatchEvent, type ProtobufObject } from '@centaurus/api'
import type { Status } from '@centaurus/api/meta/v1'
import { ITEM_BYTES_MAX } from '../limits.ts'

/** What of a watch event matters for merging. */
export interface WatchFrame {
  readonly type: string
  /** Of the event's object; `''` when it has none. */
  readonly resourceVersion: string
  readonly annotations: Readonly<Record<string, string>>
  readonly endsInitialEvents: boolean
  readonly shape: FrameShape
}

/** Of what a bookmark is made that clients of the same watch can read. */
export interface FrameShape {
  readonly kind: string
  readonly apiVersion: string
  /** Of a Table's row. */
  readonly cells?: number | undefined
}

export interface WatchCodec {
  readonly contentType: string
  /** Makes a function that takes chunks and calls `onFrame` with each whole event, framing included. Throws RangeError beyond the limit. */
  split(onFrame: (frame: Uint8Array) => void): (chunk: Uint8Array) => void
  read(frame: Uint8Array): WatchFrame
  bookmark(shape: FrameShape, resourceVersion: string, options: { readonly endsInitialEvents: boolean }): Uint8Array
  /** The last event of a watch that can't go on. */
  error(status: Status): Uint8Array
}

const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'
const NEWLINE = 0x0a
const FRAME_HEAD_BYTES = 4

interface EventObject {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: EventMetadata
  readonly rows?: readonly {
    readonly cells?: readonly unknown[]
    readonly object?: { readonly metadata?: EventMetadata }
  }[]
}

interface EventMetadata {
  readonly resourceVersion?: string
  readonly annotations?: Readonly<Record<string, string>> | null
}

/** One JSON object a line. */
export const jsonWatchCodec: WatchCodec = {
  contentType: 'application/json',
  split: (onFrame) => collectFrames((bytes) => bytes.indexOf(NEWLINE) + 1, onFrame),
  read(frame) {
    const text = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString('utf8')
    const { type, object } = JSON.parse(text) as { type: string; object: EventObject }
    return frameOf(type, object)
  },
  bookmark: (shape, resourceVersion, options) =>
    Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object: bookmarkObject(shape, resourceVersion, options) })}\n`),
  error: (status) => Buffer.from(`${JSON.stringify({ type: 'ERROR', object: status })}\n`),
}

/** A length, and `WatchEvent` in protobuf. */
export const protobufWatchCodec: WatchCodec = {
  contentType: 'application/vnd.kubernetes.protobuf;stream=watch',
  split: (onFrame) => collectFrames(protobufFrameLength, onFrame),
  read(frame) {
    const { type, object } = decodeWatchEvent(frame.subarray(FRAME_HEAD_BYTES))
    return frameOf(type, decodeProtobuf(object) as EventObject)
  },
  bookmark(shape, resourceVersion, options) {
    return protobufFrame('BOOKMARK', bookmarkObject(shape, resourceVersion, options))
  },
  error: (status) => protobufFrame('ERROR', status),
}

function protobufFrame(type: string, object: object): Uint8Array {
  const event = encodeWatchEvent(type, encodeProtobuf(object as ProtobufObject))
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + event.length)
  frame.writeUInt32BE(event.length)
  frame.set(event, FRAME_HEAD_BYTES)
  return frame
}

function frameOf(type: string, object: EventObject): WatchFrame {
  const row = object.rows?.[0]
  // a Table has its version twice, but annotations only in its row
  const metadata = row?.object?.metadata ?? object.metadata
  return {
    type,
    resourceVersion: metadata?.resourceVersion ?? object.metadata?.resourceVersion ?? '',
    annotations: metadata?.annotations ?? {},
    endsInitialEvents: metadata?.annotations?.[INITIAL_EVENTS_END] === 'true',
    shape: { kind: object.kind ?? '', apiVersion: object.apiVersion ?? '', cells: row?.cells?.length },
  }
}

/** As the API server shapes its own. */
function bookmarkObject(
  { kind, apiVersion, cells }: FrameShape,
  resourceVersion: string,
  { endsInitialEvents }: { readonly endsInitialEvents: boolean },
): object {
  const annotations = endsInitialEvents ? { annotations: { [INITIAL_EVENTS_END]: 'true' } } : {}
  const metadata = { resourceVersion, creationTimestamp: null, ...annotations }
  if (kind !== 'Table') return { kind, apiVersion, metadata }
  const object = { kind: 'PartialObjectMetadata', apiVersion, metadata }
  const rows = [{ cells: Array.from({ length: cells ?? 0 }, () => null), object }]
  return { kind, apiVersion, metadata: { resourceVersion }, columnDefinitions: null, rows }
}

function protobufFrameLength(bytes: Buffer): number {
  if (bytes.length < FRAME_HEAD_BYTES) return 0
  const length = bytes.readUInt32BE(0) + FRAME_HEAD_BYTES
  if (length > ITEM_BYTES_MAX) throw new RangeError(`A watch event is longer than ${ITEM_BYTES_MAX} bytes`)
  return length <= bytes.length ? length : 0
}

/** `lengthOf` tells how long the frame is that the bytes begin with; 0: not all of it is there. */
function collectFrames(
  lengthOf: (bytes: Buffer) => number,
  onFrame: (frame: Uint8Array) => void,
): (chunk: Uint8Array) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    const own = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    rest = rest.length === 0 ? own : Buffer.concat([rest, own])
    for (let length = lengthOf(rest); length > 0; length = lengthOf(rest)) {
      onFrame(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
    if (rest.length > ITEM_BYTES_MAX) throw new RangeError(`A watch event is longer than ${ITEM_BYTES_MAX} bytes`)
  }
}
