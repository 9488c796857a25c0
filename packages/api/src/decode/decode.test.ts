import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { StatusError } from '../status/status-error.ts'
import { podSchema } from '../apply/testing/pod-schema.ts'
import { decodeObject, type DecodeOptions } from './decode-object.ts'
import { describeJsonError, findDuplicateFields } from './json-scanner.ts'
import { parseBody } from './parse-body.ts'

const expected = { group: '', version: 'v1', kind: 'Pod' }

function decode(body: string, options: Partial<DecodeOptions> = {}) {
  return decodeObject<Record<string, unknown>>(body, podSchema, { expected, ...options })
}

function messageOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error))
    assert.equal(error.code, 400)
    return error.message
  }
  return 'accepted'
}

describe('decodeObject', () => {
  it('keeps known fields in stored form', () => {
    const body = JSON.stringify({
      metadata: { name: 'a', creationTimestamp: null, labels: {}, annotations: { a: 'b' } },
      spec: {
        containers: [
          {
            name: 'c',
            resources: { limits: { cpu: 0.5, memory: '1024Mi' } },
            env: [],
            livenessProbe: { httpGet: { port: 80 } },
          },
        ],
        volumes: [{ name: 'v', emptyDir: {} }],
      },
    })
    assert.deepEqual(decode(body).object, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', annotations: { a: 'b' } },
      spec: {
        containers: [
          {
            name: 'c',
            resources: { limits: { cpu: '500m', memory: '1Gi' } },
            livenessProbe: { httpGet: { port: 80 } },
          },
        ],
        volumes: [{ name: 'v', emptyDir: {} }],
      },
    })
  })

  it('keeps an empty list that is required', () => {
    assert.deepEqual(decode('{"spec":{"containers":[]}}').object['spec'], { containers: [] })
  })

  /** Recorded from sigs.k8s.io/json with k8s.io/api v0.37.2. */
  const WRONG_TYPES: readonly (readonly [string, string])[] = [
    [
      '{"spec":{"containers":"x"}}',
      'json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container',
    ],
    [
      '{"spec":{"containers":[{"name":1}]}}',
      'json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string',
    ],
    [
      '{"spec":{"containers":[{"ports":[{"containerPort":1.5}]}]}}',
      'json: cannot unmarshal number 1.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
    ],
    [
      '{"spec":{"containers":[{"ports":[{"containerPort":99999999999}]}]}}',
      'json: cannot unmarshal number 99999999999 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
    ],
    ['{"spec":"x"}', 'json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec'],
    [
      '{"metadata":{"labels":{"a":1}}}',
      'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string',
    ],
    [
      '{"metadata":{"labels":[]}}',
      'json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string',
    ],
    [
      '{"metadata":{"creationTimestamp":"yesterday"}}',
      'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
    ],
    [
      '{"metadata":{"creationTimestamp":5}}',
      'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string',
    ],
    [
      '{"spec":{"containers":[{"resources":{"limits":{"cpu":true}}}]}}',
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [
      '{"spec":{"hostNetwork":"true"}}',
      'json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool',
    ],
    [
      '{"metadata":{"finalizers":[1]}}',
      'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.finalizers of type string',
    ],
  ]

  it('words wrong types as upstream does', () => {
    for (const [body, why] of WRONG_TYPES) {
      assert.equal(
        messageOf(() => decode(body)),
        `Pod in version "v1" cannot be handled as a Pod: ${why}`,
      )
    }
  })

  const STRICT = '{"spec":{"foo":1,"containers":[{"bar":1,"name":"a","name":"b"}]}}'
  const PROBLEMS = [
    'duplicate field "spec.containers[0].name"',
    'unknown field "spec.foo"',
    'unknown field "spec.containers[0].bar"',
  ]

  it('refuses unknown and duplicate fields when strict', () => {
    const message = messageOf(() => decode(STRICT))
    assert.equal(
      message,
      `Pod in version "v1" cannot be handled as a Pod: strict decoding error: ${PROBLEMS.join(', ')}`,
    )
  })

  it('warns of them, or says nothing, when asked to', () => {
    const warned = decode(STRICT, { fieldValidation: 'Warn' })
    assert.deepEqual(warned.warnings, PROBLEMS)
    assert.deepEqual(warned.object['spec'], { containers: [{ name: 'b' }] })
    assert.deepEqual(decode(STRICT, { fieldValidation: 'Ignore' }).warnings, [])
  })

  it('is case-sensitive', () => {
    assert.match(
      messageOf(() => decode('{"Spec":{}}')),
      /strict decoding error: unknown field "Spec"$/,
    )
  })

  it('refuses other versions and kinds', () => {
    assert.equal(
      messageOf(() => decode('{"apiVersion":"apps/v1","kind":"Pod"}')),
      'the API version in the data (apps/v1) does not match the expected API version (v1)',
    )
    assert.match(
      messageOf(() => decode('{"apiVersion":"v1","kind":"Node"}')),
      /^Node in version "v1" cannot be handled as a Pod: converting/,
    )
  })

  it('explains what is no object', () => {
    const prefix =
      "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
    assert.equal(
      messageOf(() => decode('')),
      `${prefix}unexpected end of JSON input (<empty>)`,
    )
    assert.equal(
      messageOf(() => decode('abc')),
      `${prefix}invalid character 'a' looking for beginning of value (616263)`,
    )
    assert.match(
      messageOf(() => decode('[]')),
      /cannot unmarshal array/,
    )
    assert.match(
      messageOf(() => decode('{"kind":1}')),
      /cannot unmarshal number into Go struct field \.kind of type string/,
    )
  })

  it('reads YAML', () => {
    const { object } = decode(
      'kind: Pod\napiVersion: v1\nmetadata:\n  name: a\n  creationTimestamp: 2026-01-01T00:00:00Z\n',
      { format: 'yaml' },
    )
    assert.deepEqual(object['metadata'], { name: 'a', creationTimestamp: '2026-01-01T00:00:00Z' })
    assert.match(
      messageOf(() => decode('metadata:\n  name: a\n  name: b\n', { format: 'yaml' })),
      /line 3: key "name" already set in map$/,
    )
    assert.match(
      messageOf(() => decode('a: [', { format: 'yaml' })),
      /error converting YAML to JSON: yaml: line/,
    )
  })

  it('refuses hostile bodies', () => {
    assert.match(
      messageOf(() => decode(`{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`)),
      /exceeded max depth/,
    )
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x,x]']
    for (let i = 0; i < 9; i++)
      bomb.push(`b${i}: &b${i} [${Array.from({ length: 10 }, () => (i === 0 ? '*a' : `*b${i - 1}`)).join(',')}]`)
    assert.notEqual(
      messageOf(() => decode(bomb.join('\n'), { format: 'yaml' })),
      'accepted',
    )
  })
})

describe('json scanner', () => {
  it('words syntax errors as Go does', () => {
    const cases: readonly (readonly [string, string])[] = [
      ['{"a":tru}', "invalid character '}' in literal true (expecting 'e')"],
      ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
      ['{"a" 1}', "invalid character '1' after object key"],
      ['{"a":1 "b"}', "invalid character '\"' after object key:value pair"],
      ['[1 2]', "invalid character '2' after array element"],
      ['{"a":"\\x"}', "invalid character 'x' in string escape code"],
      ['{"a":01}', "invalid character '1' after object key:value pair"],
      ['{"a":-}', "invalid character '}' in numeric literal"],
      ['{"a', 'unexpected end of JSON input'],
      ['{} x', "invalid character 'x' after top-level value"],
    ]
    for (const [text, message] of cases) assert.equal(describeJsonError(text), message, text)
  })

  it('accepts exactly what JSON.parse accepts', () => {
    const text = fc.oneof(fc.json(), fc.stringMatching(/^[{}[\]",:0-9.eE+\-truefalsn \\]{0,12}$/))
    fc.assert(
      fc.property(text, (candidate) => {
        let isJson = true
        try {
          JSON.parse(candidate)
        } catch {
          isJson = false
        }
        assert.equal(describeJsonError(candidate) === undefined, isJson)
        if (isJson) assert.deepEqual(parseBody(candidate).strictErrors.length, findDuplicateFields(candidate).length)
      }),
    )
  })
})
