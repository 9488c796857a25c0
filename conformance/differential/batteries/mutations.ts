import type { StructSchema, ValueSchema } from '@centaurus/api'
import { apiVersionOf, collectionPath, prepareNamespace, titleOf } from '../lib/paths.ts'
import { samples } from '../lib/samples.ts'
import type { Recorder } from '../lib/trace.ts'

/** How deep below the object fields are varied; the recursion of a CRD's schema must end. */
const DEPTH_MAX = 7

/** Sets each field of each kind to values that are wrong or at the edge, one at a time, and creates that as a dry run. */
export async function mutationsBattery(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'muta')
  for (const { info, object } of samples(recorder.run)) {
    const metadata = { name: 'm', ...(object['metadata'] as object | undefined) }
    const base = { apiVersion: apiVersionOf(info), kind: info.kind, ...object, metadata }
    const path = `${collectionPath(info, namespace)}?dryRun=All`
    for (const { at, value } of mutationsOf(base, info.schema())) {
      if (at[0] === 'metadata' || at[0] === 'apiVersion' || at[0] === 'kind') continue
      const step = `${titleOf(info)}: ${at.join('.')} = ${JSON.stringify(value)?.slice(0, 60) ?? 'absent'}`
      await recorder.call(step, { method: 'POST', path, body: withValue(base, at, value) }).catch(() => {})
    }
  }
}

interface Mutation {
  readonly at: readonly (string | number)[]
  /** Undefined: the field is taken out. */
  readonly value: unknown
}

function* mutationsOf(value: unknown, struct: StructSchema, at: Mutation['at'] = []): Generator<Mutation> {
  const object = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  for (const [name, field] of struct.fields) {
    const here = [...at, name]
    if (object[name] !== undefined) yield { at: here, value: undefined }
    yield* badValues(field.value).map((bad) => ({ at: here, value: bad }))
    if (object[name] !== undefined && here.length < DEPTH_MAX) yield* below(object[name], field.value, here)
  }
}

function* below(value: unknown, schema: ValueSchema, at: Mutation['at']): Generator<Mutation> {
  if (schema.type === 'struct') yield* mutationsOf(value, schema.struct(), at)
  else if (schema.type === 'list' && Array.isArray(value) && value.length > 0) {
    yield { at, value: [value[0], value[0]] }
    yield* below(value[0], schema.items, [...at, 0])
  }
}

const BAD_STRINGS = ['', 'Not A_Name!', 'plain']

function badValues(schema: ValueSchema): unknown[] {
  switch (schema.type) {
    case 'string':
      return [...BAD_STRINGS, 5]
    case 'int32':
    case 'int64':
      return [-1, 0, 100_000, 'text', 1.5]
    case 'double':
      return [-1, 'text']
    case 'boolean':
      return [true, false, 'text']
    case 'quantity':
      return ['-1', 'text', 5]
    case 'intOrString':
      return [-1, 'text%', '150%', true]
    case 'time':
    case 'microTime':
    case 'duration':
      return ['text', 5]
    case 'bytes':
      return ['%', 'YQ==']
    case 'struct':
      return [{}, 'text', ...(schema.struct().fields.size === 1 ? singleField(schema.struct()) : [])]
    case 'map':
      return [
        {},
        'text',
        ...badValues(schema.values)
          .slice(0, 2)
          .map((value) => ({ 'a b': value, c: value })),
      ]
    case 'list':
      return [[], 'text', badValues(schema.items).slice(0, 1), ...(schema.items.type === 'struct' ? [[{}, {}]] : [])]
    default:
      return [{}, 'text', 5]
  }
}

function singleField(struct: StructSchema): unknown[] {
  return [...struct.fields].map(([name, field]) => ({ [name]: badValues(field.value)[0] }))
}

function withValue(base: unknown, [key, ...rest]: Mutation['at'], value: unknown): unknown {
  if (key === undefined) return value
  if (Array.isArray(base)) return base.map((item, i) => (i === key ? withValue(item, rest, value) : item))
  const object = { ...(base as Record<string, unknown>) }
  const changed = withValue(object[key], rest, value)
  if (changed === undefined) delete object[key]
  else object[key] = changed
  return object
}
