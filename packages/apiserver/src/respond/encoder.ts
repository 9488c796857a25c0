import { deepClone, encodeProtobuf, encodeWatchEvent, hasProtobuf, type KubeObject, type Stored } from '@centaurus/api'
import { dump } from 'js-yaml'
import { formatApiVersion } from '../resource/built-in.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { EventType } from '../watch-cache/cache-event.ts'
import type { Representation } from './accept.ts'
import { createTable, partialMetadata, type IncludeObject } from './table.ts'

export interface EncoderOptions {
  readonly definition: ResourceDefinition
  readonly representation: Representation
  readonly includeObject: IncludeObject
  readonly nowMs: number
}

/** The object in the version that is asked for: the shared one when that is the stored version. */
export function toServed({ fromStorage, view }: ResourceDefinition, object: Stored<KubeObject>): KubeObject {
  const shown = view === undefined ? object : view.show(object)
  return fromStorage === undefined ? shown : fromStorage(deepClone(shown as KubeObject))
}

/** True when stored bytes can be sent as they are: those of `object`, or of any. */
export function isVerbatim(
  { definition, representation }: Pick<EncoderOptions, 'definition' | 'representation'>,
  object?: CachedObject,
): boolean {
  const { media, as, pretty } = representation
  if (media !== 'json' || as !== '' || pretty || definition.fromStorage !== undefined) return false
  return definition.view === undefined || (object !== undefined && definition.view.showsAsIs(object.key))
}

/** The answer for one object. */
export function encodeObject(object: CachedObject, options: EncoderOptions): Uint8Array {
  if (isVerbatim(options, object)) return object.served()
  return encodeValue(shapeObject(object, { ...options, withColumns: true }), options.representation)
}

/** The JSON value that stands for one object in an answer or an event. */
export function shapeObject(object: CachedObject, options: EncoderOptions & { readonly withColumns: boolean }): object {
  const { definition, representation } = options
  const served = toServed(definition, object.object())
  switch (representation.as) {
    case 'Table':
      return createTable(definition, [{ stored: object.object(), served }], {
        includeObject: options.includeObject,
        version: representation.asVersion,
        nowMs: options.nowMs,
        withColumns: options.withColumns,
        metadata: { resourceVersion: served.metadata.resourceVersion },
      })
    case 'PartialObjectMetadata':
    case 'PartialObjectMetadataList':
      return partialMetadata(served, representation.asVersion)
    default:
      return served
  }
}

/** Any API value as bytes. */
export function encodeValue(value: object, { media, pretty }: Representation): Uint8Array {
  switch (media) {
    case 'yaml':
      return Buffer.from(dump(value, { noRefs: true, lineWidth: -1 }))
    case 'protobuf':
      return encodeProtobuf(value)
    case 'json':
      return Buffer.from(pretty ? `${JSON.stringify(value, null, 2)}\n` : JSON.stringify(value))
  }
}

const EVENT_HEADS: Readonly<Record<EventType, Buffer>> = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
}
const EVENT_TAIL = Buffer.from('}\n')

/** One line of a watch: stored bytes between a constant head and tail. */
export function encodeVerbatimEvent(type: EventType, object: CachedObject): Buffer {
  const head = EVENT_HEADS[type]
  const bytes = Buffer.allocUnsafe(head.length + object.servedBytes + EVENT_TAIL.length)
  bytes.set(head, 0)
  const end = object.writeTo(bytes, head.length)
  bytes.set(EVENT_TAIL, end)
  return bytes
}

/** One event of a watch in any form: a line of JSON, or a length and protobuf. */
export function encodeEvent(type: string, object: object, { media }: Representation): Uint8Array {
  if (media !== 'protobuf') return Buffer.from(`${JSON.stringify({ type, object })}\n`)
  const event = encodeWatchEvent(type, encodeProtobuf(object))
  const frame = Buffer.allocUnsafe(4 + event.byteLength)
  frame.writeUInt32BE(event.byteLength)
  frame.set(event, 4)
  return frame
}

/** The representation that the kind can have: JSON for those without a protobuf form, such as custom resources. */
export function possibleRepresentation(representation: Representation, { info }: ResourceDefinition): Representation {
  if (representation.media !== 'protobuf' || hasProtobuf(info.group, info.version, info.kind)) return representation
  return { ...representation, media: 'json' }
}

/** A bookmark in the shape of the watched kind. Source: apiserver's watch cache; the annotation is KEP-3157's. */
export function bookmarkObject(
  { definition, representation }: Pick<EncoderOptions, 'definition' | 'representation'>,
  revision: number,
  { initialEventsEnd }: { readonly initialEventsEnd: boolean },
): object {
  const metadata = {
    resourceVersion: String(revision),
    creationTimestamp: null,
    ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  }
  const { kind } = definition.info
  const apiVersion = formatApiVersion(definition.info)
  switch (representation.as) {
    case 'Table': {
      const object = { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${representation.asVersion}`, metadata }
      return {
        kind: 'Table',
        apiVersion: `meta.k8s.io/${representation.asVersion}`,
        metadata: { resourceVersion: String(revision) },
        columnDefinitions: null,
        rows: [{ cells: definition.behavior.columns?.map(() => null) ?? [null, null], object }],
      }
    }
    case 'PartialObjectMetadata':
    case 'PartialObjectMetadataList':
      return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${representation.asVersion}`, metadata }
    default:
      return { kind, apiVersion, metadata }
  }
}
