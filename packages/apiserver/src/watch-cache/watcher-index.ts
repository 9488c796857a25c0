import type { CacheEvent } from './cache-event.ts'
import type { FieldsOf } from './cached-object.ts'
import type { Watcher } from './watcher.ts'

/**
 * The watchers of one resource by what they select, so that an event costs its receivers only. Each stands in one place: by name,
 * else by `spec.nodeName`, else by namespace, else among those that see everything.
 */
export class WatcherIndex {
  readonly #all = new Set<Watcher>()
  readonly #byNamespace = new Map<string, Set<Watcher>>()
  readonly #byName = new Map<string, Set<Watcher>>()
  readonly #byNode = new Map<string, Set<Watcher>>()
  #fieldsOf: FieldsOf | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  add(watcher: Watcher): void {
    this.#size++
    const { nodeName } = watcher.selection
    if (nodeName !== undefined) this.#fieldsOf ??= watcher.selection.fieldsOf
    const place = this.#placeOf(watcher)
    if (place === undefined) {
      this.#all.add(watcher)
      return
    }
    const watchers = place.map.get(place.key)
    if (watchers === undefined) place.map.set(place.key, new Set([watcher]))
    else watchers.add(watcher)
  }

  delete(watcher: Watcher): void {
    const place = this.#placeOf(watcher)
    const watchers = place === undefined ? this.#all : place.map.get(place.key)
    if (watchers?.delete(watcher) !== true) return
    this.#size--
    if (place !== undefined && watchers.size === 0) place.map.delete(place.key)
  }

  /** Offers the event to all whom it may concern. */
  dispatch(event: CacheEvent): void {
    if (this.#size === 0) return
    offerAll(this.#all, event)
    if (this.#byNamespace.size > 0) offerAll(this.#byNamespace.get(event.object.namespace), event)
    if (this.#byName.size > 0) {
      offerAll(this.#byName.get(event.object.key), event)
      if (event.object.namespace !== '') offerAll(this.#byName.get(event.object.name), event)
    }
    if (this.#byNode.size > 0 && this.#fieldsOf !== undefined) this.#dispatchByNode(event, this.#fieldsOf)
  }

  *[Symbol.iterator](): Generator<Watcher, void> {
    yield* this.#all
    for (const map of [this.#byNamespace, this.#byName, this.#byNode]) {
      for (const watchers of map.values()) yield* watchers
    }
  }

  /** The object may have moved from one node's selection to another's. */
  #dispatchByNode(event: CacheEvent, fieldsOf: FieldsOf): void {
    const node = event.object.fields(fieldsOf)['spec.nodeName'] ?? ''
    const oldNode = event.previous?.fields(fieldsOf)['spec.nodeName'] ?? node
    offerAll(this.#byNode.get(node), event)
    if (oldNode !== node) offerAll(this.#byNode.get(oldNode), event)
  }

  #placeOf({ selection }: Watcher): { map: Map<string, Set<Watcher>>; key: string } | undefined {
    const { name, namespace, nodeName } = selection
    // The bare name stands for a cluster-scoped object, and for that name in any namespace.
    if (name !== '') return { map: this.#byName, key: namespace === '' ? name : `${namespace}/${name}` }
    if (nodeName !== undefined) return { map: this.#byNode, key: nodeName }
    if (namespace !== '') return { map: this.#byNamespace, key: namespace }
    return undefined
  }
}

function offerAll(watchers: Set<Watcher> | undefined, event: CacheEvent): void {
  if (watchers === undefined) return
  for (const watcher of watchers) watcher.offer(event)
}
