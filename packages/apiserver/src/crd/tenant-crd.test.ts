import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { adminOf, startTenantServer } from '../testing/tenant-server.ts'
import type { TestResponse, TestServer } from '../testing/test-server.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const WIDGETS = '/apis/example.com/v1/namespaces/default/widgets'

function definition(field: string, labels: Record<string, string> = {}): object {
  const properties = { spec: { type: 'object', properties: { [field]: { type: 'string' } } } }
  return {
    kind: 'CustomResourceDefinition',
    apiVersion: 'apiextensions.k8s.io/v1',
    metadata: { name: 'widgets.example.com', labels },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties } } },
      ],
    },
  }
}

const widget = (spec: object): object => ({
  kind: 'Widget',
  apiVersion: 'example.com/v1',
  metadata: { name: 'w' },
  spec,
})

describe('custom resources by tenant', () => {
  let test: TestServer
  type Ask = TestServer['request']
  let acme: Ask
  let globex: Ask
  let initech: Ask
  let operator: Ask
  before(async () => {
    test = await startTenantServer({ tenants: ['acme', 'globex', 'initech'] })
    acme = await test.as(adminOf('acme'))
    globex = await test.as(adminOf('globex'))
    initech = await test.as(adminOf('initech'))
    operator = await test.as({ commonName: 'root', organizations: ['system:masters'] })
  })
  after(() => test.close())

  const groups = async (ask: Ask): Promise<string[]> =>
    (await ask('GET', '/apis')).json<{ groups: { name: string }[] }>().groups.map(({ name }) => name)
  const schemaOf = async (ask: Ask): Promise<string> => (await ask('GET', '/openapi/v3/apis/example.com/v1')).text
  const until = async (ask: Ask, path: string, is: (response: TestResponse) => boolean): Promise<TestResponse> => {
    for (;;) {
      const response = await ask('GET', path)
      if (is(response)) return response
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  it('have the schema that their tenant gave them', async () => {
    assert.equal((await acme('POST', DEFINITIONS, { body: definition('colour') })).status, 201)
    assert.equal((await globex('POST', DEFINITIONS, { body: definition('weight') })).status, 201)
    const isServed = (response: TestResponse): boolean => response.status === 200
    for (const ask of [acme, globex]) {
      await until(ask, WIDGETS, isServed)
      assert.equal((await ask('POST', WIDGETS, { body: widget({ colour: 'red', weight: 'light' }) })).status, 201)
    }
    assert.deepEqual((await acme('GET', `${WIDGETS}/w`)).json().spec, { colour: 'red' })
    assert.deepEqual((await globex('GET', `${WIDGETS}/w`)).json().spec, { weight: 'light' })
  })

  it('are in the discovery and OpenAPI of their tenant alone', async () => {
    assert.ok((await groups(acme)).includes('example.com'))
    assert.match(await schemaOf(acme), /colour/)
    assert.doesNotMatch(await schemaOf(acme), /weight/)
    assert.match(await schemaOf(globex), /weight/)
    for (const ask of [initech, operator]) {
      assert.ok(!(await groups(ask)).includes('example.com'))
      assert.equal((await ask('GET', '/openapi/v3/apis/example.com/v1')).status, 404)
      assert.equal((await ask('GET', WIDGETS)).status, 404)
    }
    const index = (await operator('GET', '/tenants/acme/openapi/v3')).text
    assert.match(index, /"serverRelativeURL":"\/tenants\/acme\/openapi\/v3\/apis\/example.com\/v1\?hash=/)
    assert.match((await operator('GET', '/tenants/acme/openapi/v2')).text, /colour/)
  })

  it('go with their tenant’s definition', async () => {
    assert.equal((await acme('DELETE', `${DEFINITIONS}/widgets.example.com`)).status, 200)
    await until(acme, WIDGETS, ({ status }) => status === 404)
    assert.ok(!(await groups(acme)).includes('example.com'))
    assert.equal((await globex('GET', `${WIDGETS}/w`)).status, 200)
  })

  it('that operators share are served everywhere, and are nobody else’s to change', async () => {
    const gadgets = JSON.parse(
      JSON.stringify(definition('size', { 'arktos.futurewei.com/crd-sharing-policy': 'forced' }))
        .replaceAll('widgets', 'gadgets')
        .replaceAll('Widget', 'Gadget'),
    ) as object
    const path = WIDGETS.replace('widgets', 'gadgets')
    assert.equal((await operator('POST', DEFINITIONS, { body: gadgets })).status, 201)
    for (const ask of [acme, initech]) await until(ask, path, ({ status }) => status === 200)
    const body = { ...widget({ size: 'xl', other: '1' }), kind: 'Gadget' }
    assert.equal((await acme('POST', path, { body })).status, 201)
    assert.deepEqual((await acme('GET', `${path}/w`)).json().spec, { size: 'xl' })
    assert.deepEqual((await initech('GET', path)).json().items, [])
    assert.match(await schemaOf(initech), /size/)
    const refused = await acme('POST', DEFINITIONS, { body: { ...gadgets, metadata: { name: 'gadgets.example.com' } } })
    assert.deepEqual(
      [refused.status, refused.json().message],
      [
        403,
        'customresourcedefinitions.apiextensions.k8s.io "gadgets.example.com" is forbidden: this resource is provided by the cluster',
      ],
    )
    const sharing = await acme('POST', DEFINITIONS, {
      body: definition('x', { 'centaurus.io/crd-sharing-policy': 'forced' }),
    })
    assert.equal(sharing.status, 403)
    assert.equal((await operator('DELETE', `${DEFINITIONS}/gadgets.example.com`)).status, 200)
    await until(acme, path, ({ status }) => status === 404)
    await until(operator, `${DEFINITIONS}/gadgets.example.com`, ({ status }) => status === 404)
  })
})
