import { isRecord } from '../meta/values.ts'
import type { StructSchema, ValueSchema } from '../schema/schema.ts'
import { formatFieldPath } from './field-set.ts'
import { mergeObjects } from './merge-objects.ts'
import { memberSchema } from './node-schema.ts'
import { isAssociative } from './path-element.ts'
import { describeTypeProblems } from './validate-patch.ts'

/**
 * `live` with what an admission policy's apply configuration sets. Neither is changed. Nobody's ownership is recorded. Throws when the
 * configuration does not fit the schema, or sets what can only be set as a whole, which would silently remove what it does not name.
 * Source: apiserver pkg/admission/plugin/policy/mutating/patch/smd.go, v0.37.
 */
export function mergeConfiguration(
  live: Readonly<Record<string, unknown>>,
  configuration: Readonly<Record<string, unknown>>,
  schema: StructSchema,
): Record<string, unknown> {
  const problems = describeTypeProblems(configuration, schema)
  if (problems !== undefined) throw new Error(`failed to convert patch object to typed object: ${problems}`)
  const atomics: string[] = []
  findAtomics(configuration, { type: 'struct', struct: () => schema }, { path: [], atomics })
  if (atomics.length > 0) {
    throw new Error(`invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomics.join(', ')}`)
  }
  return mergeObjects(live, configuration, schema)
}

interface Search {
  readonly path: readonly string[]
  readonly atomics: string[]
}

function findAtomics(value: unknown, schema: ValueSchema, { path, atomics }: Search): void {
  if (Array.isArray(value) && schema.type === 'list') {
    if (!isAssociative(schema)) atomics.push(formatFieldPath(path))
    for (const [i, item] of (value as unknown[]).entries()) {
      findAtomics(item, schema.items, { path: [...path, `i:${i}`], atomics })
    }
  } else if (isRecord(value) && (schema.type === 'struct' || schema.type === 'map')) {
    if (schema.mapType === 'atomic') atomics.push(formatFieldPath(path))
    for (const [key, member] of Object.entries(value)) {
      findAtomics(member, memberSchema(schema, key), { path: [...path, `f:${key}`], atomics })
    }
  }
}
