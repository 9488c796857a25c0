import type { KubeObject, Stored } from '@centaurus/api'
import { encodeStored, findSplice, revisionText, writeServed } from '../storage/encoding.ts'
import {
  revisionBytes,
  type CachedObject,
  type FieldsOf,
  type SelectableFields,
  type StoredObject,
} from '../watch-cache/cached-object.ts'

/** How a view shows the objects of one resource of one tenant. */
export interface Appearance {
  readonly tenant: string
  /** Key in the view of a tenant's key. */
  readonly keyOf: (key: string) => string
  /** The object as the view shows it; shares what is the same. */
  readonly show: (object: Stored<KubeObject>) => KubeObject
  /** True when selectable fields hold names that the view shows otherwise. */
  readonly showsFields: boolean
  /** True when it has labels of the view. */
  readonly showsLabels: boolean
  /** True when it does not say of copies that they are. */
  readonly hidesOrigin: boolean
}

/**
 * A tenant's object in a view over all tenants. Made when it is looked at and soon forgotten: it holds no more than the stored object,
 * from which bytes and decoded form are made on demand.
 */
export class QualifiedObject implements CachedObject {
  readonly origin: StoredObject
  readonly #appearance: Appearance
  #key: string | undefined
  #value: Buffer | undefined
  #fields: SelectableFields | undefined

  constructor(origin: StoredObject, appearance: Appearance) {
    this.origin = origin
    this.#appearance = appearance
  }

  get tenant(): string {
    return this.#appearance.tenant
  }

  get key(): string {
    return (this.#key ??= this.#appearance.keyOf(this.origin.key))
  }

  get revision(): number {
    return this.origin.revision
  }

  get value(): Buffer {
    return (this.#value ??= encodeStored(this.object()))
  }

  get heldBytes(): number {
    return this.origin.heldBytes
  }

  get namespace(): string {
    const slash = this.key.indexOf('/')
    return slash < 0 ? '' : this.key.slice(0, slash)
  }

  get name(): string {
    return this.key.slice(this.key.indexOf('/') + 1)
  }

  get servedBytes(): number {
    return this.value.byteLength + revisionBytes(this.revision)
  }

  get labels(): Readonly<Record<string, string>> | undefined {
    return this.#appearance.showsLabels ? this.object().metadata.labels : this.origin.labels
  }

  atRevision(revision: number): QualifiedObject {
    return new QualifiedObject(this.origin.atRevision(revision), this.#appearance)
  }

  writeTo(target: Buffer, offset: number): number {
    const { value } = this
    return writeServed(target, offset, { value, splice: findSplice(value), text: revisionText(this.revision) })
  }

  served(): Buffer {
    const bytes = Buffer.allocUnsafe(this.servedBytes)
    this.writeTo(bytes, 0)
    return bytes
  }

  object(): Stored<KubeObject> {
    const { origin } = this
    const { show } = this.#appearance
    if (!origin.keepsVersion) return origin.shownBy(this.#appearance, show)
    // a view is the partition's, and so are its versions: who looks at it compares them, and goes on from them
    const resourceVersion = String(origin.revision)
    return origin.shownBy(this.#appearance, (object) =>
      show({ ...object, metadata: { ...object.metadata, resourceVersion } }),
    )
  }

  fields(fieldsOf: FieldsOf): SelectableFields {
    if (!this.#appearance.showsFields) return this.origin.fields(fieldsOf)
    return (this.#fields ??= fieldsOf(this.object()))
  }

  dropEncodings(): void {
    this.#value = undefined
  }
}
