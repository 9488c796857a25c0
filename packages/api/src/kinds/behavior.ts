import type { NameRule } from '../meta/names.ts'
import type { FieldError } from '../status/field-error.ts'
import type { ObjectMeta } from '../generated/types/meta/v1.ts'

/** Any object of the API, when its kind does not matter. */
export interface KubeObject {
  apiVersion?: string | undefined
  kind?: string | undefined
  metadata: ObjectMeta
}

/** What a behavior may know besides the object. Pure: no clock and no I/O but these values. */
export interface BehaviorContext {
  /** Milliseconds since the epoch, at which the request is handled. */
  readonly nowMs: number
  /** User name of the caller. */
  readonly user: string
  /** Groups of the caller. */
  readonly groups: readonly string[]
}

/**
 * What the published schema cannot say about a kind. Every function is pure apart from changing `draft`, which the caller owns.
 * Absent functions mean: nothing to do. The server does by itself: metadata (name, uid, generation's increment on a changed
 * spec when `status` is a subresource, timestamps), dropping `status` on create (but see `keepsStatusOnCreate`) and on update of the main resource, dropping
 * everything but `status` and metadata on update of `/status`, and validation of metadata, types and required fields.
 */
export interface KindBehavior<T extends KubeObject = KubeObject> {
  /** What `metadata.name` must look like; absent means a DNS subdomain, as most kinds have it. */
  readonly nameRule?: NameRule | undefined
  /** True when who creates an object may give it a status; default false. */
  readonly keepsStatusOnCreate?: boolean | undefined
  /** Fills what is absent, as upstream's defaulting does. Idempotent. */
  readonly setDefaults?: ((draft: T) => void) | undefined
  /** Runs before validation on create, after the server's own preparation: sets what only the server decides. */
  readonly prepareForCreate?: ((draft: T, context: BehaviorContext) => void) | undefined
  readonly prepareForUpdate?: ((draft: T, old: Readonly<T>, context: BehaviorContext) => void) | undefined
  readonly prepareForStatusUpdate?: ((draft: T, old: Readonly<T>, context: BehaviorContext) => void) | undefined
  readonly validate?: ((object: Readonly<T>) => FieldError[]) | undefined
  /** Checks only what a create may not do; `validate` has run as well. */
  readonly validateCreate?: ((object: Readonly<T>) => FieldError[]) | undefined
  /** Checks only what an update may not do; `validate` has run as well. */
  readonly validateUpdate?: ((object: Readonly<T>, old: Readonly<T>) => FieldError[]) | undefined
  readonly validateStatusUpdate?: ((object: Readonly<T>, old: Readonly<T>) => FieldError[]) | undefined
  /** Sentences for `Warning:` headers; `old` on updates, so that what did not change is not warned of again. */
  readonly warnings?: ((object: Readonly<T>, old?: Readonly<T>) => string[]) | undefined
  /** False when every update bumps the generation or none does: see the kind. Default: bump when anything but metadata and status changes. */
  readonly hasGeneration?: boolean | undefined
  /** True when an update without a resourceVersion is allowed (upstream AllowUnconditionalUpdate); default true. */
  readonly allowUnconditionalUpdate?: boolean | undefined
  /** True when PUT may create (upstream AllowCreateOnUpdate: leases, services' … few); default false. */
  readonly allowCreateOnUpdate?: boolean | undefined
  /** Values for field selectors beyond `metadata.name` and `metadata.namespace`, such as `spec.nodeName`. */
  readonly selectableFields?: ((object: Readonly<T>) => Record<string, string>) | undefined
  /** Names accepted by field selectors, so that others are refused with 400. Must match the keys of `selectableFields`. */
  readonly selectableFieldNames?: readonly string[] | undefined
  /** Columns that `kubectl get` shows. Absent: Name and Age. */
  readonly columns?: readonly TableColumn[] | undefined
  /** One row, a cell a column. `nowMs` serves ages. */
  readonly row?: ((object: Readonly<T>, nowMs: number) => unknown[]) | undefined
  /** Grace for a delete that names none, in seconds; undefined: the kind is deleted at once (only Pods have grace). */
  readonly defaultGraceSeconds?: ((object: Readonly<T>) => number) | undefined
}

/** Source: meta.k8s.io/v1 TableColumnDefinition. `priority` 0 is always shown, 1 with `-o wide`. */
export interface TableColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  readonly format?: 'name' | 'duration' | '' | undefined
  readonly description: string
  readonly priority: 0 | 1
}
