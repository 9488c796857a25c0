import { prepareNamespace } from '../lib/paths.ts'
import type { Recorder } from '../lib/trace.ts'

const MERGE = { 'content-type': 'application/merge-patch+json' }
const STRATEGIC = { 'content-type': 'application/strategic-merge-patch+json' }
const APPLY = { 'content-type': 'application/apply-patch+yaml' }
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** Definitions, and objects of what they define. */
export async function customResourcesBattery(recorder: Recorder): Promise<void> {
  const namespace = await prepareNamespace(recorder, 'crd')
  const group = `${recorder.run}.example.com`
  await badDefinitions(recorder, group)
  await recorder.call('define', { method: 'POST', path: DEFINITIONS, body: crontabs(group) })
  await established(recorder, `crontabs.${group}`)
  await useIt(recorder, { group, path: `/apis/${group}/v1/namespaces/${namespace}/crontabs` })
  await recorder.call('definition', { method: 'GET', path: `${DEFINITIONS}/crontabs.${group}` })
  await recorder.call('definition as a table', {
    method: 'GET',
    path: `${DEFINITIONS}/crontabs.${group}`,
    headers: { accept: TABLE },
  })
  await recorder.call('group', { method: 'GET', path: `/apis/${group}` })
  await recorder.call('version', { method: 'GET', path: `/apis/${group}/v1` })
  await recorder.call('delete the definition', { method: 'DELETE', path: `${DEFINITIONS}/crontabs.${group}` })
}

async function established(recorder: Recorder, name: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const { object } = await recorder.prepare({ method: 'GET', path: `${DEFINITIONS}/${name}` })
    const conditions = (object['status'] as { conditions?: { type: string; status: string }[] } | undefined)?.conditions
    if (conditions?.some(({ type, status }) => type === 'Established' && status === 'True')) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  // the handler and discovery of the real server follow a little later
  await new Promise((resolve) => setTimeout(resolve, 2000))
}

const spec = {
  type: 'object',
  required: ['cronSpec'],
  properties: {
    cronSpec: { type: 'string', pattern: '^[*0-9 ]+$', maxLength: 20 },
    replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 },
    image: { type: 'string', enum: ['a', 'b'], default: 'a', maxLength: 5 },
    nested: { type: 'object', default: {}, properties: { on: { type: 'boolean', default: true } } },
    list: {
      type: 'array',
      maxItems: 3,
      items: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string' }, value: { type: 'number', multipleOf: 2 } },
      },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    },
    set: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    map: { type: 'object', additionalProperties: { type: 'integer', format: 'int32' }, maxProperties: 2 },
    either: { 'x-kubernetes-int-or-string': true },
    when: { type: 'string', format: 'date-time' },
    nullable: { type: 'string', nullable: true },
    oneOf: {
      type: 'object',
      properties: { a: { type: 'string' }, b: { type: 'string' } },
      oneOf: [{ required: ['a'] }, { required: ['b'] }],
    },
  },
  'x-kubernetes-validations': [
    { rule: '!has(self.replicas) || self.replicas < 9', message: 'Too many replicas' },
    {
      rule: 'self.cronSpec == oldSelf.cronSpec',
      message: 'cronSpec is immutable',
      fieldPath: '.cronSpec',
      reason: 'FieldValueForbidden',
    },
    {
      rule: "self.image != 'b' || self.replicas > 1",
      messageExpression: "'image b needs more'",
    },
  ],
}

function crontabs(group: string): Record<string, unknown> {
  const status = { type: 'object', properties: { replicas: { type: 'integer' }, labelSelector: { type: 'string' } } }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `crontabs.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'crontabs', kind: 'CronTab', shortNames: ['ct'], categories: ['all'] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec, status } } },
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.labelSelector',
            },
          },
          additionalPrinterColumns: [
            { name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec', description: 'when' },
            { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
            { name: 'Wide', type: 'string', jsonPath: '.spec.list[*].name', priority: 1 },
          ],
        },
        {
          name: 'v2',
          served: true,
          storage: false,
          deprecated: true,
          deprecationWarning: 'use v1',
          schema: { openAPIV3Schema: { type: 'object', properties: { spec, status } } },
        },
      ],
    },
  }
}

async function useIt(recorder: Recorder, { group, path }: { group: string; path: string }): Promise<void> {
  const object = (name: string, body: object) => ({
    apiVersion: `${group}/v1`,
    kind: 'CronTab',
    metadata: { name },
    spec: { cronSpec: '* *', ...body },
  })
  const post = (step: string, body: unknown, query = '') =>
    recorder.call(`custom: ${step}`, { method: 'POST', path: `${path}${query}`, body })
  await post('create', object('a', {}))
  const bad: Record<string, object> = {
    'no spec': { spec: null },
    'bad pattern': { cronSpec: 'x y' },
    'too long': { cronSpec: '*'.repeat(21) },
    'too small': { replicas: 0 },
    'too many': { replicas: 11 },
    'wrong type': { replicas: 'x' },
    'not whole': { replicas: 1.5 },
    'bad enum': { image: 'c' },
    'bad list': { list: [{ value: 3 }, { name: 'a' }, { name: 'a' }, { name: 'b' }] },
    'bad set': { set: ['a', 'a'] },
    'bad map': { map: { a: 1, b: 2, c: 3 } },
    'map of text': { map: { a: 'x' } },
    'bad either': { either: true },
    'bad time': { when: 'yesterday' },
    null: { nullable: null, image: null },
    'none of': { oneOf: {} },
    'both of': { oneOf: { a: '1', b: '2' } },
    rule: { replicas: 9 },
    'rule with expression': { image: 'b' },
    unknown: { other: { a: 1 } },
    'free form': { free: { a: { b: 1 } } },
  }
  for (const [name, body] of Object.entries(bad)) await post(name, object('x', body), '?dryRun=All')
  await post('unknown strict', object('x', { other: 1 }), '?dryRun=All&fieldValidation=Strict')
  await post('unknown warn', { ...object('x', { other: 1 }), top: 1 }, '?dryRun=All&fieldValidation=Warn')
  await post('without apiVersion', { metadata: { name: 'x' }, spec: { cronSpec: '*' } }, '?dryRun=All')
  await post('wrong kind', { ...object('x', {}), kind: 'Other' }, '?dryRun=All')
  await post('wrong version', { ...object('x', {}), apiVersion: `${group}/v9` }, '?dryRun=All')
  await post('generated name', { ...object('x', {}), metadata: { generateName: 'generated-' } }, '?dryRun=All')
  await post('broken', '{')
  const patch = (step: string, body: unknown, headers: Record<string, string> = MERGE, at = '/a') =>
    recorder.call(`custom: ${step}`, { method: 'PATCH', path: `${path}${at}`, body, headers })
  await patch('change what may not change', { spec: { cronSpec: '* * *' } })
  await patch('merge', { spec: { replicas: 2, list: [{ name: 'n', value: 2 }] } })
  await patch('strategic', { spec: { replicas: 2 } }, STRATEGIC)
  await patch('JSON patch', [{ op: 'replace', path: '/spec/replicas', value: 3 }], {
    'content-type': 'application/json-patch+json',
  })
  await patch('apply', object('a', { list: [{ name: 'm', value: 4 }] }), APPLY, '/a?fieldManager=one')
  await patch('apply by another', object('a', { list: [{ name: 'm', value: 6 }] }), APPLY, '/a?fieldManager=two')
  await patch(
    'apply unknown',
    object('a', { list: [{ name: 'm', value: 4, other: 1 }] }),
    APPLY,
    '/a?fieldManager=one&fieldValidation=Strict',
  )
  await patch('apply anew', object('new', {}), APPLY, '/new?fieldManager=one')
  await patch('status', { status: { replicas: 2, labelSelector: 'a=b' }, spec: { replicas: 7 } }, MERGE, '/a/status')
  await patch('scale', { spec: { replicas: 4 } }, MERGE, '/a/scale')
  await patch('bad scale', { spec: { replicas: 40 } }, MERGE, '/a/scale')
  const get = (step: string, at: string, accept = 'application/json') =>
    recorder.call(`custom: ${step}`, { method: 'GET', path: `${path}${at}`, headers: { accept } })
  await get('get', '/a')
  await get('get as the other version', '/a'.replace('', ''))
  await recorder.call('custom: version 2', { method: 'GET', path: `${path.replace('/v1/', '/v2/')}/a` })
  await get('get scale', '/a/scale')
  await get('get status', '/a/status')
  await get('list', '')
  await get('table', '', TABLE)
  await get('metadata', '', 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1')
  await get('protobuf', '', 'application/vnd.kubernetes.protobuf')
  await get('yaml', '/a', 'application/yaml')
  await get('select', '?fieldSelector=spec.image%3Da')
  await get('select nothing', '?fieldSelector=spec.image%3Db')
  await get('select badly', '?fieldSelector=spec.replicas%3D1')
  await get('missing', '/none')
  await get('no version', '/a'.padEnd(2))
  await recorder.call('custom: update without a version', { method: 'PUT', path: `${path}/a`, body: object('a', {}) })
  await recorder.call('custom: watch', { method: 'GET', path: `${path}?watch=1&resourceVersion=0`, quietMs: 700 })
  await recorder.call('custom: delete', { method: 'DELETE', path: `${path}/a` })
  await recorder.call('custom: delete collection', { method: 'DELETE', path })
}

async function badDefinitions(recorder: Recorder, group: string): Promise<void> {
  const bad: Record<string, (spec: Record<string, never>) => unknown> = {
    'wrong name': (it) => ({ ...it, names: { plural: 'others', kind: 'CronTab' } }),
    'no versions': (it) => ({ ...it, versions: [] }),
    'no group': (it) => ({ ...it, group: '' }),
    'bad scope': (it) => ({ ...it, scope: 'Everywhere' }),
    'bad names': (it) => ({ ...it, names: { plural: 'Cron Tabs', kind: '1x', shortNames: ['A B'] } }),
    'no schema': (it) => ({ ...it, versions: [{ name: 'v1', served: true, storage: true }] }),
    'two stored': (it) => ({
      ...it,
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
      ],
    }),
    'bad version name': (it) => ({
      ...it,
      versions: [{ name: 'V 1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    }),
    'no type': (it) => withSchema(it, { properties: { spec: {} } }),
    'array of nothing': (it) =>
      withSchema(it, {
        type: 'object',
        properties: { a: { type: 'array' }, b: { type: 'nothing' }, c: { type: 'string', pattern: '(' } },
      }),
    'bad default': (it) => withSchema(it, { type: 'object', properties: { a: { type: 'integer', default: 'x' } } }),
    'bad rule': (it) =>
      withSchema(it, {
        type: 'object',
        'x-kubernetes-validations': [{ rule: 'self.none == 1' }, { rule: '' }, { rule: '1 +' }],
      }),
    'not structural': (it) =>
      withSchema(it, {
        type: 'object',
        properties: { a: { type: 'object', anyOf: [{ properties: { x: { type: 'string' } } }] } },
      }),
    'bad list type': (it) =>
      withSchema(it, {
        type: 'object',
        properties: {
          a: { type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'map' },
          b: { type: 'string', 'x-kubernetes-list-type': 'set' },
        },
      }),
    'bad columns': (it) => ({
      ...it,
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object' } },
          additionalPrinterColumns: [{ name: '', type: 'x', jsonPath: 'y' }],
        },
      ],
    }),
    'bad scale': (it) => ({
      ...it,
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object' } },
          subresources: { scale: { specReplicasPath: 'x', statusReplicasPath: '' } },
        },
      ],
    }),
    'bad conversion': (it) => ({ ...it, conversion: { strategy: 'Webhook' } }),
    'preserving all': (it) => ({ ...it, preserveUnknownFields: true }),
  }
  for (const [name, change] of Object.entries(bad)) {
    const definition = crontabs(group)
    await recorder.call(`definition: ${name}`, {
      method: 'POST',
      path: `${DEFINITIONS}?dryRun=All`,
      body: { ...definition, spec: change(definition['spec'] as Record<string, never>) },
    })
  }
}

function withSchema(it: object, schema: unknown): unknown {
  return { ...it, versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }] }
}
