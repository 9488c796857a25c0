import { deepFreeze, type KubeObject, type Stored } from '@centaurus/api'
import { assert } from '@centaurus/base'
import { dropVersion, findSplice, keptVersion, parseStored, revisionText, writeServed } from '../storage/encoding.ts'

export type SelectableFields = Readonly<Record<string, string>>
export type FieldsOf = (object: KubeObject) => SelectableFields

/** One object at one revision, as the cache serves it. Nothing of it changes. */
export interface CachedObject {
  /** `namespace/name`, or `name`. */
  readonly key: string
  /** Of the write that stored it, which is the resourceVersion but for what came from another partition; 0: none, of what a dry run would create. */
  readonly revision: number
  /** JSON in the storage version, without the resourceVersion. */
  readonly value: Uint8Array
  /** Bytes that stay in memory as long as this object does. */
  readonly heldBytes: number
  readonly namespace: string
  readonly name: string
  /** Length of what {@link writeTo} writes. */
  readonly servedBytes: number
  readonly labels: Readonly<Record<string, string>> | undefined
  /** The same content under another resourceVersion, as a DELETED event shows it. */
  atRevision(revision: number): CachedObject
  /** Writes JSON with the resourceVersion; returns the end. */
  writeTo(target: Buffer, offset: number): number
  /** JSON with the resourceVersion, a new buffer. */
  served(): Buffer
  /** Decoded in the storage version, frozen, shared. */
  object(): Stored<KubeObject>
  /** Selectable fields beyond name and namespace. `fieldsOf` must be the same function of the object each time. */
  fields(fieldsOf: FieldsOf): SelectableFields
  /** Frees what can be made again. */
  dropEncodings(): void
}

/**
 * An object as the store holds it: its stored bytes (shared with the memory engine), and on demand what selectors need and the decoded
 * object. Costs about 200 bytes beside the value. The decoded object lives only as long as somebody else holds it.
 */
export class StoredObject implements CachedObject {
  readonly key: string
  readonly revision: number
  /** Length of the value. */
  readonly heldBytes: number
  #value: Uint8Array | undefined
  #load: (() => Uint8Array | undefined) | undefined
  readonly #splice: number
  /** The resourceVersion that is in the value: it came with that from another partition. */
  readonly #kept: string | undefined
  #decoded: WeakRef<Stored<KubeObject>> | undefined
  #shown: { readonly by: object; readonly object: WeakRef<Stored<KubeObject>> } | undefined
  #labels: Readonly<Record<string, string>> | undefined | null = null
  #fields: SelectableFields | undefined

  constructor(key: string, value: Uint8Array, revision: number) {
    this.key = key
    this.revision = revision
    this.heldBytes = value.byteLength
    this.#value = value
    this.#splice = findSplice(value)
    this.#kept = keptVersion(value, this.#splice)
  }

  get value(): Uint8Array {
    const value = this.#value ?? this.#load?.()
    assert(value !== undefined, `the store has what it holds now: ${this.key} at revision ${this.revision}`)
    return value
  }

  /** Lets go of the value; `load` gets it again for each who asks, as long as this is what the store holds now. */
  drop(load: () => Uint8Array | undefined): void {
    this.#load = load
    this.#value = undefined
  }

  /** Takes the value back: it is about to be replaced, and the store may forget it then. */
  keep(): void {
    this.#value = this.value
    this.#load = undefined
  }

  /** True when its resourceVersion is that of the partition from which it came. */
  get keepsVersion(): boolean {
    return this.#kept !== undefined
  }

  atRevision(revision: number): StoredObject {
    return new StoredObject(this.key, dropVersion(this.value), revision)
  }

  get namespace(): string {
    const slash = this.key.indexOf('/')
    return slash < 0 ? '' : this.key.slice(0, slash)
  }

  get name(): string {
    return this.key.slice(this.key.indexOf('/') + 1)
  }

  get servedBytes(): number {
    return this.heldBytes + (this.#kept === undefined ? revisionBytes(this.revision) : 0)
  }

  writeTo(target: Buffer, offset: number): number {
    const text = this.#kept === undefined ? revisionText(this.revision) : ''
    return writeServed(target, offset, { value: this.value, splice: this.#splice, text })
  }

  served(): Buffer {
    const text = this.revision === 0 || this.#kept !== undefined ? '' : revisionText(this.revision)
    const { value } = this
    const bytes = Buffer.allocUnsafe(value.byteLength + text.length)
    writeServed(bytes, 0, { value, splice: this.#splice, text })
    return bytes
  }

  object(): Stored<KubeObject> {
    const known = this.#decoded?.deref()
    if (known !== undefined) return known
    return this.adopt(parseStored(this.value))
  }

  /**
   * Takes an object that equals the bytes, so that they need not be parsed. It is shared from now on, and frozen outside of
   * production. Entries of one revision may share it.
   */
  adopt(object: KubeObject): Stored<KubeObject> {
    const resourceVersion = this.#kept ?? (this.revision === 0 ? undefined : String(this.revision))
    if (object.metadata.resourceVersion !== resourceVersion) object.metadata.resourceVersion = resourceVersion
    // What is stored has been through the server's preparation, so it has all of StoredMeta.
    const frozen = freeze(object) as Stored<KubeObject>
    this.#decoded = new WeakRef(frozen)
    return frozen
  }

  get labels(): Readonly<Record<string, string>> | undefined {
    if (this.#labels === null) this.#labels = this.object().metadata.labels
    return this.#labels
  }

  fields(fieldsOf: FieldsOf): SelectableFields {
    return (this.#fields ??= fieldsOf(this.object()))
  }

  /** What `by` makes of the decoded object by `show`: made once as long as somebody holds it. Holds the decoded object itself. */
  shownBy(by: object, show: (object: Stored<KubeObject>) => KubeObject): Stored<KubeObject> {
    const known = this.#shown?.by === by ? this.#shown.object.deref() : undefined
    if (known !== undefined) return known
    const origin = this.object()
    const shown = show(origin) as Stored<KubeObject>
    // Whoever has it will write it back, and then the server needs the origin: not parsing it again is worth the pointer.
    Object.defineProperty(shown, ORIGIN, { value: origin })
    this.#shown = { by, object: new WeakRef(freeze(shown)) }
    return shown
  }

  /** What it keeps is small, or weak. */
  dropEncodings(): void {}
}

/** Whether a client that names the version means the object as it is. What came from another partition has two: it keeps the one that it had there. */
export function isVersionOf(object: CachedObject, version: string): boolean {
  return version === object.object().metadata.resourceVersion || version === String(object.revision)
}

const ORIGIN = Symbol('origin')

/** Freezing shows who changes a shared object; it costs a tenth of a write, so production does without. */
const FREEZES = process.env['NODE_ENV'] !== 'production'

/** Freezes an object that is shared, outside of production. */
export function freeze<T>(object: T): T {
  return FREEZES ? deepFreeze(object) : object
}

/** `"resourceVersion":"",` */
const RESOURCE_VERSION_OVERHEAD_BYTES = revisionText(0).length - 1

/** How much longer served bytes are than stored ones. */
export function revisionBytes(revision: number): number {
  return RESOURCE_VERSION_OVERHEAD_BYTES + String(revision).length
}
