import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { applyPatch } from '../apply/apply-patch.ts'
import type { CustomResourceDefinition, JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import type { KubeObject } from '../kinds/behavior.ts'
import { deepClone } from '../meta/values.ts'
import { FieldPath, type FieldError } from '../status/field-error.ts'
import { convertCustomResource } from './convert.ts'
import { defaultObject } from './defaults.ts'
import { evaluateJsonPath, parseJsonPath, printerColumnValue } from './json-path.ts'
import { pruneObject } from './prune.ts'
import { readScale, writeSpecReplicas } from './scale.ts'
import { toStructSchema } from './to-struct-schema.ts'
import { validateCustomResource } from './validate-custom-resource.ts'
import { validateCustomResourceDefinition } from './validate-crd.ts'
import { validateSchema } from './validate-schema.ts'
import { matchesFormat } from './formats.ts'
import { matchesPattern } from './patterns.ts'

const lines = (errors: readonly FieldError[]): string[] => errors.map((error) => `${error.field}: ${error.message}`)

const specSchema = (spec: JSONSchemaProps): JSONSchemaProps => ({ type: 'object', properties: { spec } })
const check = (spec: unknown, schema: JSONSchemaProps, old?: unknown): string[] =>
  lines(validateCustomResource({ spec }, specSchema(schema), old === undefined ? {} : { old: { spec: old } }))

/** The example of the Kubernetes documentation. */
function cronTab(): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'crontabs.stable.example.com' },
    spec: {
      group: 'stable.example.com',
      scope: 'Namespaced',
      names: { plural: 'crontabs', singular: 'crontab', kind: 'CronTab', listKind: 'CronTabList', shortNames: ['ct'] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: {
                  type: 'object',
                  properties: {
                    cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' },
                    image: { type: 'string' },
                    replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 },
                  },
                },
                status: {
                  type: 'object',
                  properties: { replicas: { type: 'integer' }, labelSelector: { type: 'string' } },
                },
              },
            },
          },
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.labelSelector',
            },
          },
          additionalPrinterColumns: [{ name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec' }],
        },
      ],
    },
  }
}

describe('validateCustomResource', () => {
  it('words violations as upstream does', () => {
    const cases: readonly (readonly [unknown, JSONSchemaProps, string])[] = [
      [
        { x: 'a' },
        { type: 'object', properties: { x: { type: 'integer' } } },
        'spec.x: Invalid value: "string": spec.x in body must be of type integer: "string"',
      ],
      [
        { x: null },
        { type: 'object', properties: { x: { type: 'string' } } },
        'spec.x: Invalid value: "null": spec.x in body must be of type string: "null"',
      ],
      [
        { x: true },
        { type: 'object', properties: { x: { 'x-kubernetes-int-or-string': true } } },
        'spec.x: Invalid value: "boolean": spec.x in body must be of type integer,string: "boolean"',
      ],
      [{}, { type: 'object', required: ['x'] }, 'spec.x: Required value'],
      ['c', { type: 'string', enum: ['a', 'b'] }, 'spec: Unsupported value: "c": supported values: "a", "b"'],
      ['A', { type: 'string', pattern: '^[a-z]+$' }, `spec: Invalid value: "A": spec in body should match '^[a-z]+$'`],
      ['abc', { type: 'string', maxLength: 2 }, 'spec: Too long: may not be more than 2 bytes'],
      ['a', { type: 'string', minLength: 2 }, 'spec: Invalid value: "a": spec in body should be at least 2 chars long'],
      [0, { type: 'integer', minimum: 1 }, 'spec: Invalid value: 0: spec in body should be greater than or equal to 1'],
      [
        1,
        { type: 'integer', minimum: 1, exclusiveMinimum: true },
        'spec: Invalid value: 1: spec in body should be greater than 1',
      ],
      [
        11,
        { type: 'integer', maximum: 10 },
        'spec: Invalid value: 11: spec in body should be less than or equal to 10',
      ],
      [7, { type: 'integer', multipleOf: 5 }, 'spec: Invalid value: 7: spec in body should be a multiple of 5'],
      [
        [1, 2, 3],
        { type: 'array', items: { type: 'integer' }, maxItems: 2 },
        'spec: Too many: 3: must have at most 2 items',
      ],
      ['x', { type: 'string', format: 'ipv4' }, 'spec: Invalid value: "x": spec in body must be of type ipv4: "x"'],
      [
        ['a', 'b', 'a'],
        { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
        'spec[2]: Duplicate value: "a"',
      ],
      [
        [{ n: 'a' }, { n: 'a' }],
        {
          type: 'array',
          items: { type: 'object', properties: { n: { type: 'string' } } },
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['n'],
        },
        'spec[1]: Duplicate value: {"n":"a"}',
      ],
      [
        { a: 1 },
        {
          type: 'object',
          properties: { a: { type: 'integer' }, b: { type: 'integer' } },
          oneOf: [{ required: ['b'] }, { properties: { a: { minimum: 5 } } }],
        },
        '<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid',
      ],
      [
        5,
        { type: 'integer', not: { minimum: 3 } },
        '<nil>: Invalid value: "": "spec" must not validate the schema (not)',
      ],
    ]
    for (const [value, schema, message] of cases) assert.equal(check(value, schema)[0], message)
  })

  it('accepts what fits', () => {
    const schema: JSONSchemaProps = {
      type: 'object',
      properties: {
        port: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
        ratio: { type: 'number' },
        none: { type: 'string', nullable: true },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
      },
    }
    assert.deepEqual(check({ port: 80, ratio: 1, none: null, labels: { a: 'b' } }, schema), [])
    assert.deepEqual(check({ port: 'http', ratio: 0.5 }, schema), [])
  })

  it('forgives on update what was there before', () => {
    const schema: JSONSchemaProps = {
      type: 'object',
      properties: { a: { type: 'string', pattern: '^x' }, b: { type: 'string' } },
    }
    assert.deepEqual(check({ a: 'old', b: 'new' }, schema, { a: 'old', b: 'old' }), [])
    assert.equal(check({ a: 'other' }, schema, { a: 'old' }).length, 1)
  })

  it('wants embedded resources to say what they are', () => {
    const schema: JSONSchemaProps = {
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      'x-kubernetes-preserve-unknown-fields': true,
    }
    assert.deepEqual(check({ apiVersion: 'v1' }, schema).slice(0, 1), ['spec.kind: Required value: must not be empty'])
  })
})

describe('x-kubernetes-validations', () => {
  const rules = (...list: NonNullable<JSONSchemaProps['x-kubernetes-validations']>): JSONSchemaProps => ({
    type: 'object',
    properties: {
      min: { type: 'integer' },
      max: { type: 'integer' },
      name: { type: 'string' },
      items: { type: 'array', items: { type: 'object', properties: { n: { type: 'integer' } } } },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
      'a-b': { type: 'string' },
      memory: { type: 'string' },
    },
    'x-kubernetes-validations': list,
  })

  it('pass or fail with message, reason and field path', () => {
    assert.deepEqual(check({ min: 1, max: 2 }, rules({ rule: 'self.min <= self.max' })), [])
    assert.deepEqual(check({ min: 3, max: 2 }, rules({ rule: 'self.min <= self.max' })), [
      'spec: Invalid value: failed rule: self.min <= self.max',
    ])
    const full = rules({
      rule: 'self.min <= self.max',
      message: 'min is too large',
      reason: 'FieldValueForbidden',
      fieldPath: '.min',
    })
    assert.deepEqual(check({ min: 3, max: 2 }, full), ['spec.min: Forbidden: min is too large'])
    const expression = rules({ rule: 'self.min <= self.max', messageExpression: '"min is " + string(self.min)' })
    assert.deepEqual(check({ min: 3, max: 2 }, expression), ['spec: Invalid value: min is 3'])
  })

  it('compare with the old object only when there is one', () => {
    const schema = rules({ rule: 'self.name == oldSelf.name', message: 'name is immutable' })
    assert.deepEqual(check({ name: 'a' }, schema), [])
    assert.deepEqual(check({ name: 'a' }, schema, { name: 'b' }), ['spec: Invalid value: name is immutable'])
    const optional = rules({
      rule: 'oldSelf.hasValue() || self.min == 0',
      message: 'starts at zero',
      optionalOldSelf: true,
    })
    assert.deepEqual(check({ min: 1 }, optional), ['spec: Invalid value: starts at zero'])
    assert.deepEqual(check({ min: 1 }, optional, { min: 0 }), [])
  })

  it('know macros, maps, escaped names and the Kubernetes library', () => {
    const spec = { items: [{ n: 1 }, { n: 2 }], labels: { app: 'web' }, 'a-b': 'x', memory: '1Gi', name: 'abc' }
    for (const rule of [
      'self.items.all(i, i.n > 0) && size(self.items) == 2',
      'self.items.map(i, i.n).sum() == 3',
      "self.labels.exists(k, k == 'app') && self.labels['app'] == 'web'",
      "self.a__dash__b == 'x'",
      "quantity(self.memory).isGreaterThan(quantity('512Mi'))",
      "self.name.find('b.') == 'bc'",
      '!has(self.min) || self.min > 0',
      '[1, 2, 3].isSorted()',
      "'%s-%d'.format(['a', 1]) == 'a-1'",
    ]) {
      assert.deepEqual(check(spec, rules({ rule })), [], rule)
    }
  })

  it('report rules that fail to run or would cost too much', () => {
    assert.match(
      check({}, rules({ rule: 'self.min > 1', message: 'm' }))[0]!,
      /^spec: Invalid value: "object": .*evaluating rule: m$/,
    )
    const items = Array.from({ length: 2000 }, (_, n) => ({ n }))
    const nested = rules({ rule: 'self.items.all(a, self.items.all(b, self.items.all(c, a.n + b.n + c.n >= 0)))' })
    assert.match(check({ items }, nested)[0]!, /running out of cost budget/)
  })

  it('are not run on invalid objects', () => {
    const seen = check({ min: 'x' }, rules({ rule: 'false' }))
    assert.equal(seen.length, 2)
    assert.match(seen[1]!, /^<nil>: Invalid value: null: some validation rules were not checked/)
  })

  it('are checked when the definition is', () => {
    const problems = (rule: string): string[] => lines(validateSchema(specSchema(rules({ rule })), new FieldPath('s')))
    assert.deepEqual(problems('self.min > 0'), [])
    assert.match(
      problems('self.min >')[0]!,
      /^s\.properties\[spec\]\.x-kubernetes-validations\[0\]\.rule: Invalid value: .*compilation failed/,
    )
    assert.match(problems('other > 1')[0]!, /compilation failed: Unknown variable: other/)
    assert.match(problems('"text"')[0]!, /must evaluate to a bool$/)
    assert.match(problems(' ')[0]!, /Required value: rule is not specified$/)
  })
})

describe('pruneObject and defaultObject', () => {
  const schema: JSONSchemaProps = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: {
          a: { type: 'integer', default: 5 },
          list: { type: 'array', items: { type: 'object', properties: { x: { type: 'string', default: 'd' } } } },
          open: {
            type: 'object',
            'x-kubernetes-preserve-unknown-fields': true,
            properties: { known: { type: 'object' } },
          },
          map: { type: 'object', additionalProperties: { type: 'object', properties: { y: { type: 'integer' } } } },
          sub: { type: 'object', default: {}, properties: { z: { type: 'integer', default: 1 } } },
        },
      },
    },
  }

  it('remove unknown fields and say which', () => {
    const object = {
      apiVersion: 'g/v1',
      kind: 'K',
      metadata: { name: 'a', anything: 1 },
      spec: {
        b: 1,
        list: [{ x: 'a', q: 1 }],
        open: { any: { thing: 1 }, known: { no: 1 } },
        map: { k: { y: 1, q: 2 } },
      },
      extra: 1,
    }
    const pruned = pruneObject(object, schema)
    assert.deepEqual(pruned, ['spec.b', 'spec.list[0].q', 'spec.open.known.no', 'spec.map.k.q', 'extra'])
    assert.deepEqual(object.spec, { list: [{ x: 'a' }], open: { any: { thing: 1 }, known: {} }, map: { k: { y: 1 } } })
    assert.deepEqual(object.metadata, { name: 'a', anything: 1 })
  })

  it('fill defaults, also inside of defaults and for null', () => {
    const object: Record<string, unknown> = { spec: { a: null, list: [{}] } }
    defaultObject(object, schema)
    assert.deepEqual(object, { spec: { a: 5, list: [{ x: 'd' }], sub: { z: 1 } } })
    const again = deepClone(object)
    defaultObject(again, schema)
    assert.deepEqual(again, object)
  })

  it('leave only what the schema has, and nothing to do the second time', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('a', 'list', 'open', 'map', 'sub', 'q'), fc.jsonValue({ maxDepth: 3 })),
        (spec) => {
          const object: Record<string, unknown> = { spec: deepClone(spec) }
          pruneObject(object, schema)
          assert.deepEqual(pruneObject(object, schema), [])
        },
      ),
    )
  })
})

describe('validateCustomResourceDefinition', () => {
  it('accepts the example of the documentation', () => {
    assert.deepEqual(validateCustomResourceDefinition(cronTab()), [])
  })

  const broken = (change: (crd: CustomResourceDefinition) => void, old?: CustomResourceDefinition): string[] => {
    const crd = cronTab()
    change(crd)
    return lines(validateCustomResourceDefinition(crd, { old }))
  }

  it('words problems as upstream does', () => {
    assert.deepEqual(
      broken((crd) => (crd.metadata.name = 'x.example.com')),
      ['metadata.name: Invalid value: "x.example.com": must be spec.names.plural+"."+spec.group'],
    )
    assert.match(
      broken((crd) => (crd.spec.versions[0]!.storage = false))[0]!,
      /must have exactly one version marked as storage version$/,
    )
    assert.deepEqual(
      broken((crd) => delete crd.spec.versions[0]!.schema),
      ['spec.versions[0].schema.openAPIV3Schema: Required value'],
    )
    assert.deepEqual(
      broken((crd) => (crd.spec.scope = 'World')),
      ['spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"'],
    )
    assert.deepEqual(
      broken((crd) => (crd.spec.names.listKind = 'CronTab')),
      ['spec.names.listKind: Invalid value: "CronTab": kind and listKind may not be the same'],
    )
    assert.match(
      broken((crd) => (crd.spec.versions[0]!.subresources!.scale!.specReplicasPath = '.status.x'))[0]!,
      /should be a json path under \.spec$/,
    )
    assert.match(
      broken((crd) => (crd.spec.versions[0]!.additionalPrinterColumns![0]!.type = 'text'))[0]!,
      /must be one of boolean,date,integer,number,string$/,
    )
    assert.match(
      broken((crd) => (crd.spec.conversion = { strategy: 'Webhook' }))[0]!,
      /^spec\.conversion\.strategy: Unsupported value: "Webhook": supported values: "None"$/,
    )
  })

  it('keeps names once established', () => {
    const old = {
      ...cronTab(),
      status: { conditions: [{ type: 'Established', status: 'True' }] },
    } as CustomResourceDefinition
    old.metadata.resourceVersion = '1'
    const seen = broken((crd) => {
      crd.metadata.resourceVersion = '1'
      crd.spec.names.kind = 'Other'
    }, old)
    assert.deepEqual(seen, ['spec.names.kind: Invalid value: "Other": field is immutable'])
  })

  const schemaErrors = (schema: JSONSchemaProps): string[] => lines(validateSchema(schema, new FieldPath('s')))

  it('wants structural schemas', () => {
    assert.deepEqual(schemaErrors({ type: 'object', properties: { a: {} } }), [
      's.properties[a].type: Required value: must not be empty for specified object fields',
    ])
    assert.deepEqual(schemaErrors({ properties: {} }), ['s.type: Required value: must not be empty at the root'])
    assert.deepEqual(schemaErrors(specSchema({ type: 'array' })), [
      's.properties[spec].items: Required value: must be specified',
    ])
    assert.deepEqual(schemaErrors(specSchema({ type: 'object', anyOf: [{ type: 'object' }] })), [
      's.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural',
    ])
    assert.deepEqual(schemaErrors(specSchema({ type: 'object', anyOf: [{ properties: { q: { minimum: 1 } } }] })), [
      's.properties[spec].properties[q]: Required value: because it is defined in s.properties[spec].anyOf[0].properties[q]',
    ])
    assert.match(
      schemaErrors({
        type: 'object',
        properties: { metadata: { type: 'object', properties: { labels: { type: 'object' } } } },
      })[0]!,
      /must not specify anything other than name and generateName/,
    )
  })

  it('checks list types, defaults and keywords', () => {
    const item = { type: 'object', properties: { n: { type: 'string' } } }
    assert.deepEqual(
      schemaErrors(
        specSchema({
          type: 'array',
          items: item,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['n'],
        }),
      ),
      [
        's.properties[spec].items.properties[n].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
      ],
    )
    assert.match(
      schemaErrors(specSchema({ type: 'integer', default: 'x' }))[0]!,
      /^s\.properties\[spec\]\.default: Invalid value: "string"/,
    )
    assert.match(
      schemaErrors(specSchema({ type: 'object', default: { q: 1 } }))[0]!,
      /must not have unknown fields: q$/,
    )
    assert.match(
      schemaErrors(specSchema({ type: 'array', items: { type: 'string' }, uniqueItems: true }))[0]!,
      /uniqueItems cannot be set to true/,
    )
    assert.match(schemaErrors(specSchema({ type: 'string', pattern: '(' }))[0]!, /must be a valid regular expression/)
  })
})

describe('toStructSchema', () => {
  it('lets server-side apply merge custom resources by their list types', () => {
    const item: JSONSchemaProps = { type: 'object', properties: { n: { type: 'string' }, v: { type: 'integer' } } }
    const schema = toStructSchema(
      specSchema({
        type: 'object',
        properties: {
          byKey: { type: 'array', items: item, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['n'] },
          whole: { type: 'array', items: item },
        },
      }),
    )
    const apply = (live: KubeObject | undefined, manager: string, spec: unknown): KubeObject & { spec?: unknown } => {
      const patch = { apiVersion: 'g/v1', kind: 'K', metadata: { name: 'a' }, spec }
      return applyPatch<KubeObject>({ live, patch, schema, manager, nowMs: 0, apiVersion: 'g/v1', kind: 'K' }).object
    }
    const one = apply(undefined, 'one', { byKey: [{ n: 'a', v: 1 }], whole: [{ n: 'x' }] })
    const two = apply(one, 'two', { byKey: [{ n: 'b', v: 2 }] })
    assert.deepEqual(two.spec, {
      byKey: [
        { n: 'a', v: 1 },
        { n: 'b', v: 2 },
      ],
      whole: [{ n: 'x' }],
    })
    const three = apply(two, 'one', { byKey: [] })
    assert.deepEqual(three.spec, { byKey: [{ n: 'b', v: 2 }] })
  })
})

describe('evaluateJsonPath', () => {
  const object = {
    metadata: { labels: { 'app.io/name': 'web' } },
    spec: {
      list: [
        { n: 'a', v: 1 },
        { n: 'b', v: 2 },
        { n: 'c', v: 3 },
      ],
    },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'Other', status: 'False' },
      ],
    },
  }

  it('understands what printer columns use', () => {
    const cases: readonly (readonly [string, unknown[]])[] = [
      ['.spec.list[0].n', ['a']],
      ['{.spec.list[*].n}', ['a', 'b', 'c']],
      ['.spec.list[-1].v', [3]],
      ['.spec.list[0:2].v', [1, 2]],
      ['.spec.list[0,2].v', [1, 3]],
      ["$.metadata.labels['app.io/name']", ['web']],
      ['.metadata.labels.app\\.io/name', ['web']],
      ['.status.conditions[?(@.type=="Ready")].status', ['True']],
      [".status.conditions[?(@.type == 'None')].status", []],
      ['.spec.list[?(@.v>1)].n', ['b', 'c']],
      ['..n', ['a', 'b', 'c']],
      ['.missing.field', []],
      ['.constructor', []],
    ]
    for (const [path, expected] of cases) assert.deepEqual(evaluateJsonPath(path, object), expected, path)
  })

  it('makes cells of columns', () => {
    assert.equal(printerColumnValue({ jsonPath: '.spec.list[0].v', type: 'integer' }, object), 1)
    assert.equal(printerColumnValue({ jsonPath: '.spec.list[*].n', type: 'string' }, object), 'a')
    assert.equal(printerColumnValue({ jsonPath: '.missing', type: 'string' }, object), null)
    assert.equal(printerColumnValue({ jsonPath: '.spec.list[0].n', type: 'integer' }, object), null)
  })

  it('refuses what it can not read', () => {
    for (const path of ['.a[', '.a[x]', '.a[?(@.b==)]', '.a b'])
      assert.throws(() => parseJsonPath(path), SyntaxError, path)
  })
})

describe('scale and conversion', () => {
  it('read and write replicas by path', () => {
    const paths = {
      specReplicasPath: '.spec.size.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.selector',
    }
    const draft: Record<string, unknown> = { status: { replicas: 2, selector: 'a=b' } }
    writeSpecReplicas(draft, paths, 5)
    assert.deepEqual(readScale(draft, paths), { specReplicas: 5, statusReplicas: 2, selector: 'a=b' })
  })

  it('rewrites the version, and refuses webhooks', () => {
    assert.deepEqual(convertCustomResource({ apiVersion: 'g/v1', a: 1 }, 'g/v2'), { apiVersion: 'g/v2', a: 1 })
    assert.throws(
      () => convertCustomResource({ apiVersion: 'g/v1' }, 'g/v2', { conversion: { strategy: 'Webhook' } }),
      /not supported/,
    )
  })
})

describe('formats and patterns', () => {
  it('follow upstream', () => {
    for (const [format, good, bad] of [
      ['date-time', '2026-01-01T00:00:00Z', 'today'],
      ['date', '2026-01-31', '2026-02-30'],
      ['duration', '1h30m', 'long'],
      ['ipv4', '10.0.0.1', '256.0.0.1'],
      ['ipv6', 'fe80::1', '10.0.0.1'],
      ['cidr', '10.0.0.0/8', '10.0.0.0/33'],
      ['uuid', '123e4567-e89b-12d3-a456-426614174000', '123'],
      ['hostname', 'a.example.com', '-a'],
      ['byte', 'YWJj', '%'],
      ['uri', 'https://example.com', 'no uri'],
    ] as const) {
      assert.equal(matchesFormat(good, format), true, `${format} ${good}`)
      assert.equal(matchesFormat(bad, format), false, `${format} ${bad}`)
    }
    assert.equal(matchesFormat('anything', 'unknown'), true)
    assert.equal(matchesPattern('ABC', '(?i)^abc$'), true)
    assert.equal(matchesPattern('a1', '^[[:alnum:]]+$'), true)
    assert.equal(matchesPattern('a-b', '^[a-z\\-]+$'), true)
    assert.equal(matchesPattern('x'.repeat(20_000), 'x'), false)
  })
})
