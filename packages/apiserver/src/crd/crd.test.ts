import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  customresourcedefinitions,
  type CustomResourceDefinition,
  type JSONSchemaProps,
} from '@centaurus/api/apiextensions/v1'
import { apiservices } from '@centaurus/api/apiregistration/v1'
import { createDiscoveryExtension } from '../discovery/discovery-extension.ts'
import { createOpenApiExtension } from '../discovery/openapi-extension.ts'
import { startTestServer, type TestObject, type TestServer } from '../testing/test-server.ts'
import { createApiServicesExtension } from './api-services.ts'
import { createCrdExtension } from './crd-extension.ts'
import { planNames } from './naming.ts'

const SCHEMA: JSONSchemaProps = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'integer', minimum: 1 },
        colour: { type: 'string', default: 'red' },
        replicas: { type: 'integer' },
      },
      'x-kubernetes-validations': [{ rule: 'self.size < 100', message: 'too big' }],
    },
    status: { type: 'object', properties: { replicas: { type: 'integer' } } },
  },
}

function definition(plural: string, more: Partial<CustomResourceDefinition['spec']> = {}): CustomResourceDefinition {
  const kind = plural[0]!.toUpperCase() + plural.slice(1, -1)
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.example.com` },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural, kind, shortNames: [plural.slice(0, 2)] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: SCHEMA },
          subresources: {
            status: {},
            scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
          },
          additionalPrinterColumns: [{ name: 'Size', type: 'integer', jsonPath: '.spec.size' }],
          selectableFields: [{ jsonPath: '.spec.colour' }],
        },
      ],
      ...more,
    },
  }
}

describe('custom resources', () => {
  let test: TestServer
  before(async () => {
    test = await startTestServer({
      extensions: [
        createDiscoveryExtension(),
        createOpenApiExtension(),
        createCrdExtension(),
        createApiServicesExtension(),
      ],
    })
  })
  after(() => test.close())

  async function establish(crd: CustomResourceDefinition): Promise<void> {
    await test.client.create(customresourcedefinitions, crd)
    await until(() => {
      const conditions =
        test.server.reader.get(customresourcedefinitions, { name: crd.metadata.name ?? '' })?.status?.conditions ?? []
      return conditions.some((condition) => condition.type === 'Established' && condition.status === 'True')
    })
  }
  const pathOf = (plural: string): string => `/apis/example.com/v1/namespaces/default/${plural}`
  const object = (kind: string, name: string, spec: object): object => ({
    apiVersion: 'example.com/v1',
    kind,
    metadata: { name },
    spec,
  })

  it('are served when their definition is established, with defaults, pruning and validation', async () => {
    await establish(definition('widgets'))
    const base = pathOf('widgets')
    const created = await test.request('POST', base, { body: object('Widget', 'a', { size: 3, unknown: true }) })
    assert.equal(created.status, 201)
    assert.deepEqual(created.json().spec, { size: 3, colour: 'red' })
    const refused = await test.request('POST', base, { body: object('Widget', 'b', { size: 0 }) })
    assert.equal(refused.status, 422)
    assert.match(
      refused.json().message,
      /^Widget.example.com "b" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1/,
    )
    assert.match(
      (await test.request('POST', base, { body: object('Widget', 'b', { size: 200 }) })).json().message,
      /too big/,
    )
    assert.equal((await test.request('GET', `${base}/a`)).json().spec.colour, 'red')
  })

  it('have status, scale, columns and field selectors', async () => {
    await establish(definition('gadgets'))
    const base = pathOf('gadgets')
    await test.request('POST', base, { body: object('Gadget', 'a', { size: 1, replicas: 2 }) })
    const read = (await test.request('GET', `${base}/a`)).json()
    const status = await test.request('PUT', `${base}/a/status`, {
      body: { ...read, spec: { size: 9 }, status: { replicas: 1 } },
    })
    assert.deepEqual([status.json().spec.size, status.json().status], [1, { replicas: 1 }])
    const scale = (await test.request('GET', `${base}/a/scale`)).json()
    assert.deepEqual([scale.kind, scale.spec, scale.status], ['Scale', { replicas: 2 }, { replicas: 1 }])
    const accept = 'application/json;as=Table;g=meta.k8s.io;v=v1'
    const table = (await test.request('GET', base, { headers: { accept } })).json<{
      columnDefinitions: { name: string }[]
      rows: { cells: unknown[] }[]
    }>()
    assert.deepEqual(
      table.columnDefinitions.map((column) => column.name),
      ['Name', 'Size'],
    )
    assert.deepEqual(table.rows[0]?.cells, ['a', 1])
    assert.equal((await test.request('GET', `${base}?fieldSelector=spec.colour%3Dred`)).json().items.length, 1)
    assert.equal((await test.request('GET', `${base}?fieldSelector=spec.colour%3Dblue`)).json().items.length, 0)
    assert.equal((await test.request('GET', `${base}?fieldSelector=spec.size%3D1`)).status, 400)
  })

  it('are shown by discovery, in each served version, and in APIServices', async () => {
    const two = definition('gizmos')
    const [v1] = two.spec.versions
    two.spec.versions = [
      { ...v1!, storage: false },
      { ...v1!, name: 'v2', storage: true },
      { ...v1!, name: 'v3', storage: false, served: false },
    ]
    await establish(two)
    const group = (await test.request('GET', '/apis/example.com')).json<{
      versions: { version: string }[]
      preferredVersion: { version: string }
    }>()
    assert.deepEqual(
      [group.versions.map(({ version }) => version), group.preferredVersion.version],
      [['v2', 'v1'], 'v2'],
    )
    const all = (await test.request('GET', '/apis'))
      .json<{ groups: { name: string }[] }>()
      .groups.map(({ name }) => name)
    assert.deepEqual([all[0], all.at(-1)], ['apiregistration.k8s.io', 'example.com'])
    await test.request('POST', pathOf('gizmos'), { body: object('Gizmo', 'a', { size: 1 }) })
    const newer = (await test.request('GET', '/apis/example.com/v2/namespaces/default/gizmos/a')).json<
      TestObject & { apiVersion: string }
    >()
    assert.equal(newer.apiVersion, 'example.com/v2')
    assert.equal((await test.request('GET', '/apis/example.com/v3/namespaces/default/gizmos/a')).status, 404)
    await until(
      () =>
        test.server.reader.get(apiservices, { name: 'v2.example.com' })?.status?.conditions?.[0]?.reason === 'Local',
    )
  })

  it('go with their definition, which goes last', async () => {
    await establish(definition('doodads'))
    const base = pathOf('doodads')
    const body = { ...object('Doodad', 'a', { size: 1 }), metadata: { name: 'a', finalizers: ['example.com/mine'] } }
    await test.request('POST', base, { body })
    await test.client.delete(customresourcedefinitions, { name: 'doodads.example.com' })
    await until(() => {
      const crd = test.server.reader.get(customresourcedefinitions, { name: 'doodads.example.com' })
      return crd?.status?.conditions?.some((condition) => condition.type === 'Terminating') === true
    })
    await until(async () => (await test.request('GET', `${base}/a`)).json().metadata['deletionTimestamp'] !== undefined)
    assert.equal((await test.request('POST', base, { body: object('Doodad', 'b', { size: 1 }) })).status, 405)
    const patch = JSON.stringify({ metadata: { finalizers: null } })
    await test.request('PATCH', `${base}/a`, {
      body: patch,
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    await until(() => test.server.reader.get(customresourcedefinitions, { name: 'doodads.example.com' }) === undefined)
    assert.equal((await test.request('GET', base)).status, 404)
  })

  it('are not served while another definition holds their names', async () => {
    const first = definition('things')
    await establish(first)
    const second = definition('others', { names: { plural: 'others', kind: 'Thing' } })
    await test.client.create(customresourcedefinitions, second)
    const conditions = (): object[] =>
      test.server.reader.get(customresourcedefinitions, { name: 'others.example.com' })?.status?.conditions ?? []
    await until(() => conditions().length > 0)
    assert.match(
      JSON.stringify(conditions()),
      /"KindConflict","message":"\\"Thing\\" is already in use"|ListKindConflict/,
    )
    assert.equal((await test.request('GET', pathOf('others'))).status, 404)
    await test.client.delete(customresourcedefinitions, { name: 'things.example.com' })
    await until(async () => (await test.request('GET', pathOf('others'))).status === 200)
  })

  it('refuse a definition that is not valid', async () => {
    const bad = { ...definition('bads'), metadata: { name: 'wrong.example.com' } }
    const response = await test.request('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      body: bad,
    })
    assert.equal(response.status, 422)
    assert.match(response.json().message, /must be spec.names.plural\+"\."\+spec.group/)
  })

  it('leave the core group its APIService', async () => {
    await until(() => test.server.reader.get(apiservices, { name: 'v1.' })?.status?.conditions?.[0]?.status === 'True')
    const wrong = {
      metadata: { name: 'v1.x' },
      spec: { group: 'y.example.com', version: 'v1', groupPriorityMinimum: 1, versionPriority: 1 },
    }
    await assert.rejects(
      test.client.create(apiservices, wrong),
      /must be `spec.version\+"."\+spec.group`: "v1.y.example.com"/,
    )
  })

  it('tell a remote APIService that it is not available here', async () => {
    await test.client.create(apiservices, {
      metadata: { name: 'v1.remote.example.com' },
      spec: {
        group: 'remote.example.com',
        version: 'v1',
        groupPriorityMinimum: 1000,
        versionPriority: 15,
        service: { name: 's', namespace: 'default' },
      },
    })
    await until(
      () =>
        test.server.reader.get(apiservices, { name: 'v1.remote.example.com' })?.status?.conditions?.[0]?.status ===
        'False',
    )
  })
})

describe('planNames', () => {
  it('changes nothing when the status says it all', () => {
    const crd = definition('widgets')
    const status = planNames(crd, [], '2026-01-01T00:00:00Z')
    assert.ok(status !== undefined)
    assert.equal(planNames({ ...crd, status }, [], '2026-01-02T00:00:00Z'), undefined)
  })
})

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 2000; turn++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  assert.fail('it never came true')
}
