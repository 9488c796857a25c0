import { assert } from '@centaurus/base'
import { objectKey, type KubeObject, type ObjectKey, type Stored } from '@centaurus/api'

type IndexFunction<T> = (object: Stored<T>) => readonly string[]

interface Index<T> {
  readonly values: IndexFunction<T>
  readonly entries: Map<string, Map<ObjectKey, Stored<T>>>
}

/** Objects by key, by namespace and by any number of named indexes. Every change costs its object's index values, whatever the size. */
export class ObjectCache<T extends KubeObject> {
  readonly #objects = new Map<ObjectKey, Stored<T>>()
  readonly #indexes = new Map<string, Index<T>>()
  readonly #namespaces: Index<T> = { values: (object) => [object.metadata.namespace ?? ''], entries: new Map() }
  #all: readonly Index<T>[] = [this.#namespaces]

  get(key: ObjectKey): Stored<T> | undefined {
    return this.#objects.get(key)
  }

  keys(): Iterable<ObjectKey> {
    return this.#objects.keys()
  }

  get size(): number {
    return this.#objects.size
  }

  list(namespace?: string): readonly Stored<T>[] {
    if (namespace === undefined || namespace === '') return [...this.#objects.values()]
    return [...(this.#namespaces.entries.get(namespace)?.values() ?? [])]
  }

  byIndex(name: string, value: string): readonly Stored<T>[] {
    const index = this.#indexes.get(name)
    assert(index !== undefined, `index ${name} was never added`)
    return [...(index.entries.get(value)?.values() ?? [])]
  }

  addIndex(name: string, values: IndexFunction<T>): void {
    const known = this.#indexes.get(name)
    if (known !== undefined) return assert(known.values === values, `index ${name} exists with another function`)
    const index: Index<T> = { values, entries: new Map() }
    for (const [key, object] of this.#objects) replace(index, key, { object })
    this.#indexes.set(name, index)
    this.#all = [this.#namespaces, ...this.#indexes.values()]
  }

  /** Returns what was there before. */
  set(object: Stored<T>): Stored<T> | undefined {
    const key = objectKey(object)
    const old = this.#objects.get(key)
    this.#objects.set(key, object)
    for (const index of this.#all) replace(index, key, { old, object })
    return old
  }

  /** Returns what was there. */
  delete(key: ObjectKey): Stored<T> | undefined {
    const old = this.#objects.get(key)
    if (old === undefined) return undefined
    this.#objects.delete(key)
    for (const index of this.#all) replace(index, key, { old })
    return old
  }
}

/** Puts `object` in the place of `old`. Most changes leave an object where it was in the index, and cost one look-up there. */
function replace<T>(
  { values, entries }: Index<T>,
  key: ObjectKey,
  { old, object }: { readonly old?: Stored<T> | undefined; readonly object?: Stored<T> | undefined },
): void {
  const now = object === undefined ? [] : values(object)
  for (const value of old === undefined ? [] : values(old)) {
    if (now.includes(value)) continue
    const bucket = entries.get(value)
    bucket?.delete(key)
    if (bucket?.size === 0) entries.delete(value)
  }
  for (const value of now) {
    const bucket = entries.get(value)
    if (bucket === undefined) entries.set(value, new Map([[key, object!]]))
    else bucket.set(key, object!)
  }
}
