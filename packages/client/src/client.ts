import type { KubeObject, ResourceType, Stored } from '@centaurus/api'
import type { Status } from '@centaurus/api/meta/v1'

/**
 * The Kubernetes API of one tenant, for whoever uses it: controllers, the scheduler, node agents, tests. Over HTTP or within the
 * process; callers never know which. Every method throws `StatusError` when the server says no.
 * Objects that come back may be shared with others: never change them.
 */
export interface Client {
  get<T extends KubeObject>(type: ResourceType<T>, name: ObjectName, options?: CallOptions): Promise<Stored<T>>
  list<T extends KubeObject>(type: ResourceType<T>, options?: ListOptions): Promise<ObjectList<T>>
  /** The namespace comes from the object's metadata. */
  create<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<Stored<T>>
  /** Replaces; fails with Conflict when `metadata.resourceVersion` is set and stale. */
  update<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<Stored<T>>
  updateStatus<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<Stored<T>>
  patch<T extends KubeObject>(
    type: ResourceType<T>,
    name: ObjectName,
    patch: Patch,
    options?: PatchOptions,
  ): Promise<Stored<T>>
  /** Resolves to the object when it still exists (grace, finalizers), else to the server's Status. */
  delete<T extends KubeObject>(
    type: ResourceType<T>,
    name: ObjectName,
    options?: DeleteOptions,
  ): Promise<Stored<T> | Status>
  deleteCollection<T extends KubeObject>(type: ResourceType<T>, options?: ListOptions & DeleteOptions): Promise<void>
  watch<T extends KubeObject>(type: ResourceType<T>, options: ClientWatchOptions<T>): ClientWatch
  /** POST to a subresource such as `binding`, `eviction` or `token`; `Out` is what the server answers. */
  createSubresource<In, Out>(
    type: ResourceType<KubeObject>,
    name: ObjectName,
    subresource: string,
    body: In,
    options?: WriteOptions,
  ): Promise<Out>
  /** GET of a subresource such as `scale`. */
  getSubresource<Out>(
    type: ResourceType<KubeObject>,
    name: ObjectName,
    subresource: string,
    options?: CallOptions,
  ): Promise<Out>
  /** PUT of a subresource such as `scale`. */
  updateSubresource<In, Out>(
    type: ResourceType<KubeObject>,
    name: ObjectName,
    subresource: string,
    body: In,
    options?: WriteOptions,
  ): Promise<Out>
  /** Ends connections; watches end. */
  close(): Promise<void>
}

export interface ObjectName {
  /** Absent or '' for resources without a namespace. */
  readonly namespace?: string | undefined
  readonly name: string
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

export interface SelectOptions {
  /** Absent or '': all namespaces. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

export interface ListOptions extends CallOptions, SelectOptions {
  readonly limit?: number | undefined
  readonly continue?: string | undefined
  readonly resourceVersion?: string | undefined
}

export interface ObjectList<T> {
  readonly items: readonly Stored<T>[]
  readonly resourceVersion: string
  /** Token for the next page; undefined at the end. */
  readonly continue: string | undefined
}

export interface WriteOptions extends CallOptions {
  readonly dryRun?: boolean | undefined
  readonly fieldManager?: string | undefined
}

/** `apply` is server-side apply; its body names apiVersion, kind and metadata.name. */
export type Patch =
  | { readonly type: 'json'; readonly body: readonly JsonPatchOperation[] }
  | { readonly type: 'merge' | 'strategic' | 'apply'; readonly body: object }

export interface JsonPatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test'
  readonly path: string
  readonly from?: string | undefined
  readonly value?: unknown
}

export interface PatchOptions extends WriteOptions {
  /** `status`, `scale` …; absent: the object itself. */
  readonly subresource?: string | undefined
  /** For `apply`: take over fields that others own. */
  readonly force?: boolean | undefined
}

export interface DeleteOptions extends CallOptions {
  readonly gracePeriodSeconds?: number | undefined
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground' | undefined
  readonly preconditions?:
    | { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined }
    | undefined
  readonly dryRun?: boolean | undefined
}

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED'

export interface ClientWatchOptions<T> extends SelectOptions {
  /** Events after this one; absent: the current state as ADDED events first. */
  readonly resourceVersion?: string | undefined
  readonly onEvent: (type: WatchEventType, object: Stored<T>) => void
  /** A resourceVersion up to which everything was delivered. */
  readonly onBookmark?: ((resourceVersion: string) => void) | undefined
  /** Called once, last. An `Expired` error: list again. Undefined: the server or the caller closed; resume from the last version. */
  readonly onEnd: (error: Error | undefined) => void
}

export interface ClientWatch {
  close(): void
}
