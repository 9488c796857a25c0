import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { KubeObject } from '../kinds/behavior.ts'
import { deepEqual, isRecord } from '../meta/values.ts'
import { applyStrategicMergePatch } from '../patch/strategic-merge-patch.ts'
import { schemaOfKind } from '../schema/builtin.ts'
import { StatusError } from '../status/status-error.ts'
import { applyPatch } from './apply-patch.ts'
import { trackUpdate } from './track-update.ts'

/**
 * What structured-merge-diff v6.4.2 and strategicpatch v0.37.2 made of random Pods (those programs were run over generated input;
 * `Want` is their answer: the object with the sets of all managers, or the conflicting fields).
 */
interface Recorded {
  readonly applies: readonly { readonly steps: readonly Step[] }[]
  readonly patches: readonly { readonly Original: Members; readonly Patch: Members; readonly Want: Members }[]
}

type Members = Record<string, unknown>

interface Step {
  readonly Op: 'apply' | 'update'
  readonly Manager: string
  readonly Force: boolean
  readonly Object: Members & KubeObject
  readonly Want: string[] | { readonly object: Members; readonly managers: Record<string, Members> }
}

const recorded = JSON.parse(readFileSync(new URL('testing/recorded.json', import.meta.url), 'utf8')) as Recorded
const schema = schemaOfKind('', 'v1', 'Pod')

function run(live: KubeObject | undefined, step: Step): KubeObject | string {
  const common = { live, schema, manager: step.Manager, nowMs: 0, apiVersion: 'v1' }
  try {
    if (step.Op === 'update') return trackUpdate<KubeObject>({ ...common, updated: step.Object })
    const patch = { apiVersion: 'v1', kind: 'Pod', ...step.Object }
    return applyPatch<KubeObject>({ ...common, patch, kind: 'Pod', force: step.Force }).object
  } catch (error) {
    if (error instanceof StatusError) return error.message
    throw error
  }
}

/** Empty values, which typed objects do not keep, left out. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutEmpty(item) ?? {})
  if (!isRecord(value)) return value === null ? undefined : value
  const entries = Object.entries(value).flatMap(([key, member]) => {
    const inner = withoutEmpty(member)
    const isEmpty = typeof inner === 'object' && inner !== null && Object.keys(inner).length === 0
    return inner === undefined || isEmpty ? [] : [[key, inner] as const]
  })
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

/** Upstream's server strips the parents that nobody owns; the bare algorithm that was recorded does not. */
function withoutParents(set: Members): Members {
  const result: Members = {}
  for (const [element, node] of Object.entries(set)) {
    const { '.': _self, 'f:containers': containers, ...rest } = node as Members
    const { '.': _listSelf, ...items } = isRecord(containers) ? containers : {}
    const inner = Object.keys(items).length === 0 ? rest : { ...rest, 'f:containers': items }
    if (Object.keys(inner).length > 0) result[element] = inner
  }
  return result
}

describe('server-side apply agrees with upstream', () => {
  for (const [i, { steps }] of recorded.applies.entries()) {
    it(`on recorded sequence ${i} of ${steps.length} requests`, () => {
      let live: KubeObject | undefined
      for (const step of steps) {
        const result = run(live, step)
        if (Array.isArray(step.Want)) {
          assert.match(String(result), new RegExp(`^Apply failed with ${step.Want.length} conflict`))
          continue
        }
        assert.notEqual(typeof result, 'string', String(result))
        live = result as KubeObject
        const { managedFields = [], ...metadata } = live.metadata
        const { apiVersion: _v, kind: _k, ...object } = { ...live, metadata }
        assert.ok(deepEqual(withoutEmpty(object), withoutEmpty(step.Want.object)))
        const sets = managedFields.map((entry) => [
          `${entry.manager}|${entry.operation === 'Apply' ? 'a' : 'u'}`,
          withoutParents(entry.fieldsV1 as Members),
        ])
        const wanted = Object.entries(step.Want.managers).map(([key, set]) => [key, withoutParents(set)] as const)
        const nonEmpty = wanted.filter(([, set]) => Object.keys(set).length > 0)
        assert.deepEqual(Object.fromEntries(sets), Object.fromEntries(nonEmpty))
      }
    })
  }
})

describe('strategic merge patch agrees with upstream', () => {
  it(`on ${recorded.patches.length} recorded patches`, () => {
    assert.ok(schema !== undefined)
    for (const { Original, Patch, Want } of recorded.patches) {
      assert.ok(deepEqual(applyStrategicMergePatch(Original, Patch, schema), Want), JSON.stringify(Patch))
    }
  })
})
