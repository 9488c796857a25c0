interface Image {
  readonly id: number
  readonly bytes: number
  nodes: number
}

/** An image on some nodes. */
export interface KnownImage {
  readonly id: number
  readonly bytes: number
  readonly nodes: number
}

/** Images that nodes have, by name: a node holds numbers. An image has the size that the first node gave it, as upstream has it. */
export class ImageIndex {
  readonly #byName = new Map<string, Image>()
  readonly #names: string[] = []
  readonly #free: number[] = []
  /** Changes whenever what {@link find} says does. */
  version = 0

  find(name: string): KnownImage | undefined {
    return this.#byName.get(name)
  }

  /** The numbers of a node's images, ascending. */
  acquire(images: Iterable<readonly [name: string, bytes: number]>): Int32Array | undefined {
    const ids = new Set<number>()
    for (const [name, bytes] of images) {
      const image = this.#byName.get(name) ?? this.#add(name, bytes)
      if (ids.has(image.id)) continue
      ids.add(image.id)
      image.nodes++
    }
    if (ids.size === 0) return undefined
    this.version++
    return Int32Array.from(ids).sort()
  }

  release(ids: Int32Array | undefined): void {
    if (ids === undefined) return
    this.version++
    for (const id of ids) {
      const name = this.#names[id]!
      const image = this.#byName.get(name)!
      if (--image.nodes > 0) continue
      this.#byName.delete(name)
      this.#free.push(id)
    }
  }

  #add(name: string, bytes: number): Image {
    const image = { id: this.#free.pop() ?? this.#names.length, bytes, nodes: 0 }
    this.#names[image.id] = name
    this.#byName.set(name, image)
    return image
  }
}
