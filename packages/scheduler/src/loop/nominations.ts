const PREFIX = 'nominated/'

interface Nomination {
  /** Uid under which the room is kept. */
  readonly standIn: string
  readonly nodeName: string
}

/** Pods whose victims are on their way out: which node keeps room for which pod. */
export class Nominations {
  readonly #byPod = new Map<string, Nomination>()
  readonly #byNode = new Map<string, Set<string>>()

  /** Returns the uid under which the room is to be kept. */
  add(uid: string, nodeName: string): string {
    const standIn = PREFIX + uid
    this.#byPod.set(uid, { standIn, nodeName })
    const pods = this.#byNode.get(nodeName) ?? new Set<string>()
    this.#byNode.set(nodeName, pods.add(uid))
    return standIn
  }

  nodeOf(uid: string): string | undefined {
    return this.#byPod.get(uid)?.nodeName
  }

  /** Pod for which room is kept under a uid; undefined: it is a pod's own. */
  podOf(standIn: string): string | undefined {
    return standIn.startsWith(PREFIX) ? standIn.slice(PREFIX.length) : undefined
  }

  remove(uid: string): Nomination | undefined {
    const nomination = this.#byPod.get(uid)
    if (nomination === undefined) return undefined
    this.#byPod.delete(uid)
    const pods = this.#byNode.get(nomination.nodeName)
    pods?.delete(uid)
    if (pods?.size === 0) this.#byNode.delete(nomination.nodeName)
    return nomination
  }

  /** Pods for which the node keeps room. */
  on(nodeName: string): readonly string[] {
    return [...(this.#byNode.get(nodeName) ?? [])]
  }
}
