import type { KubeObject, TableColumn } from '../behavior.ts'
import { behaviorOf } from '../registry.ts'

/** The clock of the tests of kinds. */
export const NOW = Date.parse('2026-03-01T00:00:00Z')
/** An hour before {@link NOW}: its age prints as `60m`. */
export const CREATED = '2026-02-28T23:00:00Z'

/** For tests: what behaviours make of objects that are written as loosely as users write them. */
export function kindCases(group: string, kind: string) {
  const behavior = behaviorOf(group, kind)
  const defaulted = (object: object): Record<string, unknown> & KubeObject => {
    const draft = structuredClone({ metadata: { name: 'x' }, ...object })
    behavior.setDefaults?.(draft)
    return draft
  }
  return {
    behavior,
    defaulted,
    /** `field: message` of each error of a create, defaults set. */
    errorsOf(object: object): string[] {
      const draft = defaulted(object)
      const errors = [...(behavior.validate?.(draft) ?? []), ...(behavior.validateCreate?.(draft) ?? [])]
      return errors.map((error) => `${error.field}: ${error.message}`)
    },
    updateErrorsOf(now: object, old: object): string[] {
      const errors = behavior.validateUpdate?.(defaulted(now), defaulted(old)) ?? []
      return errors.map((error) => `${error.field}: ${error.message}`)
    },
    /** The row by the names of its columns, to the width of the columns. */
    rowOf(object: object): Record<string, unknown> {
      const draft = defaulted(object)
      draft.metadata.creationTimestamp ??= CREATED
      const cells = behavior.row!(draft, NOW)
      const columns: readonly TableColumn[] = behavior.columns!
      return Object.fromEntries(columns.map((column, i) => [column.name, cells[i]]))
    },
  }
}
