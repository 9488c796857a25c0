import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { KubeObject } from '../kinds/behavior.ts'
import { deepClone, deepEqual, deepFreeze } from '../meta/values.ts'
import { StatusError } from '../status/status-error.ts'
import { applyPatch } from './apply-patch.ts'
import { deploymentSchema, podSchema } from './testing/pod-schema.ts'
import { resetFieldsOf, trackUpdate, type TrackUpdateInput } from './track-update.ts'

type Object = KubeObject & Record<string, unknown>

const NOW = Date.UTC(2026, 0, 1)
const LATER = NOW + 60_000

function deployment(spec: Record<string, unknown>, metadata: Record<string, unknown> = {}): Object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default', ...metadata },
    spec,
  }
}

function apply(
  live: Object | undefined,
  patch: Object,
  options: { manager?: string; force?: boolean; nowMs?: number } = {},
): Object {
  const { object } = applyPatch<Object>({
    live,
    patch: deepFreeze(deepClone(patch)),
    schema: deploymentSchema,
    manager: options.manager ?? 'me',
    force: options.force,
    nowMs: options.nowMs ?? NOW,
    apiVersion: 'apps/v1',
    kind: 'Deployment',
  })
  return { ...object, metadata: { ...object.metadata, uid: 'u' } }
}

function update(live: Object | undefined, updated: Object, more: Partial<TrackUpdateInput<Object>> = {}): Object {
  const stored = trackUpdate<Object>({
    live,
    updated: deepFreeze(deepClone(updated)),
    schema: deploymentSchema,
    manager: 'kubectl',
    nowMs: NOW,
    apiVersion: 'apps/v1',
    ...more,
  })
  return { ...stored, metadata: { ...stored.metadata, uid: 'u' } }
}

const owners = (object: Object): Record<string, unknown> =>
  Object.fromEntries(
    (object.metadata.managedFields ?? []).map((entry) => [`${entry.manager} ${entry.operation}`, entry.fieldsV1]),
  )

function refusal(run: () => unknown): StatusError {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error))
    return error
  }
  throw new Error('accepted')
}

const template = (...containers: Record<string, unknown>[]): Record<string, unknown> => ({ spec: { containers } })

describe('trackUpdate', () => {
  it('gives the creator every field but the identity', () => {
    const created = update(
      undefined,
      deployment({ replicas: 3, selector: { matchLabels: { a: 'b' } } }, { labels: { app: 'web' } }),
    )
    assert.deepEqual(created.metadata.managedFields, [
      {
        manager: 'kubectl',
        operation: 'Update',
        apiVersion: 'apps/v1',
        time: '2026-01-01T00:00:00Z',
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
          'f:spec': { 'f:replicas': {}, 'f:selector': {} },
        },
      },
    ])
  })

  it('moves a changed field to whoever changed it, and keeps the rest', () => {
    const created = update(undefined, deployment({ replicas: 3, paused: true }))
    const scaled = update(created, deployment({ replicas: 5, paused: true }, { uid: 'u' }), {
      manager: 'hpa',
      nowMs: LATER,
    })
    assert.deepEqual(owners(scaled), {
      'kubectl Update': { 'f:spec': { 'f:paused': {} } },
      'hpa Update': { 'f:spec': { 'f:replicas': {} } },
    })
    const removed = update(scaled, deployment({ replicas: 5 }, { uid: 'u' }), { manager: 'hpa' })
    assert.deepEqual(owners(removed), { 'hpa Update': { 'f:spec': { 'f:replicas': {} } } })
  })

  it('touches nothing, not even the time, when nothing changed', () => {
    const created = update(undefined, deployment({ replicas: 3 }))
    const again = update(created, deployment({ replicas: 3 }, { uid: 'u', resourceVersion: '7' }), { nowMs: LATER })
    assert.deepEqual(again.metadata.managedFields, created.metadata.managedFields)
  })

  it('names items by their keys, with the default protocol', () => {
    const pod: Object = {
      metadata: { name: 'p' },
      spec: {
        containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80 }], env: [{ name: 'A', value: '1' }] }],
      },
    }
    const created = update(undefined, pod, { schema: podSchema, apiVersion: 'v1' })
    assert.deepEqual(owners(created)['kubectl Update'], {
      'f:spec': {
        'f:containers': {
          'k:{"name":"c"}': {
            '.': {},
            'f:name': {},
            'f:image': {},
            'f:ports': { '.': {}, 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
            'f:env': { '.': {}, 'k:{"name":"A"}': { '.': {}, 'f:name': {}, 'f:value': {} } },
          },
        },
      },
    })
  })

  it('keeps subresources apart and leaves out what a request may not set', () => {
    const created = update(undefined, deployment({ replicas: 3 }), { resetFields: resetFieldsOf(['status']) })
    const status = { ...deployment({ replicas: 3 }, { uid: 'u' }), status: { replicas: 3 } }
    const reported = update(created, status, {
      manager: 'controller',
      subresource: 'status',
      resetFields: resetFieldsOf(['spec'], ['metadata']),
    })
    const entry = reported.metadata.managedFields?.find((candidate) => candidate.manager === 'controller')
    assert.equal(entry?.subresource, 'status')
    assert.deepEqual(entry?.fieldsV1, { 'f:status': { 'f:replicas': {} } })
  })

  it('forgets all entries when asked to, and follows entries that a client sends', () => {
    const created = update(undefined, deployment({ replicas: 3 }))
    assert.equal(
      update(created, deployment({ replicas: 3 }, { uid: 'u', managedFields: [] })).metadata.managedFields,
      undefined,
    )
    const entries = [
      {
        manager: 'x',
        operation: 'Update',
        apiVersion: 'apps/v1',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:spec': { 'f:replicas': {} } },
      },
    ]
    const renamed = update(created, deployment({ replicas: 3 }, { uid: 'u', managedFields: entries }))
    assert.deepEqual(owners(renamed), { 'x Update': { 'f:spec': { 'f:replicas': {} } } })
  })

  it('does not start to track objects that were stored without entries', () => {
    const updated = update(deployment({ replicas: 1 }, { uid: 'u' }), deployment({ replicas: 2 }, { uid: 'u' }))
    assert.equal(updated.metadata.managedFields, undefined)
  })

  it('joins the oldest of more than ten updaters', () => {
    let object = update(undefined, deployment({}, { labels: { l: '0' } }))
    for (let i = 0; i < 15; i++) {
      const labels = { ...object.metadata.labels, [`l${i}`]: 'x' }
      object = update(object, deployment({}, { uid: 'u', labels }), {
        manager: `m${String(i).padStart(2, '0')}`,
        nowMs: NOW + i * 1000,
      })
    }
    assert.equal(object.metadata.managedFields?.length, 10)
    assert.ok(Object.hasOwn(owners(object), 'ancient-changes Update'))
  })

  it('works without a schema: lists count as wholes', () => {
    const created = update(undefined, deployment({ list: [{ name: 'a' }], map: { x: { y: 1 } } }), {
      schema: undefined,
    })
    assert.deepEqual(owners(created)['kubectl Update'], {
      'f:spec': { '.': {}, 'f:list': {}, 'f:map': { '.': {}, 'f:x': { '.': {}, 'f:y': {} } } },
    })
  })
})

describe('applyPatch', () => {
  it('creates, and records what was applied', () => {
    const created = apply(undefined, deployment({ replicas: 3, template: template({ name: 'c', image: 'i' }) }))
    assert.deepEqual(owners(created), {
      'me Apply': {
        'f:spec': {
          'f:replicas': {},
          'f:template': {
            'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:name': {}, 'f:image': {} } } },
          },
        },
      },
    })
  })

  it('removes what the manager no longer applies', () => {
    const one = apply(
      undefined,
      deployment({
        replicas: 3,
        paused: true,
        template: template({ name: 'a', image: 'i' }, { name: 'b', image: 'i' }),
      }),
    )
    const two = apply(one, deployment({ replicas: 3, template: template({ name: 'a', image: 'i' }) }))
    assert.deepEqual(two['spec'], { replicas: 3, template: template({ name: 'a', image: 'i' }) })
  })

  it('keeps what others own below what is removed', () => {
    const one = apply(
      undefined,
      deployment({ template: template({ name: 'a', image: 'i' }, { name: 'b', image: 'i' }) }),
    )
    const two = apply(one, deployment({ template: template({ name: 'b', command: ['x'] }) }), { manager: 'you' })
    const three = apply(two, deployment({ template: template({ name: 'a', image: 'i' }) }))
    assert.deepEqual(three['spec'], { template: template({ name: 'a', image: 'i' }, { name: 'b', command: ['x'] }) })
  })

  it('refuses to take fields from others, in the words of upstream', () => {
    const live = update(undefined, deployment({ replicas: 3, paused: true }), { manager: 'kubectl-client-side-apply' })
    const one = refusal(() => apply(live, deployment({ replicas: 5 })))
    assert.equal(one.code, 409)
    assert.equal(
      one.message,
      'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas',
    )
    assert.deepEqual(one.details?.causes, [
      {
        reason: 'FieldManagerConflict',
        message: 'conflict with "kubectl-client-side-apply" using apps/v1',
        field: '.spec.replicas',
      },
    ])
    const two = refusal(() => apply(live, deployment({ replicas: 5, paused: false })))
    assert.equal(
      two.message,
      'Apply failed with 2 conflicts: conflicts with "kubectl-client-side-apply" using apps/v1:\n- .spec.paused\n- .spec.replicas',
    )
    const applied = apply(undefined, deployment({ replicas: 3 }))
    assert.equal(
      refusal(() => apply(applied, deployment({ replicas: 5 }), { manager: 'you' })).message,
      'Apply failed with 1 conflict: conflict with "me": .spec.replicas',
    )
  })

  it('shares a field when both want the same value, and takes it by force', () => {
    const one = apply(undefined, deployment({ replicas: 3 }))
    const shared = apply(one, deployment({ replicas: 3 }), { manager: 'you' })
    assert.deepEqual(Object.keys(owners(shared)), ['me Apply', 'you Apply'])
    const forced = apply(shared, deployment({ replicas: 5 }), { manager: 'you', force: true })
    assert.deepEqual(owners(forced), { 'you Apply': { 'f:spec': { 'f:replicas': {} } } })
    const given = apply(shared, deployment({}), { manager: 'me' })
    assert.deepEqual(given['spec'], { replicas: 3 })
  })

  it('replaces atomic values as a whole', () => {
    const one = apply(undefined, deployment({ selector: { matchLabels: { a: '1', b: '2' } } }))
    const two = apply(one, deployment({ selector: { matchLabels: { a: '1' } } }))
    assert.deepEqual(two['spec'], { selector: { matchLabels: { a: '1' } } })
  })

  it('gives what was there before the first apply to before-first-apply', () => {
    const live = deployment({ replicas: 3, paused: true }, { uid: 'u' })
    const applied = apply(live, deployment({ replicas: 3 }))
    assert.deepEqual(owners(applied), {
      'me Apply': { 'f:spec': { 'f:replicas': {} } },
      'before-first-apply Update': { 'f:spec': { 'f:paused': {}, 'f:replicas': {} } },
    })
    assert.match(
      refusal(() => apply(live, deployment({ replicas: 4 }))).message,
      /conflict with "before-first-apply" using apps\/v1: \.spec\.replicas$/,
    )
  })

  it('lets kubectl take over what its client-side apply set', () => {
    const annotation = 'kubectl.kubernetes.io/last-applied-configuration'
    const config = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'default' },
      spec: { replicas: 3 },
    }
    const live = update(
      undefined,
      deployment({ replicas: 3 }, { annotations: { [annotation]: JSON.stringify(config) } }),
      {
        manager: 'kubectl-client-side-apply',
      },
    )
    const applied = apply(live, deployment({ replicas: 4 }), { manager: 'kubectl' })
    assert.deepEqual(applied['spec'], { replicas: 4 })
    assert.match(applied.metadata.annotations?.[annotation] ?? '', /"replicas":4/)
  })

  it('refuses patches that do not fit', () => {
    const message = (patch: Object): string => refusal(() => apply(undefined, patch)).message
    const target = 'failed to create typed patch object (default/web; apps/v1, Kind=Deployment): '
    assert.equal(message(deployment({ foo: 1 })), `${target}.spec.foo: field not declared in schema`)
    assert.equal(
      message(deployment({ replicas: '3' })),
      `${target}.spec.replicas: expected numeric (int or float), got &{3}`,
    )
    assert.match(
      message(deployment({ template: template({ image: 'i' }) })),
      /element 0: associative list with keys has an element that omits all key fields \["name"\]/,
    )
    assert.match(
      message(deployment({ template: template({ name: 'a' }, { name: 'a' }) })),
      /containers: duplicate entries for key \[name="a"\]$/,
    )
    assert.equal(message({ ...deployment({}), apiVersion: 'v1' }), 'invalid object type: v1, Kind=Deployment')
    assert.equal(message(deployment({}, { managedFields: [] })), 'metadata.managedFields must be nil')
  })

  it('orders items as the applied list, beside those of others', () => {
    const live = update(
      undefined,
      deployment({ template: template({ name: 'x' }, { name: 'a' }, { name: 'y' }, { name: 'b' }) }),
    )
    const applied = apply(live, deployment({ template: template({ name: 'b' }, { name: 'n' }, { name: 'a' }) }))
    const spec = applied['spec'] as { template: { spec: { containers: { name: string }[] } } }
    assert.deepEqual(
      spec.template.spec.containers.map((item) => item.name),
      ['x', 'y', 'b', 'n', 'a'],
    )
  })

  const name = fc.constantFrom('a', 'b', 'c', 'd')
  const env = fc.uniqueArray(fc.record({ name, value: fc.constantFrom('1', '2') }), {
    selector: (item) => item.name,
    maxLength: 3,
  })
  const container = fc.record(
    { name, image: fc.constantFrom('x', 'y'), env, command: fc.array(name, { maxLength: 2 }) },
    { requiredKeys: ['name'] },
  )
  const config = fc
    .record(
      {
        replicas: fc.integer({ min: 0, max: 3 }),
        containers: fc.uniqueArray(container, { selector: (item) => item.name, maxLength: 3 }),
        labels: fc.dictionary(name, fc.constantFrom('1', '2')),
      },
      { requiredKeys: [] },
    )
    .map(({ replicas, containers, labels }) =>
      deployment(
        {
          ...(replicas === undefined ? {} : { replicas }),
          ...(containers === undefined ? {} : { template: template(...containers) }),
        },
        labels === undefined ? {} : { labels },
      ),
    )

  it('is idempotent', () => {
    fc.assert(
      fc.property(config, config, (first, second) => {
        const live = apply(update(undefined, first), second, { force: true })
        const again = apply(live, second, { force: true, nowMs: LATER })
        assert.ok(deepEqual(again, live), JSON.stringify({ live, again }))
      }),
    )
  })

  it('leaves exactly the last applied config when nobody else is there', () => {
    fc.assert(
      fc.property(config, config, (first, second) => {
        const object = apply(apply(undefined, first), second)
        const { managedFields: _m, uid: _u, ...metadata } = object.metadata
        const bare = normalize({ ...object, metadata })
        assert.ok(deepEqual(bare, normalize(second)), JSON.stringify({ bare, second }))
      }),
    )
  })

  it('always holds what was applied by force', () => {
    fc.assert(
      fc.property(config, config, config, (first, second, third) => {
        const live = apply(apply(update(undefined, first), second, { manager: 'you', force: true }), third, {
          force: true,
        })
        const merged = apply(live, third)
        assert.ok(deepEqual(merged['spec'], live['spec']))
      }),
    )
  })
})

/** Without empty maps and lists and what held only them: applying those sets nothing. */
function normalize(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => normalize(item) ?? {})
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).flatMap(([key, member]) => {
    const inner = normalize(member)
    const isEmpty = typeof inner === 'object' && inner !== null && Object.keys(inner).length === 0
    return inner === undefined || isEmpty ? [] : [[key, inner] as const]
  })
  return Object.fromEntries(entries)
}
