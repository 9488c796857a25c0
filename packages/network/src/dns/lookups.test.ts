import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { namespaces, services } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { systemClock } from '@centaurus/base'
import { createInformerFactory, type InformerFactory } from '@centaurus/client'
import { createDnsLookups, ownNamespace, tenantOfObject, type DnsLookups } from './lookups.ts'

describe('names from the API', () => {
  let test: TestServer
  let informers: InformerFactory
  let lookups: DnsLookups

  before(async () => {
    test = await startTestServer()
    informers = createInformerFactory(test.client)
    lookups = createDnsLookups(informers, systemClock)
    assert.equal(lookups.isSynced(), false)
    assert.equal(lookups.hasNamespace('nowhere'), true, 'nobody can deny it yet')
    await informers.whenSynced()
  })
  after(async () => {
    await informers.close()
    await test.close()
  })

  async function until(check: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000
    while (!check()) {
      assert.ok(performance.now() < deadline, 'waited 10 s')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  it('are found by name and by address, and gone when their objects are', async () => {
    const metadata = { namespace: 'default', name: 'web' }
    const ports = [{ name: 'http', port: 80, protocol: 'TCP' }]
    const made = await test.client.create(services, { metadata, spec: { ports } })
    const address = made.spec?.clusterIP ?? ''
    const slice = { metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'web' } }, ports }
    const endpoints = [{ addresses: ['10.244.0.5', '10.244.0.6'] }]
    await test.client.create(endpointslices, { ...slice, addressType: 'IPv4', endpoints })
    await test.client.create(endpointslices, {
      ...slice,
      metadata: { ...slice.metadata, name: 'web-6' },
      addressType: 'IPv6',
      endpoints: [{ addresses: ['fd00::5'] }],
    })
    await until(() => lookups.slices('default', 'web').length === 1 && lookups.service('default', 'web') !== undefined)
    assert.equal(lookups.serviceByAddress(address)?.metadata.name, 'web')
    assert.equal(lookups.slicesByAddress('10.244.0.6').length, 1)
    assert.equal(lookups.slicesByAddress('fd00::5').length, 0)
    assert.equal(lookups.serviceByAddress('None'), undefined)
    assert.equal(lookups.isSynced(), true)
    await test.client.delete(services, metadata)
    await until(() => lookups.serviceByAddress(address) === undefined)
  })

  it('know the namespaces there are, and whose they are', async () => {
    assert.equal(lookups.hasNamespace('nowhere'), false)
    await test.client.create(namespaces, { metadata: { name: 'prod' } })
    await until(() => lookups.hasNamespace('prod'))
    assert.equal(lookups.tenantOf('prod'), undefined)
    assert.equal(lookups.tenantOf('prod--acme'), 'acme')
    const annotations = { 'centaurus.io/tenant': 'acme', 'centaurus.io/namespace': 'prod' }
    const shortened = { metadata: { name: 'x', namespace: 'prod--h-0123456789abc', annotations } }
    assert.deepEqual([tenantOfObject(shortened), ownNamespace(shortened)], ['acme', 'prod'])
    const { annotations: _, ...bare } = shortened.metadata
    assert.equal(tenantOfObject({ metadata: bare }), undefined)
  })
})
