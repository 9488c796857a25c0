import { isRecord } from '../meta/values.ts'
import type { ScalarType, StructSchema, ValueSchema } from '../schema/schema.ts'
import { formatFieldPath } from './field-set.ts'
import { granularityOf, itemsOf, memberSchema } from './node-schema.ts'
import { FieldTypeError, itemElement, type ListSchema } from './path-element.ts'

/** Problems named at most. */
const PROBLEMS_MAX = 20

/**
 * What keeps a patch from being applied, such as `.spec.foo: field not declared in schema`. Undefined: nothing.
 * Source of the words: structured-merge-diff/v6 typed (validate.go, helpers.go).
 */
export function describeTypeProblems(
  patch: Readonly<Record<string, unknown>>,
  schema: StructSchema,
): string | undefined {
  const problems: string[] = []
  visitMembers(patch, { type: 'struct', struct: () => schema }, { path: [], problems })
  if (problems.length === 0) return undefined
  return problems.length === 1 ? problems[0]! : `errors:\n${problems.map((problem) => `  ${problem}`).join('\n')}`
}

interface Visit {
  readonly path: readonly string[]
  readonly problems: string[]
}

function visitMembers(members: Readonly<Record<string, unknown>>, schema: ValueSchema, visit: Visit): void {
  for (const key of Object.keys(members)) {
    const path = [...visit.path, `f:${key}`]
    const struct = schema.type === 'struct' ? schema.struct() : undefined
    if (struct !== undefined && !struct.fields.has(key) && struct.preserveUnknownFields !== true) {
      report({ ...visit, path }, 'field not declared in schema')
    } else visitValue(members[key], memberSchema(schema, key), { ...visit, path })
  }
}

function visitValue(value: unknown, schema: ValueSchema, visit: Visit): void {
  if (value === null || value === undefined) return
  switch (schema.type) {
    case 'any':
      return
    case 'struct':
      if (isRecord(value)) return visitMembers(value, schema, visit)
      if (schema.struct().preserveUnknownFields !== true) report(visit, `expected map, got &{${describe(value)}}`)
      return
    case 'map':
      return isRecord(value)
        ? visitMembers(value, schema, visit)
        : report(visit, `expected map, got &{${describe(value)}}`)
    case 'list':
      return Array.isArray(value)
        ? visitItems(value, schema, visit)
        : report(visit, `expected list, got &{${describe(value)}}`)
    default:
      return visitScalar(value, schema.type, visit)
  }
}

function visitItems(value: readonly unknown[], schema: ListSchema, visit: Visit): void {
  const seen = new Set<string>()
  for (const [i, item] of itemsOf(value).entries()) {
    let element = `i:${i}`
    if (granularityOf(schema, value) === 'items') {
      try {
        element = itemElement(schema, item)
      } catch (error) {
        if (!(error instanceof FieldTypeError)) throw error
        report(visit, `element ${i}: ${error.message}`)
        continue
      }
      if (seen.has(element)) report(visit, `duplicate entries for key ${formatFieldPath([element])}`)
      seen.add(element)
    }
    visitValue(item, schema.items, { ...visit, path: [...visit.path, element] })
  }
}

function visitScalar(value: unknown, type: ScalarType, visit: Visit): void {
  const expected = expectedScalar(value, type)
  if (expected !== undefined) report(visit, `expected ${expected}, got &{${describe(value)}}`)
}

function expectedScalar(value: unknown, type: ScalarType): string | undefined {
  switch (type) {
    case 'int32':
    case 'int64':
    case 'double':
      return typeof value === 'number' ? undefined : 'numeric (int or float)'
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'boolean'
    case 'quantity':
    case 'intOrString':
      return typeof value === 'object' ? 'scalar' : undefined
    default:
      return typeof value === 'string' ? undefined : 'string'
  }
}

function report(visit: Visit, problem: string): void {
  if (visit.problems.length < PROBLEMS_MAX) visit.problems.push(`${formatFieldPath(visit.path)}: ${problem}`)
}

function describe(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
