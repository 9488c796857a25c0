import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { HOSTED_TENANTS } from '@centaurus/api'
import { tenants, type Tenant } from '@centaurus/api/centaurus/v1'
import { customresourcedefinitions } from '@centaurus/api/apiextensions/v1'
import { configmaps, namespaces, type ConfigMap } from '@centaurus/api/core/v1'
import { createInformerFactory, type Client } from '@centaurus/client'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createCrdExtension } from '../crd/crd-extension.ts'
import { SERVER_USER } from '../server.ts'
import { startTestServer, type TestServer } from '../testing/test-server.ts'

const SCHEMA = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }

/** The registry's kinds without the package that brings them, which stands above this one. */
async function defineTenants(client: Client): Promise<void> {
  await client.create(customresourcedefinitions, {
    metadata: {
      name: 'tenants.centaurus.io',
      annotations: { 'api-approved.kubernetes.io': 'unapproved, a test' },
    },
    spec: {
      group: tenants.group,
      scope: 'Cluster',
      names: { plural: 'tenants', singular: 'tenant', kind: 'Tenant', listKind: 'TenantList' },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: SCHEMA }, subresources: { status: {} } },
      ],
    },
  })
}

describe('the view over the tenants that a partition serves', () => {
  let test: TestServer
  let hosted: Client

  before(async () => {
    test = await startTestServer({ extensions: [createCrdExtension()], partition: 'here' })
    await defineTenants(test.client)
    hosted = test.server.client({ ...SERVER_USER, tenant: HOSTED_TENANTS })
    await test.client.create(configmaps, configMap('default', 'own'))
    await addTenant('acme', 'here')
    await addTenant('away', 'there')
  })
  after(() => test.close())

  async function addTenant(name: string, partition: string): Promise<void> {
    const made = await test.client.create(tenants, { metadata: { name } })
    // What the relay copies for nodes is there before the tenant is served, or without its ever being.
    await test.store.commit({ changes: [put(name, 'core/namespaces/default', namespaces.kind, 'default')] })
    await test.store.commit({ changes: [put(name, 'core/configmaps/default/own', configmaps.kind, 'own', 'default')] })
    await test.client.updateStatus(tenants, { ...made, status: { phase: 'Active', partition, epoch: 1 } })
  }

  function put(tenant: string, key: string, kind: string, name: string, namespace?: string) {
    const metadata = { name, uid: `${tenant}-${key}`, creationTimestamp: '2026-01-01T00:00:00Z', namespace }
    const value = Buffer.from(JSON.stringify({ kind, apiVersion: 'v1', metadata }))
    return { type: 'put' as const, key: `/registry/${tenant}/${key}`, value }
  }

  const names = async (): Promise<string[]> => {
    const { items } = await hosted.list(configmaps, { fieldSelector: 'metadata.name=own' })
    return items.map(({ metadata }) => metadata.namespace ?? '')
  }

  it('has no copies of others', async () => {
    assert.deepEqual(await names(), ['default--acme', 'default'])
  })

  it('takes tenants in and lets them go, and tells whoever watches', async () => {
    const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }
    const informers = createInformerFactory(hosted, deps)
    const informer = informers.informer(configmaps)
    await informer.whenSynced()
    const seen = (): string[] =>
      informer
        .list()
        .filter(({ metadata }) => metadata.name === 'own')
        .map(({ metadata }) => metadata.namespace ?? '')
        .toSorted()
    assert.deepEqual(seen(), ['default', 'default--acme'])
    const change = async (name: string, partition: string): Promise<void> => {
      const tenant: Tenant = await test.client.get(tenants, { name })
      await test.client.updateStatus(tenants, { ...tenant, status: { phase: 'Active', partition, epoch: 2 } })
    }
    await change('away', 'here')
    await until(() => seen().join() === 'default,default--acme,default--away')
    await change('acme', 'there')
    await until(() => seen().join() === 'default,default--away')
    await hosted.create(configmaps, configMap('default--away', 'new'))
    await until(() => informer.get('default--away/new') !== undefined)
    await informers.close()
  })
})

function configMap(namespace: string, name: string): ConfigMap {
  return { metadata: { namespace, name } }
}

async function until(check: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!check()) {
    assert.ok(performance.now() < deadline, `waited 10 s: ${check.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
