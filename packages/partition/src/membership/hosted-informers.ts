import {
  objectKey,
  ORIGIN_ANNOTATION,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
  type KubeObject,
  type ObjectKey,
  type ResourceType,
  type Stored,
} from '@centaurus/api'
import type { Logger } from '@centaurus/base'
import type { Informer, InformerFactory, InformerHandler, SelectOptions } from '@centaurus/client'

/** Which tenants' objects are to be seen. */
export interface Hosting {
  isHosted(tenant: string): boolean
  /** Calls with the name of each tenant for which that may have changed, after the change. Returns what removes it. */
  onChange(listener: (tenant: string) => void): () => void
}

/** What belongs to the partition itself and not to a tenant: it is never a copy. */
const OWN_RESOURCES: ReadonlySet<string> = new Set([
  '/nodes',
  'coordination.k8s.io/leases',
  'storage.k8s.io/csinodes',
  'certificates.k8s.io/certificatesigningrequests',
  'scheduling.k8s.io/priorityclasses',
  'storage.k8s.io/storageclasses',
  'node.k8s.io/runtimeclasses',
  'apiextensions.k8s.io/customresourcedefinitions',
  'apiregistration.k8s.io/apiservices',
  'centaurus.io/networkreports',
  'centaurus.io/partitions',
  'centaurus.io/remotenodes',
  'centaurus.io/tenants',
])

/**
 * Informers over a view of all tenants that show what this partition is to act on, and hide the copies that it holds for its nodes:
 * to a controller these would look like objects whose owners are gone. A tenant that moves in appears, and one that moves away
 * disappears, at the moment when the registry says so.
 */
export function createHostedInformers(inner: InformerFactory, hosting: Hosting, logger: Logger): InformerFactory {
  const informers = new Map<Informer<KubeObject>, HostedInformer<KubeObject>>()
  const isOwn = ({ group, resource }: ResourceType<KubeObject>): boolean => OWN_RESOURCES.has(`${group}/${resource}`)
  return {
    informer<T extends KubeObject>(type: ResourceType<T>, select?: SelectOptions): Informer<T> {
      const source = inner.informer(type, select)
      if (isOwn(type)) return source
      const key = source as unknown as Informer<KubeObject> // only its identity counts
      let found = informers.get(key)
      if (found === undefined) informers.set(key, (found = new HostedInformer<KubeObject>(key, hosting, logger)))
      return found as unknown as Informer<T>
    },
    release(type, select) {
      const source = inner.informer(type, select) as unknown as Informer<KubeObject>
      informers.get(source)?.close()
      informers.delete(source)
      inner.release(type, select)
    },
    whenSynced: (signal) => inner.whenSynced(signal),
    async close() {
      for (const informer of informers.values()) informer.close()
      informers.clear()
      await inner.close()
    },
  }
}

class HostedInformer<T extends KubeObject> implements Informer<T> {
  readonly #source: Informer<T>
  readonly #hosting: Hosting
  readonly #logger: Logger
  readonly #handlers = new Set<InformerHandler<T>>()
  /** Keys of what the source has and is not shown. */
  readonly #hidden = new Set<ObjectKey>()
  readonly #removes: (() => void)[]

  constructor(source: Informer<T>, hosting: Hosting, logger: Logger) {
    this.#source = source
    this.#hosting = hosting
    this.#logger = logger
    this.#removes = [
      source.addHandler({
        onAdd: (object) => this.#added(object),
        onUpdate: (object, old) => this.#updated(object, old),
        onDelete: (object) => this.#deleted(object),
      }),
      onFlip(hosting, (tenant) => this.#hostingChanged(tenant)),
    ]
  }

  get synced(): boolean {
    return this.#source.synced
  }

  get resourceVersion(): string {
    return this.#source.resourceVersion
  }

  get(key: ObjectKey): Stored<T> | undefined {
    return this.#hidden.has(key) ? undefined : this.#source.get(key)
  }

  list(namespace?: string): readonly Stored<T>[] {
    return this.#shown(this.#source.list(namespace))
  }

  byIndex(index: string, value: string): readonly Stored<T>[] {
    return this.#shown(this.#source.byIndex(index, value))
  }

  addIndex(name: string, values: (object: Stored<T>) => readonly string[]): void {
    this.#source.addIndex(name, values)
  }

  addHandler(handler: InformerHandler<T>): () => void {
    const own = { ...handler } // the same handler may be added twice, and each removed alone
    this.#handlers.add(own)
    for (const object of this.list()) this.#deliver(() => own.onAdd?.(object))
    return () => void this.#handlers.delete(own)
  }

  whenSynced(signal?: AbortSignal): Promise<void> {
    return this.#source.whenSynced(signal)
  }

  close(): void {
    for (const remove of this.#removes) remove()
    this.#handlers.clear()
  }

  #shown(objects: readonly Stored<T>[]): readonly Stored<T>[] {
    if (this.#hidden.size === 0) return objects
    return objects.filter((object) => !this.#hidden.has(objectKey(object)))
  }

  #added(object: Stored<T>): void {
    if (this.#isShown(object)) this.#tell((handler) => handler.onAdd?.(object))
    else this.#hidden.add(objectKey(object))
  }

  #updated(object: Stored<T>, old: Stored<T>): void {
    const key = objectKey(object)
    const isShown = this.#isShown(object)
    if (this.#hidden.has(key) === !isShown) {
      if (isShown) this.#tell((handler) => handler.onUpdate?.(object, old))
    } else this.#turn(object, { isShown })
  }

  #deleted(object: Stored<T>): void {
    if (!this.#hidden.delete(objectKey(object))) this.#tell((handler) => handler.onDelete?.(object))
  }

  #hostingChanged(tenant: string): void {
    for (const object of this.#source.list()) {
      if (tenantOf(object) !== tenant) continue
      const isShown = this.#isShown(object)
      if (this.#hidden.has(objectKey(object)) === isShown) this.#turn(object, { isShown })
    }
  }

  /** Also `system` has copies: of home's system pods. */
  #isShown(object: Stored<T>): boolean {
    return object.metadata.annotations?.[ORIGIN_ANNOTATION] === undefined && this.#hosting.isHosted(tenantOf(object))
  }

  /** Shows what was hidden, or hides what was shown. */
  #turn(object: Stored<T>, { isShown }: { readonly isShown: boolean }): void {
    if (isShown) this.#hidden.delete(objectKey(object))
    else this.#hidden.add(objectKey(object))
    this.#tell((handler) => (isShown ? handler.onAdd?.(object) : handler.onDelete?.(object)))
  }

  #tell(call: (handler: InformerHandler<T>) => void): void {
    for (const handler of this.#handlers) this.#deliver(() => call(handler))
  }

  /** A handler that throws is a bug of its owner; the others still hear of the event. */
  #deliver(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#logger.error('Informer handler failed', { error })
    }
  }
}

/** Tenants change far more often than they move, and then nothing here does. */
function onFlip(hosting: Hosting, listener: (tenant: string) => void): () => void {
  const known = new Map<string, boolean>()
  return hosting.onChange((tenant) => {
    const isHosted = hosting.isHosted(tenant)
    if (known.get(tenant) === isHosted) return
    known.set(tenant, isHosted)
    listener(tenant)
  })
}

function tenantOf({ metadata }: Readonly<KubeObject>): string {
  return metadata.annotations?.[TENANT_ANNOTATION] ?? SYSTEM_TENANT
}
