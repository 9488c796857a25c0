import type { CachedObject } from './cached-object.ts'

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED'

/** One change of one object. Its encodings are made once for each format and shared by all watchers. */
export class CacheEvent {
  readonly type: EventType
  /** The object after the change; for DELETED its last content at the revision of the delete. */
  readonly object: CachedObject
  readonly previous: CachedObject | undefined
  #encodings: Map<string, Uint8Array> | undefined
  #left: CachedObject | undefined

  constructor(type: EventType, object: CachedObject, previous: CachedObject | undefined) {
    this.type = type
    this.object = object
    this.previous = previous
  }

  get revision(): number {
    return this.object.revision
  }

  /** Bytes that the history holds only because of this event. */
  get historyBytes(): number {
    return this.object.heldBytes
  }

  /** What a watcher sees when the object leaves its selection: the content it knew, at this event's revision. */
  left(): CachedObject {
    return (this.#left ??= (this.previous ?? this.object).atRevision(this.revision))
  }

  /** The bytes for `format`, made by `encode` the first time. */
  encoding(format: string, encode: () => Uint8Array): Uint8Array {
    this.#encodings ??= new Map()
    let bytes = this.#encodings.get(format)
    if (bytes === undefined) this.#encodings.set(format, (bytes = encode()))
    return bytes
  }

  /** Drops what was encoded, after the watchers of the moment have it. */
  dropEncodings(): void {
    this.#encodings = undefined
    this.#left = undefined
    this.object.dropEncodings()
    this.previous?.dropEncodings()
  }
}
