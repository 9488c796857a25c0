import { applyConflict, type StatusError } from '../status/status-error.ts'
import { forEachMember, formatFieldPath, hasPath, type FieldSet } from './field-set.ts'
import type { ManagerEntry } from './managers.ts'

/** A field that someone else owns with another value. */
export interface Conflict {
  readonly entry: ManagerEntry
  readonly path: readonly string[]
}

/** The conflicts of an entry, one a field, in the order of paths. */
export function listConflicts(entry: ManagerEntry, fields: FieldSet): Conflict[] {
  const conflicts: Conflict[] = []
  forEachMember(fields, (path) => conflicts.push({ entry, path }))
  return conflicts
}

export function conflictsOutside(conflicts: readonly Conflict[], allowed: FieldSet): Conflict[] {
  return conflicts.filter((conflict) => !hasPath(allowed, conflict.path))
}

/** 409 with upstream's words and a cause a field. Source: managedfields internal/conflict.go, v0.37. */
export function conflictError(conflicts: readonly Conflict[]): StatusError {
  const causes = conflicts.map(({ entry, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${formatManager(entry)}`,
    field: formatFieldPath(path),
  }))
  return applyConflict(describeConflicts(conflicts), causes)
}

function describeConflicts(conflicts: readonly Conflict[]): string {
  const [first] = conflicts
  if (conflicts.length === 1 && first !== undefined) {
    return `Apply failed with 1 conflict: conflict with ${formatManager(first.entry)}: ${formatFieldPath(first.path)}`
  }
  const byManager = Map.groupBy(conflicts, (conflict) => conflict.entry)
  const groups = [...byManager].map(([entry, list]) => ({ name: formatManager(entry), list }))
  const lines = groups
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(({ name, list }) => [`conflicts with ${name}:`, ...list.map(({ path }) => `- ${formatFieldPath(path)}`)])
  return `Apply failed with ${conflicts.length} conflicts: ${lines.join('\n')}`
}

function formatManager({ manager, operation, apiVersion, subresource }: ManagerEntry): string {
  const name = JSON.stringify(manager) + (subresource === '' ? '' : ` with subresource ${JSON.stringify(subresource)}`)
  return operation === 'Update' ? `${name} using ${apiVersion}` : name
}
