import type { ManagedFieldsEntry } from '../generated/types/meta/v1.ts'
import { parseTime } from '../meta/time.ts'
import { EMPTY_SET, isEmptySet, unionSets, type FieldSet } from './field-set.ts'

/** Entries of operation Update kept; the oldest are joined. Source: managedfields DefaultMaxUpdateManagers. */
export const UPDATE_MANAGERS_MAX = 10
/** Name of the joined entries. Source: managedfields capmanagers.go. */
const ANCIENT_CHANGES = 'ancient-changes'

/** One entry of `metadata.managedFields`. */
export interface ManagerEntry {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  /** Empty for the main resource. */
  readonly subresource: string
  /** RFC 3339; absent in entries that never had one. */
  readonly time: string | undefined
  readonly fields: FieldSet
}

/** Entries by {@link managerKey}. */
export type Managers = Map<string, ManagerEntry>

/** Entries with equal keys are one. For Apply the version does not count: it changes with each apply. */
export function managerKey(entry: Pick<ManagerEntry, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string {
  const version = entry.operation === 'Apply' ? '' : entry.apiVersion
  return `${entry.operation}\n${version}\n${entry.subresource}\n${entry.manager}`
}

/** Reads `managedFields`; undefined when an entry is malformed, which upstream takes for no entries at all. */
export function readManagers(entries: readonly ManagedFieldsEntry[] | undefined): Managers | undefined {
  const managers: Managers = new Map()
  for (const raw of entries ?? []) {
    const { operation, apiVersion = '', fieldsType } = raw
    if ((operation !== 'Apply' && operation !== 'Update') || apiVersion === '' || fieldsType !== 'FieldsV1')
      return undefined
    const entry: ManagerEntry = {
      manager: raw.manager ?? '',
      operation,
      apiVersion,
      subresource: raw.subresource ?? '',
      time: raw.time,
      fields: (raw.fieldsV1 as FieldSet | undefined) ?? EMPTY_SET,
    }
    managers.set(managerKey(entry), entry)
  }
  return managers
}

/** Writes entries in upstream's order: operation, time, manager, version, subresource. Undefined when there are none. */
export function writeManagers(managers: Managers): ManagedFieldsEntry[] | undefined {
  const entries = [...managers.values()].filter((entry) => !isEmptySet(entry.fields))
  if (entries.length === 0) return undefined
  return entries.toSorted(compareEntries).map((entry) => ({
    manager: entry.manager,
    operation: entry.operation,
    apiVersion: entry.apiVersion,
    ...(entry.time === undefined ? {} : { time: entry.time }),
    fieldsType: 'FieldsV1',
    fieldsV1: entry.fields as Record<string, unknown>,
    ...(entry.subresource === '' ? {} : { subresource: entry.subresource }),
  }))
}

function compareEntries(a: ManagerEntry, b: ManagerEntry): number {
  return (
    compareText(a.operation, b.operation) ||
    secondsOf(a) - secondsOf(b) ||
    compareText(a.manager, b.manager) ||
    compareText(a.apiVersion, b.apiVersion) ||
    compareText(a.subresource, b.subresource)
  )
}

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1
}

function secondsOf(entry: ManagerEntry): number {
  return entry.time === undefined ? 0 : Math.floor((parseTime(entry.time) ?? 0) / 1000)
}

/** Joins the oldest Update entries of a version until at most {@link UPDATE_MANAGERS_MAX} are left. */
export function capUpdateManagers(managers: Managers): void {
  const updaters = [...managers].filter(([, entry]) => entry.operation === 'Update')
  let surplus = updaters.length - UPDATE_MANAGERS_MAX
  if (surplus <= 0) return
  updaters.sort(([, a], [, b]) => secondsOf(a) - secondsOf(b) || compareText(a.manager, b.manager))
  const firstOfVersion = new Map<string, string>()
  for (const [key, entry] of updaters) {
    if (surplus <= 0) return
    const first = firstOfVersion.get(entry.apiVersion)
    if (first === undefined) {
      firstOfVersion.set(entry.apiVersion, key)
      continue
    }
    const bucket: ManagerEntry = { ...entry, manager: ANCIENT_CHANGES, subresource: '' }
    const bucketKey = managerKey(bucket)
    const earlier = managers.get(bucketKey) ?? managers.get(first)
    if (first !== bucketKey) managers.delete(first)
    managers.delete(key)
    managers.set(bucketKey, { ...bucket, fields: unionSets(entry.fields, earlier?.fields ?? EMPTY_SET) })
    surplus--
  }
}

/** `managedFields: []` or `[{}]` in a request asks to forget all entries. */
export function isReset(entries: readonly ManagedFieldsEntry[] | undefined): boolean {
  if (entries === undefined) return false
  return entries.length === 0 || (entries.length === 1 && Object.keys(entries[0]!).length === 0)
}
