import type { KubeObject } from '../kinds/behavior.ts'
import { formatTime } from '../meta/time.ts'
import { deepClone, deepEqual, isRecord } from '../meta/values.ts'
import type { StructSchema } from '../schema/schema.ts'
import { badRequest } from '../status/status-error.ts'
import { compareObjects, withoutFields } from './compare.ts'
import { conflictError, conflictsOutside, type Conflict } from './conflicts.ts'
import {
  EMPTY_SET,
  intersectSets,
  isEmptySet,
  subtractSets,
  subtractSubtrees,
  unionSets,
  type FieldSet,
} from './field-set.ts'
import { fieldSetOf, withDeclaredParents } from './field-set-of.ts'
import { managerKey, readManagers, writeManagers, type Managers } from './managers.ts'
import { mergeObjects } from './merge-objects.ts'
import { DEDUCED, withoutEmptied } from './node-schema.ts'
import { findConflicts, ownedEntry, takeOwnership } from './ownership.ts'
import { FieldTypeError } from './path-element.ts'
import { removeFields } from './remove-fields.ts'
import { recordUpdate, withManagedFields } from './track-update.ts'
import { describeTypeProblems } from './validate-patch.ts'

export interface ApplyInput<T extends KubeObject> {
  /** The stored object; undefined when the apply creates it. Not changed. */
  readonly live: Readonly<T> | undefined
  /** The body, parsed, with `apiVersion` and `kind`. Not changed. */
  readonly patch: Readonly<Record<string, unknown>>
  /** Absent: nothing is known of the kind; maps merge by member, lists are replaced. */
  readonly schema?: StructSchema | undefined
  readonly manager: string
  /** Take fields from others instead of refusing. */
  readonly force?: boolean | undefined
  readonly nowMs: number
  /** What the path of the request stands for. */
  readonly apiVersion: string
  readonly kind: string
  readonly subresource?: string | undefined
  /** As in `trackUpdate`. */
  readonly resetFields?: FieldSet | undefined
}

export interface Applied<T> {
  /** Fresh. Not yet in stored form nor defaulted: pass it through `decodePatched`, defaults and validation as any patch. */
  readonly object: T
  /** False when the values stay as they are (managedFields may differ still). */
  readonly changed: boolean
}

const BEFORE_FIRST_APPLY = 'before-first-apply'
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
/** Upstream drops the annotation rather than store one this large. Source: managedfields internal/lastapplied.go. */
const LAST_APPLIED_BYTES_MAX = 256 * 1024

type Members = Record<string, unknown>

/**
 * Server-side apply: sets what `patch` says, removes what the manager applied before and now leaves out (unless others own it), and
 * records who owns what. Throws Conflict (409) when others own a field with another value, BadRequest for a patch that does not
 * fit (where upstream answers 500).
 * Source: apimachinery pkg/util/managedfields, structured-merge-diff/v6 merge/update.go Apply.
 */
export function applyPatch<T extends KubeObject>(input: ApplyInput<T>): Applied<T> {
  checkPatch(input)
  try {
    return applyChecked(input)
  } catch (error) {
    if (error instanceof FieldTypeError)
      throw badRequest(`failed to create typed live object (${describeTarget(input)}): ${error.message}`)
    throw error
  }
}

function checkPatch<T extends KubeObject>(input: ApplyInput<T>): void {
  const { patch, apiVersion, kind } = input
  if (patch['apiVersion'] !== apiVersion || patch['kind'] !== kind) {
    throw badRequest(`invalid object type: ${String(patch['apiVersion'] ?? '')}, Kind=${String(patch['kind'] ?? '')}`)
  }
  const metadata = patch['metadata']
  if (isRecord(metadata) && (metadata['managedFields'] ?? null) !== null)
    throw badRequest('metadata.managedFields must be nil')
  const problems = describeTypeProblems(patch, input.schema ?? DEDUCED)
  if (problems !== undefined)
    throw badRequest(`failed to create typed patch object (${describeTarget(input)}): ${problems}`)
}

function describeTarget({
  patch,
  apiVersion,
  kind,
}: Pick<ApplyInput<KubeObject>, 'patch' | 'apiVersion' | 'kind'>): string {
  const metadata = isRecord(patch['metadata']) ? patch['metadata'] : {}
  return `${String(metadata['namespace'] ?? '')}/${String(metadata['name'] ?? '')}; ${apiVersion}, Kind=${kind}`
}

function applyChecked<T extends KubeObject>(input: ApplyInput<T>): Applied<T> {
  const { manager, nowMs, apiVersion, resetFields } = input
  const schema = input.schema ?? DEDUCED
  const live = input.live === undefined ? emptyObject(input) : plainMembers(input.live)
  const managers = managersBefore(input)
  const identity = { manager, operation: 'Apply', apiVersion, subresource: input.subresource ?? '' } as const
  const key = managerKey(identity)
  const previous = managers.get(key)
  const set = withoutReset(fieldSetOf(input.patch, schema), resetFields)
  managers.set(key, { ...identity, time: previous?.time, fields: set })
  const merged = mergeObjects(live, input.patch, schema)
  const pruned = prune(merged, { schema, managers, set, last: previous?.fields ?? EMPTY_SET })

  const change = withoutFields(compareObjects(live, pruned, schema), resetFields)
  const conflicts = findConflicts(managers, key, change)
  if (conflicts.length > 0 && input.force !== true) refuseConflicts(conflicts, live, input)
  takeOwnership(managers, key, change)
  const object = withoutEmptied(pruned) as Members
  const changed = !deepEqual(live, object)
  const entry = ownedEntry({
    ...identity,
    time: changed ? formatTime(nowMs) : (previous?.time ?? formatTime(nowMs)),
    fields: set,
  })
  if (entry === undefined) managers.delete(key)
  else managers.set(key, entry)
  const result = deepClone(object)
  if (manager === 'kubectl') updateLastApplied(result, input.patch)
  return { object: withManagedFields<T>(result as unknown as T, writeManagers(managers)), changed }
}

function emptyObject({ apiVersion, kind }: ApplyInput<KubeObject>): Members {
  return { apiVersion, kind, metadata: {} }
}

/** The object without its entries: they are not fields that someone applies. */
function plainMembers(object: KubeObject): Members {
  return withManagedFields<KubeObject>(object, undefined) as unknown as Members
}

/** Values that were there before anybody applied belong to an entry of their own. */
function managersBefore<T extends KubeObject>(input: ApplyInput<T>): Managers {
  const { live } = input
  const managers = readManagers(live?.metadata.managedFields)
  if (managers === undefined) throw badRequest('failed to decode managed fields: operation must be `Apply` or `Update`')
  if (managers.size > 0 || live === undefined) return managers
  recordUpdate(
    managers,
    {},
    { ...input, updated: withManagedFields<KubeObject>(live, undefined), manager: BEFORE_FIRST_APPLY },
  )
  return managers
}

interface PruneInput {
  readonly schema: StructSchema
  readonly managers: Managers
  /** What the manager applies now, and what it applied last time. */
  readonly set: FieldSet
  readonly last: FieldSet
}

/** Takes away what the manager applied last time and not now, unless somebody else owns it or something below it. */
function prune(merged: Members, { schema, managers, set, last }: PruneInput): Members {
  if (isEmptySet(subtractSets(last, set))) return merged
  const all = [...managers.values()].reduce((sum, entry) => unionSets(sum, entry.fields), EMPTY_SET)
  const root = { type: 'struct', struct: () => schema } as const
  const declared = (set: FieldSet): FieldSet => withDeclaredParents(set, root)
  const lastFields = declared(last)
  const bare = removeFields(merged, lastFields, schema)
  const mergedSet = declared(fieldSetOf(merged, schema))
  const kept = unionSets(declared(fieldSetOf(bare, schema)), declared(all))
  const owned = removeFields(merged, subtractSets(mergedSet, kept), schema)
  const ownedSet = declared(fieldSetOf(owned, schema))
  return removeFields(merged, intersectSets(subtractSets(mergedSet, ownedSet), lastFields), schema)
}

function withoutReset(fields: FieldSet, reset: FieldSet | undefined): FieldSet {
  return reset === undefined ? fields : subtractSubtrees(fields, reset)
}

/** kubectl may overwrite what its own client-side apply set before. Source: managedfields internal/lastappliedmanager.go. */
function refuseConflicts<T extends KubeObject>(
  conflicts: readonly Conflict[],
  live: Members,
  input: ApplyInput<T>,
): void {
  const allowed = input.manager === 'kubectl' ? lastAppliedFields(live, input) : EMPTY_SET
  const left = conflictsOutside(conflicts, allowed)
  if (left.length > 0) throw conflictError(left)
}

/** The fields of the last-applied annotation that still have its values. */
function lastAppliedFields<T extends KubeObject>(live: Members, input: ApplyInput<T>): FieldSet {
  const text = input.live?.metadata.annotations?.[LAST_APPLIED]
  if (text === undefined || text === '') return EMPTY_SET
  const schema = input.schema ?? DEDUCED
  try {
    const applied: unknown = JSON.parse(text)
    if (!isRecord(applied) || applied['apiVersion'] !== input.apiVersion) return EMPTY_SET
    const { added, modified, removed } = compareObjects(applied, live, schema)
    return subtractSets(subtractSets(subtractSets(fieldSetOf(applied, schema), modified), added), removed)
  } catch {
    return EMPTY_SET // an annotation that we can't read allows nothing, as upstream
  }
}

/** Keeps the annotation of client-side apply in step, where there is one. Source: managedfields internal/lastappliedupdater.go. */
function updateLastApplied(object: Members, patch: Readonly<Members>): void {
  const metadata = isRecord(object['metadata']) ? object['metadata'] : undefined
  const annotations = isRecord(metadata?.['annotations']) ? metadata['annotations'] : undefined
  if (annotations === undefined || typeof annotations[LAST_APPLIED] !== 'string' || annotations[LAST_APPLIED] === '')
    return
  const copy = deepClone(patch)
  const own = isRecord(copy['metadata']) ? copy['metadata'] : {}
  if (isRecord(own['annotations'])) delete own['annotations'][LAST_APPLIED]
  const text = `${JSON.stringify(copy)}\n`
  if (text.length > LAST_APPLIED_BYTES_MAX) delete annotations[LAST_APPLIED]
  else annotations[LAST_APPLIED] = text
}
