import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { buildOpenApiV2, buildOpenApiV3, documentPaths } from './documents.ts'
import { createOpenApi, DOCUMENTS_FINGERPRINT, fingerprint } from './openapi.ts'
import type { CustomResourceDescription } from './types.ts'

type Json = Record<string, unknown>

const WIDGET: CustomResourceDescription = {
  group: 'example.com',
  version: 'v1',
  resource: 'widgets',
  kind: 'Widget',
  listKind: 'WidgetList',
  namespaced: true,
  subresources: ['status', 'scale'],
  schema: {
    type: 'object',
    description: 'A thing',
    properties: {
      spec: {
        type: 'object',
        required: ['size'],
        properties: {
          size: { type: 'integer', default: 1, minimum: 0 },
          port: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
          note: { type: 'string', nullable: true },
        },
      },
    },
  },
}

function parse(bytes: Uint8Array | undefined): Json {
  assert.ok(bytes)
  return JSON.parse(new TextDecoder().decode(bytes)) as Json
}

function schemaOf(document: Json, name: string): Json {
  const schemas = document['definitions'] ?? (document['components'] as Json)['schemas']
  return (schemas as Json)[name] as Json
}

describe('createOpenApi', () => {
  it('names a document and its hash for every group version', () => {
    const { paths } = createOpenApi().v3Index()
    assert.match(paths['apis/apps/v1']!.serverRelativeURL, /^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]{16}$/)
    assert.ok(paths['api/v1'] && paths['version'] && paths['apis'])
    assert.equal(createOpenApi().v3('apis/nothing/v1'), undefined)
  })

  it('changes the hash of what changes and of nothing else', () => {
    const without = createOpenApi()
    const withWidget = createOpenApi({ customResources: [WIDGET] })
    assert.equal(without.v3Hash('apis/apps/v1'), withWidget.v3Hash('apis/apps/v1'))
    assert.notEqual(without.v2Hash(), withWidget.v2Hash())
    const changed = createOpenApi({ customResources: [{ ...WIDGET, schema: undefined }] })
    assert.notEqual(changed.v3Hash('apis/example.com/v1'), withWidget.v3Hash('apis/example.com/v1'))
  })

  it('has a fingerprint that changes with the documents', () => {
    const texts = documentPaths().map((path) => JSON.stringify(buildOpenApiV3(path)))
    const actual = fingerprint([...texts, JSON.stringify(buildOpenApiV2())])
    assert.equal(DOCUMENTS_FINGERPRINT, actual, `set DOCUMENTS_FINGERPRINT to '${actual}', so that clients read again`)
  })

  it('describes what kubectl asks of a patch: the kind, dry run and field validation', () => {
    const paths = parse(createOpenApi().v3('apis/apps/v1'))['paths'] as Json
    const { patch } = paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}'] as { patch: Json }
    assert.deepEqual(patch['x-kubernetes-group-version-kind'], { group: 'apps', version: 'v1', kind: 'Deployment' })
    const names = (patch['parameters'] as Json[]).map((parameter) => parameter['name'])
    assert.deepEqual(names, ['dryRun', 'fieldManager', 'fieldValidation', 'force'])
  })

  it('describes custom resources in both versions', () => {
    const api = createOpenApi({ customResources: [WIDGET] })
    const v3 = parse(api.v3('apis/example.com/v1'))
    const object = schemaOf(v3, 'com.example.v1.Widget')
    assert.deepEqual(object['x-kubernetes-group-version-kind'], [
      { group: 'example.com', kind: 'Widget', version: 'v1' },
    ])
    assert.deepEqual(Object.keys(object['properties'] as Json), ['spec', 'apiVersion', 'kind', 'metadata'])
    assert.ok(schemaOf(v3, 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'))
    assert.ok((v3['paths'] as Json)['/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/scale'])
    const v2 = schemaOf(parse(api.v2()), 'com.example.v1.Widget')
    const { spec } = v2['properties'] as { spec: { properties: Json } }
    assert.deepEqual(spec.properties, {
      size: { type: 'integer', minimum: 0 },
      port: { 'x-kubernetes-int-or-string': true },
      note: {},
    })
  })

  it('puts the texts in where there are some', () => {
    const name = 'io.k8s.api.apps.v1.DeploymentSpec'
    const descriptions = { [name]: { description: 'What is wanted.', fields: { replicas: 'How many.' } } }
    const document = parse(createOpenApi({ descriptions: () => descriptions }).v3('apis/apps/v1'))
    const schema = schemaOf(document, name)
    assert.equal(schema['description'], 'What is wanted.')
    assert.equal((schema['properties'] as { replicas: Json }).replicas['description'], 'How many.')
  })
})

describe('the protobuf form of the v2 document', () => {
  it('holds the paths, definitions and extensions of the JSON form', () => {
    const [document, json] = [createOpenApi().v2Protobuf(), buildOpenApiV2()]
    // Document.paths.path and Document.definitions.additional_properties: lists of name and value.
    const paths = fieldsAt(document, [8, 2, 1]).map((bytes) => bytes.toString())
    const definitions = fieldsAt(document, [9, 1])
    assert.deepEqual(paths, Object.keys(json['paths'] as Json))
    const names = definitions.map((bytes) => fieldsAt(bytes, [1]).toString())
    assert.deepEqual(names, Object.keys(json['definitions'] as Json))
    const deployment = definitions[names.indexOf('io.k8s.api.apps.v1.Deployment')]!
    const properties = fieldsAt(deployment, [2, 25, 1, 1]).map((bytes) => bytes.toString())
    assert.deepEqual(properties, ['apiVersion', 'kind', 'metadata', 'spec', 'status'])
    const kinds = fieldsAt(deployment, [2, 31, 2, 2]).toString()
    assert.deepEqual(JSON.parse(kinds), [{ group: 'apps', kind: 'Deployment', version: 'v1' }])
  })
})

/** Contents of the fields with a length that `path`'s numbers lead to: a reader of its own, as plain as can be. */
function fieldsAt(bytes: Uint8Array, path: readonly number[]): Buffer[] {
  const [wanted, ...rest] = path
  if (wanted === undefined) return [Buffer.from(bytes)]
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const tag = varintAt(bytes, at)
    const value = varintAt(bytes, tag.next)
    const isText = tag.value % 8 === 2
    if (isText && Math.floor(tag.value / 8) === wanted) {
      found.push(...fieldsAt(bytes.subarray(value.next, value.next + value.value), rest))
    }
    at = value.next + (isText ? value.value : 0)
  }
  return found
}

function varintAt(bytes: Uint8Array, start: number): { value: number; next: number } {
  let value = 0
  for (let i = 0; ; i++) {
    const byte = bytes[start + i]!
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return { value, next: start + i + 1 }
  }
}
