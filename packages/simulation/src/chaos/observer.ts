import { isStatus, objectKey, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import type { Client, ClientWatch, WatchEventType } from '@centaurus/client'
import type { Clock } from '@centaurus/base'

/** Wait before a lost watch is opened again. */
const RESUME_MS = 500

export interface Observation {
  readonly type: WatchEventType
  readonly revision: number
  readonly object: Stored<KubeObject>
  /** False: found out by listing again. */
  readonly isWatched: boolean
}

/** What was watched before ended early; the list at revision `until` took its place. */
export interface Gap {
  readonly until: number
  /** Of the first event that was watched again. */
  readonly index: number
}

export interface ObserverOptions {
  readonly name: string
  readonly client: Client
  readonly type: ResourceType<KubeObject>
  readonly clock: Clock
  /** Called for each event, in order. */
  readonly onEvent?: ((event: Observation) => void) | undefined
}

/** One resource's history as a client sees it that resumes its watch from the last event. */
export interface Observer {
  readonly type: ResourceType<KubeObject>
  /** Everything since the start, in order. */
  readonly events: readonly Observation[]
  /** The objects there are, after those events. */
  readonly state: ReadonlyMap<string, Stored<KubeObject>>
  /** Revisions of the lists that it began with again, because the server had forgotten too much to resume. */
  readonly gaps: readonly Gap[]
  /** What a watch must never do. */
  readonly problems: readonly string[]
  close(): void
}

export function startObserver(options: ObserverOptions): Observer {
  return new ResumingObserver(options)
}

class ResumingObserver implements Observer {
  readonly type: ResourceType<KubeObject>
  readonly events: Observation[] = []
  readonly state = new Map<string, Stored<KubeObject>>()
  readonly problems: string[] = []
  readonly gaps: Gap[] = []
  readonly #options: ObserverOptions
  readonly #versions: Map<string, number> = new Map()
  #watch: ClientWatch | undefined
  #from: string | undefined = '1'
  #closed = false

  constructor(options: ObserverOptions) {
    this.#options = options
    this.type = options.type
    void this.#open()
  }

  close(): void {
    this.#closed = true
    this.#watch?.close()
  }

  async #open(): Promise<void> {
    if (this.#closed) return
    try {
      this.#from ??= await this.#relist()
    } catch {
      return this.#openLater()
    }
    this.#watch = this.#options.client.watch(this.type, {
      resourceVersion: this.#from,
      onEvent: (type, object) => this.#take(type, object),
      onBookmark: (version) => this.#bookmark(version),
      onEnd: (error) => {
        if (isStatus(error, 'Expired') || isStatus(error, 'Gone')) this.#from = undefined
        this.#openLater()
      },
    })
  }

  #openLater(): void {
    if (!this.#closed) this.#options.clock.setTimer(RESUME_MS, () => void this.#open())
  }

  async #relist(): Promise<string> {
    const { items, resourceVersion } = await this.#options.client.list(this.type)
    if (this.#closed) return resourceVersion
    const listed = new Map(items.map((item) => [objectKey(item), item]))
    for (const known of this.state.values()) {
      if (listed.get(objectKey(known))?.metadata.uid !== known.metadata.uid) this.#record('DELETED', known)
    }
    const inOrder = items.toSorted((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
    for (const item of inOrder) {
      const known = this.state.get(objectKey(item))
      if (known?.metadata.resourceVersion === item.metadata.resourceVersion) continue
      this.#record(known === undefined ? 'ADDED' : 'MODIFIED', item)
    }
    this.gaps.push({ until: Number(resourceVersion), index: this.events.length })
    return resourceVersion
  }

  #bookmark(version: string): void {
    if (Number(version) < Number(this.#from)) this.#complain(`a bookmark went back from ${this.#from} to ${version}`)
    this.#from = version
  }

  #take(type: WatchEventType, object: Stored<KubeObject>): void {
    const { resourceVersion } = object.metadata
    const key = objectKey(object)
    if (Number(resourceVersion) < Number(this.#from)) {
      this.#complain(`${key} came with ${resourceVersion} after ${this.#from}`)
    }
    if (Number(resourceVersion) <= (this.#versions.get(key) ?? 0)) {
      this.#complain(`${key} came with ${resourceVersion} again or too late`)
    }
    const known = this.state.has(key)
    if (known !== (type !== 'ADDED'))
      this.#complain(`${key} was ${type} at ${resourceVersion} while ${known ? '' : 'not '}there`)
    this.#versions.set(key, Number(resourceVersion))
    this.#from = resourceVersion
    this.#record(type, object, true)
  }

  #record(type: WatchEventType, object: Stored<KubeObject>, isWatched = false): void {
    if (type === 'DELETED') this.state.delete(objectKey(object))
    else this.state.set(objectKey(object), object)
    const event = { type, revision: Number(object.metadata.resourceVersion), object, isWatched }
    this.events.push(event)
    this.#options.onEvent?.(event)
  }

  #complain(what: string): void {
    this.problems.push(`${this.#options.name} of ${this.type.resource}: ${what}`)
  }
}
