import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { endpoints, services } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { startTestServer } from '../testing/test-server.ts'
import { ensureDnsService } from './bootstrap-dns.ts'

const KUBE_DNS = { namespace: 'kube-system', name: 'kube-dns' }
const PORTS = [{ name: 'dns', port: 53, protocol: 'UDP' }]

describe('the Service kube-dns', () => {
  it('has the tenth address of the range and the hosts’ as its endpoint', async (t) => {
    const test = await startTestServer({ admission: { clusterDns: '10.96.0.10', serviceRange: '10.97.0.0/16' } })
    t.after(() => test.close())
    const { spec, metadata } = await test.client.get(services, KUBE_DNS)
    assert.deepEqual([spec?.clusterIP, metadata.labels?.['k8s-app']], ['10.97.0.10', 'kube-dns'])
    assert.deepEqual(
      spec?.ports?.map(({ name, port, protocol }) => [name, port, protocol]),
      [
        ['dns', 53, 'UDP'],
        ['dns-tcp', 53, 'TCP'],
      ],
    )
    assert.deepEqual((await test.client.get(endpointslices, KUBE_DNS)).endpoints?.[0]?.addresses, ['10.96.0.10'])
    assert.equal((await test.client.get(endpoints, KUBE_DNS)).subsets?.[0]?.addresses?.[0]?.ip, '10.96.0.10')
  })

  it('is not made where no host answers', async (t) => {
    const test = await startTestServer()
    t.after(() => test.close())
    await assert.rejects(test.client.get(services, KUBE_DNS), /not found/)
  })

  it('is left to operators who run pods behind it, and is no reason not to start when its address is taken', async (t) => {
    const test = await startTestServer()
    t.after(() => test.close())
    const options = { clusterDns: '10.96.0.10', isTenant: false }
    const taken = { metadata: { namespace: 'default', name: 'x' }, spec: { clusterIP: '10.96.0.10', ports: PORTS } }
    await test.client.create(services, taken)
    await ensureDnsService(test.client, options)
    await assert.rejects(test.client.get(services, KUBE_DNS), /not found/)
    const spec = { selector: { 'k8s-app': 'kube-dns' }, ports: PORTS }
    await test.client.create(services, { metadata: KUBE_DNS, spec })
    await ensureDnsService(test.client, options)
    await assert.rejects(test.client.get(endpointslices, KUBE_DNS), /not found/)
  })

  it('leads to the hosts again when its endpoints were changed', async (t) => {
    const test = await startTestServer({ admission: { clusterDns: '10.96.0.10' } })
    t.after(() => test.close())
    const slice = await test.client.get(endpointslices, KUBE_DNS)
    await test.client.update(endpointslices, { ...slice, endpoints: [{ addresses: ['10.244.0.9'] }] })
    await ensureDnsService(test.client, { clusterDns: '10.96.0.10', isTenant: false })
    assert.deepEqual((await test.client.get(endpointslices, KUBE_DNS)).endpoints?.[0]?.addresses, ['10.96.0.10'])
  })
})
