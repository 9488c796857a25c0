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
    for (const [key, object] of this.#objects) insert(index, key, object)
    this.#indexes.set(name, index)
  }

  /** Returns what was there before. */
  set(object: Stored<T>): Stored<T> | undefined {
    const key = objectKey(object)
    const old = this.delete(key)
    this.#objects.set(key, object)
    for (const index of this.#allIndexes()) insert(index, key, object)
    return old
  }

  /** Returns what was there. */
  delete(key: ObjectKey): Stored<T> | undefined {
    const old = this.#objects.get(key)
    if (old === undefined) return undefined
    this.#objects.delete(key)
    for (const index of this.#allIndexes()) remove(index, key, old)
    return old
  }

  *#allIndexes(): Iterable<Index<T>> {
    yield this.#namespaces
    yield* this.#indexes.values()
  }
}

function insert<T>(index: Index<T>, key: ObjectKey, object: Stored<T>): void {
  for (const value of index.values(object)) {
    const bucket = index.entries.get(value)
    if (bucket === undefined) index.entries.set(value, new Map([[key, object]]))
    else bucket.set(key, object)
  }
}

function remove<T>(index: Index<T>, key: ObjectKey, object: Stored<T>): void {
  for (const value of index.values(object)) {
    const bucket = index.entries.get(value)
    bucket?.delete(key)
    if (bucket?.size === 0) index.entries.delete(value)
  }
}
