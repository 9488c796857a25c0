import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import * as fc from 'fast-check'
import type { ObjectMeta } from '../generated/types/meta/v1.ts'
import { findCondition, isConditionTrue, setCondition, type AnyCondition } from './conditions.ts'
import { generateName } from './generate-name.ts'
import {
  checkDns1035Label,
  checkDnsLabel,
  checkDnsSubdomain,
  checkLabelValue,
  checkPathSegment,
  checkQualifiedName,
} from './names.ts'
import { controllerOf, isControlledBy, isDeleting, ownerReferenceTo } from './owners.ts'
import { formatMicroTime, formatTime, normalizeMicroTime, normalizeTime, parseTime } from './time.ts'
import {
  keepServerMetadata,
  validateFieldManager,
  validateObjectMeta,
  validateObjectMetaUpdate,
} from './validate-object-meta.ts'
import { deepClone, deepEqual, deepFreeze } from './values.ts'
import { FieldPath, type FieldError } from '../status/field-error.ts'

const lines = (errors: readonly FieldError[]): string[] => errors.map((error) => `${error.field}: ${error.message}`)

describe('name rules', () => {
  it('accept what upstream accepts', () => {
    for (const name of ['a', 'a-b', '1a', 'a'.repeat(63)]) assert.deepEqual(checkDnsLabel(name), [])
    for (const name of ['a.b', 'a-1.b', 'a'.repeat(253)]) assert.deepEqual(checkDnsSubdomain(name), [])
    for (const name of ['a', 'A_b.c', 'example.com/a', 'kubernetes.io/metadata.name'])
      assert.deepEqual(checkQualifiedName(name), [])
    for (const value of ['', 'a', 'A_b-c.1']) assert.deepEqual(checkLabelValue(value), [])
    assert.deepEqual(checkDnsSubdomain('web-', { isPrefix: true }), [])
    assert.deepEqual(checkPathSegment('system:node:a', {}), [])
  })

  it('explain what is wrong as upstream does', () => {
    assert.deepEqual(checkDnsLabel('A'), [
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an " +
        "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ])
    assert.deepEqual(checkDnsLabel('a.b'), ['must not contain dots'])
    assert.deepEqual(checkDnsLabel('a'.repeat(64)), ['must be no more than 63 bytes'])
    assert.match(checkDnsSubdomain('web-')[0]!, /^a lowercase RFC 1123 subdomain must consist/)
    assert.match(checkDns1035Label('1a')[0]!, /start with an alphabetic character/)
    assert.deepEqual(checkPathSegment('a/b%'), ["may not contain '/'", "may not contain '%'"])
    assert.deepEqual(checkPathSegment('..'), ["may not be '..'"])
    assert.match(
      checkQualifiedName('a/b/c')[0]!,
      /^a valid label key must consist .* with an optional DNS subdomain prefix/,
    )
    assert.equal(checkQualifiedName('/a')[0], 'prefix part must be non-empty')
    assert.equal(checkQualifiedName('a.b/')[0], 'name part must be non-empty')
  })
})

describe('validateObjectMeta', () => {
  it('accepts ordinary metadata', () => {
    const meta = { name: 'web', namespace: 'default', labels: { app: 'web' }, annotations: { 'a.b/C': 'any text' } }
    assert.deepEqual(validateObjectMeta(meta, { namespaced: true }), [])
  })

  it('reports every problem with its path', () => {
    const meta: ObjectMeta = {
      name: 'Web',
      labels: { '-': '-' },
      finalizers: ['orphan', 'foregroundDeletion'],
      ownerReferences: [
        { apiVersion: 'v1', kind: 'Event', name: 'e', uid: '1', controller: true },
        { apiVersion: 'a/b/c', kind: '', name: 'x', uid: '2', controller: true },
      ],
      managedFields: [{ manager: 'm', operation: 'Other' }],
    }
    const seen = lines(validateObjectMeta(meta, { namespaced: true }))
    assert.match(seen[0]!, /^metadata\.name: Invalid value: "Web": a lowercase RFC 1123 subdomain/)
    assert.equal(seen[1], 'metadata.namespace: Required value')
    assert.ok(seen.some((line) => line.startsWith('metadata.labels: Invalid value: "-": name part must consist')))
    assert.ok(seen.some((line) => line.includes('/v1, Kind=Event is disallowed from being an owner')))
    assert.ok(
      seen.includes(
        'metadata.ownerReferences[1].apiVersion: Invalid value: "a/b/c": must be <group>/<version> or <version>',
      ),
    )
    assert.ok(seen.includes('metadata.ownerReferences[1].kind: Required value: must not be empty'))
    assert.ok(seen.some((line) => line.includes('Found "true" in references for Event/e and /x')))
    assert.ok(seen.some((line) => line.includes('finalizer orphan and foregroundDeletion cannot be both set')))
    assert.ok(
      seen.includes(
        'metadata.managedFields[0].operation: Unsupported value: "Other": supported values: "Apply", "Update"',
      ),
    )
  })

  it('needs a name, and no namespace on cluster-scoped kinds', () => {
    assert.deepEqual(lines(validateObjectMeta({ namespace: 'a' }, { namespaced: false })), [
      'metadata.name: Required value: name or generateName is required',
      'metadata.namespace: Forbidden: not allowed on this type',
    ])
  })

  it('counts the bytes of annotations', () => {
    const rules = { namespaced: false }
    assert.deepEqual(validateObjectMeta({ name: 'a', annotations: { a: 'x'.repeat(256 * 1024 - 1) } }, rules), [])
    const long = validateObjectMeta({ name: 'a', annotations: { a: 'é'.repeat(128 * 1024) } }, rules)
    assert.deepEqual(lines(long), ['metadata.annotations: Too long: may not be more than 262144 bytes'])
  })
})

describe('validateObjectMetaUpdate', () => {
  const old: ObjectMeta = {
    name: 'a',
    namespace: 'b',
    uid: '1',
    resourceVersion: '5',
    creationTimestamp: '2026-01-01T00:00:00Z',
  }

  it('accepts an update that keeps what is immutable', () => {
    assert.deepEqual(validateObjectMetaUpdate({ ...old, labels: { a: 'b' } }, old), [])
  })

  it('refuses changes of what is immutable, and new finalizers while deleting', () => {
    const deleting = { ...old, deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['a'] }
    const seen = lines(
      validateObjectMetaUpdate(
        { ...old, name: 'z', uid: '2', resourceVersion: '', finalizers: ['a', 'c', 'b'] },
        deleting,
      ),
    )
    assert.deepEqual(seen, [
      'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"b", "c"}',
      'metadata.resourceVersion: Invalid value: "": must be specified for an update',
      'metadata.name: Invalid value: "z": field is immutable',
      'metadata.uid: Invalid value: "2": field is immutable',
      'metadata.deletionTimestamp: Invalid value: null: field is immutable',
    ])
  })

  it('keeps what only the server decides', () => {
    const draft: ObjectMeta = { name: 'a', namespace: 'b', generation: 9 }
    keepServerMetadata(draft, { ...old, generation: 2, deletionTimestamp: 't', deletionGracePeriodSeconds: 30 })
    assert.deepEqual(deepClone(draft), {
      name: 'a',
      namespace: 'b',
      generation: 2,
      uid: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      deletionTimestamp: 't',
      deletionGracePeriodSeconds: 30,
    })
  })
})

describe('validateFieldManager', () => {
  it('wants printable names of 128 bytes at most', () => {
    assert.deepEqual(validateFieldManager('kubectl edit', new FieldPath('fieldManager')), [])
    assert.equal(validateFieldManager('a'.repeat(129), new FieldPath('fieldManager')).length, 1)
    assert.equal(
      validateFieldManager('a\tb', new FieldPath('x'))[0]!.message,
      'Invalid value: "a\\tb": invalid character U+0009 (at position 1)',
    )
  })
})

describe('owners', () => {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: { name: 'rs', uid: 'u1' } }

  it('ties an object to its controller', () => {
    const pod = { metadata: { ownerReferences: [ownerReferenceTo(owner)] } }
    assert.deepEqual(controllerOf(pod), {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      name: 'rs',
      uid: 'u1',
      controller: true,
      blockOwnerDeletion: true,
    })
    assert.equal(isControlledBy(pod, owner), true)
    assert.equal(
      isControlledBy({ metadata: { ownerReferences: [ownerReferenceTo(owner, { isController: false })] } }, owner),
      false,
    )
    assert.equal(isDeleting({ metadata: { deletionTimestamp: 'x' } }), true)
  })
})

describe('setCondition', () => {
  const ready = (status: string, reason: string): AnyCondition => ({ type: 'Ready', status, reason })

  it('moves the transition time only when the status changes, and keeps the list when nothing does', () => {
    const first = setCondition(undefined, ready('False', 'A'), 0)
    assert.deepEqual(first, [
      { type: 'Ready', status: 'False', reason: 'A', lastTransitionTime: '1970-01-01T00:00:00Z' },
    ])
    const second = setCondition<AnyCondition>(first, ready('False', 'B'), 1000)
    assert.equal(findCondition(second, 'Ready')?.lastTransitionTime, '1970-01-01T00:00:00Z')
    const third = setCondition<AnyCondition>(second, ready('True', 'B'), 2000)
    assert.equal(findCondition(third, 'Ready')?.lastTransitionTime, '1970-01-01T00:00:02Z')
    assert.equal(isConditionTrue(third, 'Ready'), true)
    assert.equal(setCondition<AnyCondition>(third, ready('True', 'B'), 3000), third)
  })
})

describe('generateName', () => {
  it('cuts the base and adds five safe characters', () => {
    const random = createSeededRandom(1)
    assert.match(generateName('web-', random), /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
    assert.equal(generateName('x'.repeat(100), random).length, 63)
  })
})

describe('times', () => {
  it('are whole seconds in UTC, microseconds for MicroTime', () => {
    assert.equal(formatTime(1_700_000_000_999), '2023-11-14T22:13:20Z')
    assert.equal(formatMicroTime(1_700_000_000_999), '2023-11-14T22:13:20.999000Z')
    assert.equal(normalizeTime('2023-11-14T23:13:20.5+01:00'), '2023-11-14T22:13:20Z')
    assert.equal(normalizeMicroTime('2023-11-14T22:13:20.1234567Z'), '2023-11-14T22:13:20.123456Z')
    assert.equal(parseTime('2023-02-30T00:00:00Z'), undefined)
    assert.equal(parseTime('yesterday'), undefined)
  })
})

describe('values', () => {
  it('clone deeply and share nothing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const copy = deepClone(value)
        assert.equal(JSON.stringify(copy), JSON.stringify(value))
        assert.equal(deepEqual(copy, value), true)
        deepFreeze(value)
        if (typeof copy === 'object' && copy !== null) Object.assign(copy, { touched: true })
      }),
    )
  })

  it('keep a member named __proto__', () => {
    const value: unknown = JSON.parse('{"__proto__":"x","a":{"__proto__":{"b":1}}}')
    assert.equal(JSON.stringify(deepClone(value)), JSON.stringify(value))
  })

  it('are equal when they differ only by absent members and empty lists', () => {
    assert.equal(deepEqual({ a: 1, b: undefined, c: [] }, { a: 1 }), true)
    assert.equal(deepEqual({ a: {} }, {}), false)
    assert.equal(deepEqual({ toString: 1 }, {}), false)
    assert.equal(deepEqual([1, 2], [2, 1]), false)
    assert.equal(deepEqual({ a: null }, {}), false)
  })
})
