import type { FieldsOf, StoredObject } from './cached-object.ts'

const NODE_FIELD = 'spec.nodeName'

/**
 * Objects of one resource by `spec.nodeName`, so that a node's watch begins with its own pods at their cost: 60,000 nodes that come back
 * after a crash would each look at all pods. Costs nothing until a node asks first; about 60 bytes a pod then.
 */
export class NodeIndex {
  readonly #fieldsOf: FieldsOf
  readonly #byNode = new Map<string, Map<string, StoredObject>>()

  /** `objects`: all that there are. */
  constructor(fieldsOf: FieldsOf, objects: Iterable<StoredObject>) {
    this.#fieldsOf = fieldsOf
    for (const object of objects) this.put(object, undefined)
  }

  /** In the order of their keys. */
  on(node: string): StoredObject[] {
    const objects = [...(this.#byNode.get(node)?.values() ?? [])]
    return objects.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  put(object: StoredObject, previous: StoredObject | undefined): void {
    const node = this.#nodeOf(object)
    if (previous !== undefined && this.#nodeOf(previous) !== node) this.delete(previous)
    if (node === '') return // pods that wait are nobody's
    const objects = this.#byNode.get(node)
    if (objects === undefined) this.#byNode.set(node, new Map([[object.key, object]]))
    else objects.set(object.key, object)
  }

  delete(object: StoredObject): void {
    const node = this.#nodeOf(object)
    const objects = this.#byNode.get(node)
    if (objects?.delete(object.key) === true && objects.size === 0) this.#byNode.delete(node)
  }

  #nodeOf(object: StoredObject): string {
    return object.fields(this.#fieldsOf)[NODE_FIELD] ?? ''
  }
}
