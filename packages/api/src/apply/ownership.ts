import type { Comparison } from './compare.ts'
import { listConflicts, type Conflict } from './conflicts.ts'
import { intersectSets, isEmptySet, setOfPaths, subtractSets, unionSets } from './field-set.ts'
import type { ManagerEntry, Managers } from './managers.ts'

/** Fields that nobody owns. Source: managedfields internal/stripmeta.go. */
export const UNOWNED_FIELDS = setOfPaths([
  ['apiVersion'],
  ['kind'],
  ['metadata'],
  ['metadata', 'name'],
  ['metadata', 'namespace'],
  ['metadata', 'creationTimestamp'],
  ['metadata', 'selfLink'],
  ['metadata', 'uid'],
  ['metadata', 'clusterName'],
  ['metadata', 'generation'],
  ['metadata', 'managedFields'],
  ['metadata', 'resourceVersion'],
])

/** What others own and a change would take from them. */
export function findConflicts(managers: Managers, ownKey: string, change: Comparison): Conflict[] {
  const changed = unionSets(change.modified, change.added)
  if (isEmptySet(changed)) return []
  return [...managers].flatMap(([key, entry]) =>
    key === ownKey ? [] : listConflicts(entry, intersectSets(entry.fields, changed)),
  )
}

/** Takes from everybody but `ownKey` what a change set or removed. Entries that own nothing any more go. */
export function takeOwnership(managers: Managers, ownKey: string, change: Comparison): void {
  for (const [key, entry] of managers) {
    if (key === ownKey) continue
    let fields = subtractSets(entry.fields, change.modified)
    fields = subtractSets(fields, change.added)
    fields = subtractSets(fields, change.removed)
    if (isEmptySet(fields)) managers.delete(key)
    else if (fields !== entry.fields) managers.set(key, { ...entry, fields })
  }
}

/** The entry as it will be stored; undefined when it owns nothing. */
export function ownedEntry(entry: ManagerEntry): ManagerEntry | undefined {
  const fields = subtractSets(entry.fields, UNOWNED_FIELDS)
  return isEmptySet(fields) ? undefined : { ...entry, fields }
}
