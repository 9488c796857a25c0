import type { KubeObject } from '../kinds/behavior.ts'
import type { ManagedFieldsEntry } from '../generated/types/meta/v1.ts'
import { formatTime } from '../meta/time.ts'
import { isRecord } from '../meta/values.ts'
import { emptyObject } from '../schema/fill-zeros.ts'
import type { StructSchema } from '../schema/schema.ts'
import { compareObjects, withoutFields, type Comparison } from './compare.ts'
import { setOfPaths, subtractSubtrees, unionSets, type FieldSet } from './field-set.ts'
import { capUpdateManagers, isReset, managerKey, readManagers, writeManagers, type Managers } from './managers.ts'
import { ownedEntry, takeOwnership } from './ownership.ts'
import { FieldTypeError } from './path-element.ts'
import { DEDUCED } from './node-schema.ts'

export interface TrackUpdateInput<T extends KubeObject> {
  /** The stored object; undefined for a create. Not changed. */
  readonly live: Readonly<T> | undefined
  /** The object as it will be stored, with defaults. Not changed. */
  readonly updated: Readonly<T>
  /** Absent: nothing is known of the kind, and lists count as wholes. */
  readonly schema?: StructSchema | undefined
  /** `fieldManager` of the request, or the first part of its user agent. */
  readonly manager: string
  readonly nowMs: number
  /** Version in which the request came, such as `apps/v1`. */
  readonly apiVersion: string
  /** Such as `status`; empty or absent for the main resource. */
  readonly subresource?: string | undefined
  /** Fields that this request may not set and so does not own, such as `status`; see {@link resetFieldsOf}. */
  readonly resetFields?: FieldSet | undefined
}

/**
 * `updated` with `metadata.managedFields` as they are after a create, an update or a patch that is no apply: the manager owns what
 * it added or changed, the others lose it. Shares everything but `metadata` with `updated`; where nothing changed that is all.
 * Entries of other versions are compared as if the fields had the same names in both.
 * Costs about 15 µs for a status change of a 2.6 KB Pod that shares the rest with `live`, 40 µs for its creation or when nothing
 * is shared.
 * Source: apimachinery pkg/util/managedfields (fieldmanager.go and the managers it stacks), structured-merge-diff/v6 merge/update.go.
 */
export function trackUpdate<T extends KubeObject>(input: TrackUpdateInput<T>): T {
  const { live, updated } = input
  const managers = startingManagers(input)
  if (managers === undefined) return withManagedFields(updated, live?.metadata.managedFields)
  const isTracked = managers.size > 0 || live === undefined || live.metadata.uid === undefined
  if (!isTracked) return withManagedFields(updated, undefined)
  try {
    recordUpdate(managers, live ?? {}, input)
  } catch (error) {
    // A stored object that its schema can't describe must not stop updates: upstream too keeps the old entries.
    if (error instanceof FieldTypeError) return withManagedFields(updated, live?.metadata.managedFields)
    throw error
  }
  return withManagedFields(updated, writeManagers(managers))
}

/** What {@link TrackUpdateInput.resetFields} takes: whole subtrees, such as `['status']`. */
export function resetFieldsOf(...paths: readonly (readonly string[])[]): FieldSet {
  return setOfPaths(paths)
}

/** Records in `managers` what `updated` changed. Also for the fields of an object that nobody managed before its first apply. */
export function recordUpdate(
  managers: Managers,
  live: object,
  input: Omit<TrackUpdateInput<KubeObject>, 'live'>,
): void {
  const change = compareForUpdate(live, input)
  takeOwnership(managers, '', change)
  const identity = {
    manager: input.manager === '' ? 'unknown' : input.manager,
    operation: 'Update',
    apiVersion: input.apiVersion,
    subresource: input.subresource ?? '',
  } as const
  const key = managerKey(identity)
  const previous = managers.get(key)
  // Own fields that changed were taken above with everybody's, so that a removal also counts for oneself.
  const changed = unionSets(change.modified, change.added)
  const own = ownedEntry({
    ...identity,
    time: formatTime(input.nowMs),
    fields: withoutReset(changed, input.resetFields),
  })
  if (own !== undefined) {
    const fields = previous === undefined ? own.fields : unionSets(own.fields, previous.fields)
    managers.set(key, { ...own, fields })
  }
  capUpdateManagers(managers)
}

function compareForUpdate(live: object, input: Omit<TrackUpdateInput<KubeObject>, 'live'>): Comparison {
  const schema = input.schema ?? DEDUCED
  const before = withEmptyParts(live, input.updated, schema)
  const comparison = compareObjects(before, input.updated as unknown as Record<string, unknown>, schema)
  return withoutFields(withoutManagedFields(comparison), input.resetFields)
}

const MANAGED_FIELDS = setOfPaths([['metadata', 'managedFields']])

function withoutManagedFields(comparison: Comparison): Comparison {
  return withoutFields(comparison, MANAGED_FIELDS)
}

/**
 * Upstream's objects have their structs that are no pointers before anything is set in them, so nobody owns those for having
 * created the object. Of custom resources and unknown kinds that is so for metadata alone.
 */
function withEmptyParts(live: object, updated: object, schema: StructSchema): Record<string, unknown> {
  const before: Record<string, unknown> = { ...emptyObject(schema), ...live }
  if (before['metadata'] === undefined && isRecord((updated as Record<string, unknown>)['metadata']))
    before['metadata'] = {}
  return before
}

function withoutReset(fields: FieldSet, reset: FieldSet | undefined): FieldSet {
  return reset === undefined ? fields : subtractSubtrees(fields, reset)
}

/** The entries that the update starts from; undefined to leave them alone. */
function startingManagers<T extends KubeObject>({
  live,
  updated,
  subresource,
}: TrackUpdateInput<T>): Managers | undefined {
  const stored = readManagers(live?.metadata.managedFields) ?? new Map()
  if ((subresource ?? '') !== '') return stored
  const requested = updated.metadata.managedFields
  if (isReset(requested)) return new Map()
  if (requested === undefined || requested === live?.metadata.managedFields) return stored
  const read = readManagers(requested)
  return read === undefined || read.size === 0 ? stored : read
}

/** A shallow copy with these entries. */
export function withManagedFields<T extends KubeObject>(
  object: Readonly<T>,
  entries: ManagedFieldsEntry[] | undefined,
): T {
  const { managedFields: _old, ...metadata } = object.metadata ?? {}
  return { ...object, metadata: entries === undefined ? metadata : { ...metadata, managedFields: entries } }
}
