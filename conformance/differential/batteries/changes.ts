import type { StructSchema, ValueSchema } from '@centaurus/api'
import { apiVersionOf, collectionPath, prepareNamespace, titleOf } from '../lib/paths.ts'
import { samples } from '../lib/samples.ts'
import type { AnswerObject, Recorder } from '../lib/trace.ts'

const MERGE = { 'content-type': 'application/merge-patch+json' }

/** Changes each field of an existing object of each kind, one at a time, as a dry run: which may change, and what is said if not. */
export async function changesBattery(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'chan')
  for (const { info, object } of samples(recorder.run)) {
    const metadata = { name: `c-${recorder.run}`, ...(object['metadata'] as { name?: string } | undefined) }
    const collection = collectionPath(info, namespace)
    const made: AnswerObject = { apiVersion: apiVersionOf(info), kind: info.kind, ...object, metadata }
    await recorder.prepare({ method: 'POST', path: collection, body: made })
    const path = `${collection}/${metadata.name}?dryRun=All`
    for (const [field, patch] of changesOf(info.schema(), (await recorder.prepare({ method: 'GET', path })).object)) {
      await recorder.call(`${titleOf(info)}: ${field}`, { method: 'PATCH', path, body: patch, headers: MERGE })
    }
    await recorder.prepare({ method: 'DELETE', path: `${collection}/${metadata.name}?gracePeriodSeconds=0` })
  }
}

const SKIPPED = new Set(['apiVersion', 'kind', 'metadata', 'status'])

function* changesOf(struct: StructSchema, value: unknown, at: readonly string[] = []): Generator<[string, object]> {
  const object = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  for (const [name, field] of struct.fields) {
    if (at.length === 0 && SKIPPED.has(name)) continue
    const here = [...at, name]
    for (const changed of changedValues(field.value, object[name])) {
      yield [`${here.join('.')} = ${JSON.stringify(changed)?.slice(0, 80)}`, nest(here, changed)]
    }
    if (object[name] !== undefined) yield [`${here.join('.')} removed`, nest(here, null)]
    if (field.value.type === 'struct' && object[name] !== undefined)
      yield* changesOf(field.value.struct(), object[name], here)
  }
}

function changedValues(schema: ValueSchema, now: unknown): unknown[] {
  switch (schema.type) {
    case 'string':
      return ['changed']
    case 'int32':
    case 'int64':
      return [7]
    case 'boolean':
      return [now !== true]
    case 'quantity':
      return ['7']
    case 'intOrString':
      return [7]
    case 'map':
      return schema.values.type === 'string' ? [{ changed: 'yes' }] : []
    case 'list':
      return [[], ...(schema.items.type === 'string' ? [['changed']] : [])]
    default:
      return []
  }
}

function nest(path: readonly string[], value: unknown): object {
  return path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object
}
