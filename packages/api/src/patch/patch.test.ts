import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { deploymentSchema, podSchema } from '../apply/testing/pod-schema.ts'
import { deepClone, deepEqual, deepFreeze } from '../meta/values.ts'
import { StatusError } from '../status/status-error.ts'
import { createStrategicMergePatch } from './create-strategic-merge-patch.ts'
import { decodePatched } from './decode-patched.ts'
import { applyJsonPatch, parseJsonPatch, type JsonPatchOperation } from './json-patch.ts'
import { applyMergePatch, createMergePatch } from './merge-patch.ts'
import { applyStrategicMergePatch } from './strategic-merge-patch.ts'

function errorOf(run: () => unknown): StatusError {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error))
    return error
  }
  throw new Error('accepted')
}

describe('applyJsonPatch', () => {
  const document = deepFreeze({ a: { b: [1, 2, 3] }, 'x/y': 1, 'm~n': 2 })
  const cases: readonly (readonly [JsonPatchOperation[], unknown])[] = [
    [[{ op: 'add', path: '/a/b/1', value: 9 }], { a: { b: [1, 9, 2, 3] }, 'x/y': 1, 'm~n': 2 }],
    [[{ op: 'add', path: '/a/b/-', value: 9 }], { a: { b: [1, 2, 3, 9] }, 'x/y': 1, 'm~n': 2 }],
    [[{ op: 'remove', path: '/a/b/-1' }], { a: { b: [1, 2] }, 'x/y': 1, 'm~n': 2 }],
    [[{ op: 'replace', path: '/x~1y', value: 5 }], { a: { b: [1, 2, 3] }, 'x/y': 5, 'm~n': 2 }],
    [[{ op: 'replace', path: '/new', value: 5 }], { a: { b: [1, 2, 3] }, 'x/y': 1, 'm~n': 2, new: 5 }],
    [[{ op: 'move', from: '/m~0n', path: '/a/c' }], { a: { b: [1, 2, 3], c: 2 }, 'x/y': 1 }],
    [
      [
        { op: 'copy', from: '/a/b', path: '/c' },
        { op: 'add', path: '/c/0', value: 0 },
      ],
      { ...document, c: [0, 1, 2, 3] },
    ],
    [
      [
        { op: 'test', path: '/a/b/0', value: 1 },
        { op: 'test', path: '/missing', value: null },
      ],
      document,
    ],
    [[{ op: 'replace', path: '', value: { z: 1 } }], { z: 1 }],
  ]

  it('applies every operation of RFC 6902 to a copy', () => {
    for (const [operations, expected] of cases) assert.deepEqual(applyJsonPatch(document, operations), expected)
  })

  it('answers 422 when an operation does not apply, and names it in a cause', () => {
    const failing: readonly (readonly [JsonPatchOperation, RegExp])[] = [
      [{ op: 'test', path: '/a/b/0', value: 2 }, /^testing value \/a\/b\/0 failed: test failed$/],
      [{ op: 'remove', path: '/nope' }, /Unable to remove nonexistent key: nope/],
      [
        { op: 'add', path: '/no/pe', value: 1 },
        /^add operation does not apply: doc is missing path: "\/no\/pe": missing value$/,
      ],
      [{ op: 'add', path: '/a/b/9', value: 1 }, /Unable to access invalid index: 9/],
      [{ op: 'add', path: '/a/b/x', value: 1 }, /value was not a proper array index: 'x'/],
      [{ op: 'jump', path: '/a' }, /^Unexpected kind: jump$/],
    ]
    for (const [operation, cause] of failing) {
      const error = errorOf(() => applyJsonPatch(document, [operation]))
      assert.equal(error.code, 422)
      assert.equal(error.message, 'the server rejected our request due to an error in our request')
      assert.match(error.details?.causes?.[0]?.message ?? '', cause)
    }
  })

  it('bounds operations and copies', () => {
    const many = Array.from({ length: 10_001 }, () => ({ op: 'test', path: '' }))
    assert.equal(errorOf(() => parseJsonPatch(many)).code, 413)
    const doubling = Array.from({ length: 40 }, (_, i) => ({ op: 'copy', from: '/a', path: `/a/k${i}` }))
    assert.equal(errorOf(() => applyJsonPatch({ a: { text: 'x'.repeat(1000) } }, doubling)).code, 422)
    assert.equal(errorOf(() => parseJsonPatch({})).code, 400)
    assert.equal(errorOf(() => parseJsonPatch([1])).code, 400)
  })
})

describe('applyMergePatch', () => {
  it('follows the examples of RFC 7386', () => {
    const cases: readonly (readonly [unknown, unknown, unknown])[] = [
      [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
      [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
      [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
      [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
      [{ a: 'foo' }, ['c'], ['c']],
      [{ e: null }, { a: 1 }, { e: null, a: 1 }],
      [[1, 2], { a: 'b', c: null }, { a: 'b' }],
      [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    ]
    for (const [target, patch, expected] of cases) assert.deepEqual(applyMergePatch(target, patch), expected)
  })

  it('is undone by the patch between two objects', () => {
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.integer(), { maxLength: 3 }))
    const key = fc.constantFrom('a', 'b', 'c')
    const object = fc.dictionary(key, fc.oneof(leaf, fc.dictionary(key, leaf)))
    fc.assert(
      fc.property(object, object, (original, modified) => {
        const patch = createMergePatch(original, modified)
        assert.deepEqual(deepClone(applyMergePatch(original, patch)), deepClone(modified))
      }),
    )
  })
})

interface PatchedPod {
  metadata: { labels: Record<string, string>; finalizers: string[] }
  spec: { containers: { name: string; image: string }[]; volumes: unknown[]; tolerations: unknown[] }
}

describe('applyStrategicMergePatch', () => {
  const pod = deepFreeze({
    metadata: { name: 'p', labels: { a: '1', b: '2' }, finalizers: ['x/a', 'x/b'] },
    spec: {
      containers: [
        { name: 'one', image: 'i:1', env: [{ name: 'A', value: '1' }] },
        { name: 'two', image: 'i:2' },
      ],
      volumes: [{ name: 'v', emptyDir: {} }],
      tolerations: [{ key: 'a' }],
    },
  })
  const patched = (patch: Record<string, unknown>): PatchedPod =>
    applyStrategicMergePatch(pod, patch, podSchema) as unknown as PatchedPod

  it('merges lists by their key and keeps the rest', () => {
    const { spec } = patched({
      spec: {
        containers: [
          { name: 'two', image: 'i:3' },
          { name: 'three', image: 'i' },
        ],
      },
    })
    assert.deepEqual(
      spec.containers.map((item) => `${item.name}=${item.image}`),
      ['one=i:1', 'two=i:3', 'three=i'],
    )
  })

  it('removes members by null and items by $patch: delete', () => {
    const { metadata, spec } = patched({
      metadata: { labels: { a: null } },
      spec: {
        containers: [
          { name: 'one', $patch: 'delete' },
          { name: 'two', image: null },
        ],
      },
    })
    assert.deepEqual(metadata.labels, { b: '2' })
    assert.deepEqual(spec.containers, [{ name: 'two' }])
  })

  it('replaces lists that do not merge, and any list or map by $patch: replace', () => {
    assert.deepEqual(patched({ spec: { tolerations: [{ key: 'b' }] } }).spec.tolerations, [{ key: 'b' }])
    const replaced = patched({
      metadata: { labels: { $patch: 'replace', c: '3' } },
      spec: { containers: [{ name: 'new', image: 'x' }, { $patch: 'replace' }] },
    })
    assert.deepEqual(replaced.metadata.labels, { c: '3' })
    assert.deepEqual(replaced.spec.containers, [{ name: 'new', image: 'x' }])
    assert.deepEqual(patched({ metadata: { labels: { $patch: 'delete' } } }).metadata.labels, {})
  })

  it('adds to and deletes from lists of primitives', () => {
    const { metadata } = patched({ metadata: { '$deleteFromPrimitiveList/finalizers': ['x/a'], finalizers: ['x/c'] } })
    assert.deepEqual(metadata.finalizers, ['x/c', 'x/b']) // upstream puts new items first
  })

  it('orders items as $setElementOrder says', () => {
    const { spec } = patched({
      spec: {
        '$setElementOrder/containers': [{ name: 'three' }, { name: 'two' }, { name: 'one' }],
        containers: [{ name: 'three', image: 'x' }],
      },
    })
    assert.deepEqual(
      spec.containers.map((item) => item.name),
      ['three', 'two', 'one'],
    )
  })

  it('retains only the keys that $retainKeys names', () => {
    const { spec } = patched({
      spec: { volumes: [{ $retainKeys: ['name', 'hostPath'], name: 'v', hostPath: { path: '/x' } }] },
    })
    assert.deepEqual(spec.volumes, [{ name: 'v', hostPath: { path: '/x' } }])
    const error = errorOf(() =>
      patched({ spec: { volumes: [{ $retainKeys: ['name'], name: 'v', hostPath: { path: '/x' } }] } }),
    )
    assert.equal(error.message, 'invalid patch format of retainKeys')
  })

  it('refuses items without their key and orders that contradict the patch', () => {
    assert.match(
      errorOf(() => patched({ spec: { containers: [{ image: 'x' }] } })).message,
      /does not contain declared merge key: name$/,
    )
    const order = {
      '$setElementOrder/containers': [{ name: 'two' }, { name: 'one' }],
      containers: [{ name: 'one' }, { name: 'two' }],
    }
    assert.match(errorOf(() => patched({ spec: order })).message, /^The order in patch list:/)
    assert.match(errorOf(() => patched({ spec: { $patch: 'guess' } })).message, /^unknown patch type: guess in map/)
  })

  it('applies what kubectl apply sends for a changed Deployment', () => {
    const deployment = {
      spec: {
        replicas: 3,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%' } },
        template: { spec: { containers: [{ name: 'web', image: 'web:1' }] } },
      },
    }
    const patch = {
      spec: {
        strategy: { $retainKeys: ['type'], rollingUpdate: null, type: 'Recreate' },
        template: {
          spec: { '$setElementOrder/containers': [{ name: 'web' }], containers: [{ image: 'web:2', name: 'web' }] },
        },
      },
    }
    assert.deepEqual(applyStrategicMergePatch(deployment, patch, deploymentSchema), {
      spec: {
        replicas: 3,
        strategy: { type: 'Recreate' },
        template: { spec: { containers: [{ name: 'web', image: 'web:2' }] } },
      },
    })
  })

  it('is undone by the two-way patch between two pods', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd')
    const env = fc.uniqueArray(fc.record({ name, value: fc.constantFrom('1', '2') }), {
      selector: (item) => item.name,
      maxLength: 3,
    })
    const container = fc.record({ name, image: fc.constantFrom('x', 'y'), env }, { requiredKeys: ['name'] })
    const object = fc.record({
      metadata: fc.record({
        labels: fc.dictionary(name, fc.constantFrom('1', '2')),
        finalizers: fc.uniqueArray(name, { maxLength: 3 }),
      }),
      spec: fc.record({ containers: fc.uniqueArray(container, { selector: (item) => item.name, maxLength: 4 }) }),
    })
    fc.assert(
      fc.property(object, object, (original, modified) => {
        const patch = createStrategicMergePatch(original, modified, podSchema)
        const result = applyStrategicMergePatch(deepFreeze(original), deepFreeze(patch), podSchema)
        assert.ok(deepEqual(result, modified), JSON.stringify({ patch, result }))
      }),
    )
  })
})

describe('decodePatched', () => {
  it('answers 422 about the field patch', () => {
    const error = errorOf(() => decodePatched({ spec: { foo: 1 } }, podSchema, {}))
    assert.equal(error.code, 422)
    assert.match(
      error.message,
      /^ "" is invalid: patch: Invalid value: .*: strict decoding error: unknown field "spec\.foo"$/,
    )
    assert.deepEqual(decodePatched({ spec: { foo: 1 } }, podSchema, { fieldValidation: 'Warn' }).warnings, [
      'unknown field "spec.foo"',
    ])
  })
})
